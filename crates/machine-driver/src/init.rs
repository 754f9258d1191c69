//! What a machine's first process does: prepare its namespaces, keep its children alive, reap what is left to it.
//!
//! One thread and no memory to speak of: it lives as long as the instance. It starts the runtime and the agent again when they end, as systemd does
//! on an EC2 node; the pods' shims are its children once their runtime is gone, and are only reaped.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use thiserror::Error;

/// How long a child must have run for its end to count as the first failure again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// The longest wait before a child is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Kernel settings of the machine's own network namespace: it routes for its pods, by /32 routes in both directions.
const SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/ip_unprivileged_port_start", "0"),
];

/// A process that a machine keeps alive.
#[derive(Debug, Clone)]
pub struct ChildSpec {
    /// What the log calls it.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Why a machine could not come up.
#[derive(Debug, Error)]
#[error("{step}")]
pub struct InitError {
    step: String,
    #[source]
    source: io::Error,
}

fn failed(step: impl Into<String>) -> impl FnOnce(io::Error) -> InitError {
    let step = step.into();
    move |source| InitError { step, source }
}

/// Makes the machine's own `/proc`, `/run`, loopback and routing, with no effect outside its namespaces.
///
/// # Errors
/// Names the mount or setting that failed.
pub fn prepare() -> Result<(), InitError> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| failed("make mounts private")(error.into()))?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("proc"), "/proc", Some("proc"), plain | MsFlags::MS_NOEXEC, none)
        .map_err(|error| failed("mount /proc")(error.into()))?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), plain, Some("mode=755,size=64m"))
        .map_err(|error| failed("mount /run")(error.into()))?;
    // Volumes are mounted by the agent and seen by containers that ask for propagation.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none)
        .map_err(|error| failed("make mounts shared")(error.into()))?;
    raise_loopback().map_err(failed("bring up the loopback interface"))?;
    for (name, value) in SETTINGS {
        fs::write(format!("/proc/sys/{name}"), value).map_err(failed(format!("set {name}")))?;
    }
    let map = fs::read_to_string("/proc/self/gid_map").map_err(failed("read the groups of this user namespace"))?;
    let range = format!("0 {}", last_group(&map));
    fs::write("/proc/sys/net/ipv4/ping_group_range", range).map_err(failed("let every group send pings"))?;
    keep_fabric_to_ourselves().map_err(failed("keep the fabric from children"))
}

/// The last group of those from 0 on that exist without a gap, at most the largest that the kernel takes for pings. A
/// group that is not mapped is refused.
fn last_group(map: &str) -> u64 {
    let mut extents: Vec<(u64, u64)> = map
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().map(str::parse);
            let (first, _outside, count) = (fields.next()?.ok()?, fields.next()?.ok()?, fields.next()?.ok()?);
            Some((first, count))
        })
        .collect();
    extents.sort_unstable();
    let end = extents
        .iter()
        .fold(0, |end, (first, count)| if *first == end { end + count } else { end });
    end.saturating_sub(1).min(2_147_483_647)
}

