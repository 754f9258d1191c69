//! Whether this process may make a machine's namespaces, found out by making them in a process that ends at once.

use std::io;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// The argument with which [`probe`] starts this program.
pub const PROBE: &str = "machine-probe";

/// Tries what every machine needs.
///
/// # Errors
/// What the kernel refused.
pub fn probe() -> io::Result<()> {
    let output = Command::new("/proc/self/exe")
        .arg(PROBE)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::new(io::ErrorKind::PermissionDenied, said))
}

/// The process that [`probe`] starts; returns its exit code.
pub fn probe_main() -> u8 {
    match try_all() {
        Ok(()) => 0,
        Err(said) => {
            eprintln!("{said}");
            1
        }
    }
}

fn try_all() -> Result<(), String> {
    let namespaces = [
        (CloneFlags::CLONE_NEWNS, "mount"),
        (CloneFlags::CLONE_NEWNET, "network"),
        (CloneFlags::CLONE_NEWPID, "PID"),
        (CloneFlags::CLONE_NEWIPC, "IPC"),
        (CloneFlags::CLONE_NEWUTS, "UTS"),
    ];
    for (flag, name) in namespaces {
        unshare(flag).map_err(|error| format!("this system does not let us make a {name} namespace: {error}"))?;
    }
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .map_err(|error| format!("this system does not let us change mounts in a namespace of our own: {error}"))
}
