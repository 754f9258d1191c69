//! Small questions to the kernel about processes.
#![allow(
    unsafe_code,
    reason = "accept4 hands a descriptor over as a number, and no library sends real-time signals"
)]

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::record::LaunchCgroup;

/// Takes a descriptor that a call has just returned.
pub fn own(number: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made it for us, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Sends a signal to a child, real-time signals included.
pub fn signal(pid: i32, number: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    if unsafe { libc::kill(pid, number) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Kills a child. It is not reaped yet, so its number is still its own.
pub fn kill(pid: i32) {
    ignore_missing(nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL));
}

/// Kills a child that leads a session, and its process group.
pub fn kill_session(pid: i32) {
    ignore_missing(nix::sys::signal::killpg(Pid::from_raw(pid), Signal::SIGKILL));
    kill(pid);
}

/// A process that has ended meanwhile is as dead as wished.
fn ignore_missing(result: nix::Result<()>) {
    if let Err(error) = result
        && error != nix::errno::Errno::ESRCH
    {
        eprintln!("shim: cannot kill a process: {error}");
    }
}

/// Kills what is left in a container's cgroups after its first process ended: with a shared PID namespace the kernel does not.
pub fn kill_cgroups(cgroups: &[LaunchCgroup]) {
    for cgroup in cgroups {
        let directory = Path::new(&cgroup.directory);
        if fs::write(directory.join("cgroup.kill"), "1").is_ok() {
            continue;
        }
        let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        for pid in processes.lines().filter_map(|line| line.parse().ok()) {
            kill(pid);
        }
    }
}

/// How many processes of these cgroups the kernel has killed for want of memory.
pub fn oom_kills(cgroups: &[LaunchCgroup]) -> u64 {
    let counts = cgroups
        .iter()
        .flat_map(|cgroup| ["memory.events", "memory.oom_control"].map(|file| Path::new(&cgroup.directory).join(file)));
    let texts = counts.filter_map(|path| fs::read_to_string(path).ok());
    texts
        .filter_map(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
        })
        .sum()
}

/// Clock ticks since boot at which a process began; 0 when it has gone.
pub fn start_time(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything, so counting begins behind it: the start is field 22, the state field 3.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    fields
        .split_ascii_whitespace()
        .nth(19)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0)
}