/// Whoever holds the fabric's namespace can enter it; containers must not inherit that.
#[allow(unsafe_code, reason = "a descriptor that was inherited is known by its number only")]
fn keep_fabric_to_ourselves() -> io::Result<()> {
    // SAFETY: the flag of a descriptor is changed; a number that is not open is told by EBADF.
    let done = unsafe { libc::fcntl(crate::launch::FABRIC_DESCRIPTOR, libc::F_SETFD, libc::FD_CLOEXEC) };
    match Errno::result(done) {
        // A machine without a fabric holds none.
        Ok(_) | Err(Errno::EBADF) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[allow(unsafe_code, reason = "interface flags are set by an ioctl that nix does not wrap")]
fn raise_loopback() -> io::Result<()> {
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: an interface request of zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request lives through the call and names an interface by a terminated string.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

struct Child {
    spec: ChildSpec,
    started: Instant,
    failures: u32,
}

/// Keeps the children alive until the machine is told to stop (SIGTERM), then ends everything in it.
///
/// # Errors
/// When signals cannot be waited for. A child that cannot be started is tried again.
pub fn run(children: Vec<ChildSpec>) -> Result<(), InitError> {
    let mut awaited = SigSet::empty();
    awaited.extend([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT]);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&awaited), None).map_err(|error| failed("block signals")(error.into()))?;
    let mut running: BTreeMap<Pid, Child> = BTreeMap::new();
    let mut waiting: Vec<(Instant, Child)> = children
        .into_iter()
        .map(|spec| {
            (
                Instant::now(),
                Child {
                    spec,
                    started: Instant::now(),
                    failures: 0,
                },
            )
        })
        .collect();
    loop {
        waiting = start_due(waiting, &mut running);
        let pause = waiting
            .iter()
            .map(|(due, _)| due.saturating_duration_since(Instant::now()))
            .min();
        match wait_signal(&awaited, pause).map_err(failed("wait for a signal"))? {
            Some(Signal::SIGTERM | Signal::SIGINT) => return stop_all(),
            _ => waiting.extend(reap(&mut running)),
        }
    }
}

fn start_due(waiting: Vec<(Instant, Child)>, running: &mut BTreeMap<Pid, Child>) -> Vec<(Instant, Child)> {
    let (due, mut later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(due, _)| *due <= Instant::now());
    for (_, child) in due {
        let started = start(&child.spec);
        match started {
            Ok(pid) => {
                running.insert(
                    pid,
                    Child {
                        started: Instant::now(),
                        ..child
                    },
                );
            }
            Err(error) => {
                eprintln!("init: {} cannot be started: {error}", child.spec.name);
                later.push((Instant::now() + LONGEST_PAUSE, child));
            }
        }
    }
    later
}

#[allow(unsafe_code, reason = "a child must not inherit the signals that init blocks")]
fn start(spec: &ChildSpec) -> io::Result<Pid> {
    let mut command = Command::new(&spec.program);
    command.arg0("ondol").args(&spec.arguments);
    // SAFETY: sigprocmask is async-signal-safe and allocates nothing.
    unsafe {
        command
            .pre_exec(|| sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).map_err(io::Error::from));
    }
    let child = command.spawn()?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)
}

/// Waits for one of the signals, at most for `pause`.
#[allow(unsafe_code, reason = "nix has no wrapper of sigtimedwait")]
fn wait_signal(awaited: &SigSet, pause: Option<Duration>) -> io::Result<Option<Signal>> {
    let time = pause.map(|pause| libc::timespec {
        tv_sec: libc::time_t::try_from(pause.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(pause.subsec_nanos()),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the set and the time live through the call; no siginfo is wanted.
    let signal = unsafe { libc::sigtimedwait(awaited.as_ref(), std::ptr::null_mut(), time) };
    match Errno::result(signal) {
        Ok(signal) => Ok(Signal::try_from(signal).ok()),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reaps every dead child and returns ours, with the time to start them again.
fn reap(running: &mut BTreeMap<Pid, Child>) -> Vec<(Instant, Child)> {
    let mut again = Vec::new();
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
        let Some(mut child) = status.pid().and_then(|pid| running.remove(&pid)) else {
            continue;
        };
        child.failures = if child.started.elapsed() >= HEALTHY_AFTER {
            1
        } else {
            child.failures + 1
        };
        let pause = Duration::from_millis(10 << child.failures.min(9)).min(LONGEST_PAUSE);
        eprintln!(
            "init: {} ended ({status:?}), starting it again in {pause:?}",
            child.spec.name
        );
        again.push((Instant::now() + pause, child));
    }
    again
}

/// Ends every process of the machine; what ignores SIGTERM dies with process 1.
fn stop_all() -> Result<(), InitError> {
    match kill(Pid::from_raw(-1), Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => return Err(failed("end the machine's processes")(error.into())),
    }
    let deadline = Instant::now() + LONGEST_PAUSE;
    let mut awaited = SigSet::empty();
    awaited.add(Signal::SIGCHLD);
    while Instant::now() < deadline {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::StillAlive) => {
                wait_signal(&awaited, Some(Duration::from_millis(100)))
                    .map_err(failed("wait for the last processes"))?;
            }
            Ok(_) => {}
            Err(error) => return Err(failed("reap the last processes")(error.into())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_that_is_mapped_without_a_gap_may_ping() {
        let cases = [
            ("         0          0 4294967295\n", 2_147_483_647),
            ("0 1000 1\n1 100000 65536\n", 65_536),
            ("1 100000 65536\n0 1000 1\n", 65_536),
            ("0 1000 1\n5 100000 10\n", 0),
            ("", 0),
        ];
        for (map, last) in cases {
            assert_eq!(last_group(map), last, "{map}");
        }
    }
}
