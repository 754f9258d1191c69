//! A machine's first process: written down, found again, watched and ended.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The file in a machine's directory that says which process it is.
const RECORD: &str = "process.json";

/// A running machine's first process, told apart from any later process with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Id in the host's PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
    pub start_time: u64,
    /// Which boot of the host that was.
    pub boot_id: String,
}

/// Why a machine could not be looked at or ended.
#[derive(Debug, Error)]
pub enum MachineError {
    /// The record of the machine's process cannot be read, or is damaged.
    #[error("read the process record {path}")]
    Record {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The process cannot be watched or signalled.
    #[error("{step} process {pid}")]
    Process {
        /// What was tried.
        step: &'static str,
        /// The process.
        pid: u32,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Machine {
    /// Describes a process that runs now. `None` if there is none of this id.
    pub(crate) fn of(pid: u32) -> io::Result<Option<Self>> {
        let Some(start_time) = start_time(pid)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            pid,
            start_time,
            boot_id: boot_id()?,
        }))
    }

    /// Finds the machine of a directory: the process that was written down, if it is still that process.
    ///
    /// # Errors
    /// When the record is there but cannot be read.
    pub fn find(directory: &Path) -> Result<Option<Self>, MachineError> {
        let path = directory.join(RECORD);
        let at = |source| MachineError::Record {
            path: path.clone(),
            source,
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(error)),
        };
        let recorded: Self = serde_json::from_slice(&text).map_err(|error| at(error.into()))?;
        let seen = Self::of(recorded.pid).map_err(at)?;
        Ok(seen.filter(|seen| *seen == recorded))
    }

    /// Writes the machine down, durably, so that no later process has to guess.
    pub(crate) fn record(&self, directory: &Path) -> io::Result<()> {
        use std::io::Write;
        let partial = directory.join(format!("{RECORD}.partial"));
        let mut file = fs::File::create(&partial)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&partial, directory.join(RECORD))?;
        fs::File::open(directory)?.sync_all()
    }

    /// Waits until the machine's first process is gone, and with it everything that ran in the machine.
    ///
    /// # Errors
    /// When the process cannot be watched.
    pub async fn exited(&self) -> Result<(), MachineError> {
        let Some(process) = self.open()? else { return Ok(()) };
        let failed = |source| MachineError::Process {
            step: "watch",
            pid: self.pid,
            source,
        };
        let watched = watch(process).map_err(failed)?;
        watched.readable().await.map(drop).map_err(failed)
    }

    /// Ends the machine as pulling the plug does, and waits until it is gone.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub async fn terminate(&self) -> Result<(), MachineError> {
        if let Some(process) = self.open()? {
            signal(&process, libc::SIGKILL).map_err(|source| MachineError::Process {
                step: "kill",
                pid: self.pid,
                source,
            })?;
        }
        self.exited().await
    }

    /// A handle on this very process: once it is open, a reused id cannot be mistaken for it.
    fn open(&self) -> Result<Option<OwnedFd>, MachineError> {
        let failed = |source| MachineError::Process {
            step: "open",
            pid: self.pid,
            source,
        };
        let Some(process) = pidfd_open(self.pid).map_err(failed)? else {
            return Ok(None);
        };
        let seen = Self::of(self.pid).map_err(failed)?;
        Ok((seen.as_ref() == Some(self)).then_some(process))
    }

    /// Opens a file descriptor that the machine's first process holds, such as its VPC's network namespace.
    ///
    /// # Errors
    /// When the process is gone or the descriptor is not open in it.
    pub fn open_descriptor(&self, descriptor: RawFd) -> io::Result<OwnedFd> {
        fs::File::open(format!("/proc/{}/fd/{descriptor}", self.pid)).map(OwnedFd::from)
    }
}

#[allow(unsafe_code, reason = "tokio cannot see that an owned descriptor stays open")]
fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by the watcher and closed only after it was taken off the poll set.
    unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }.map_err(io::Error::from)
}

#[allow(unsafe_code, reason = "nix has no wrapper of pidfd_open")]
fn pidfd_open(pid: u32) -> io::Result<Option<OwnedFd>> {
    // SAFETY: the call takes two integers and returns a new descriptor or -1.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match Errno::result(descriptor) {
        // SAFETY: the kernel just gave us this descriptor, so nobody else owns it; it fits an i32 as every descriptor.
        Ok(descriptor) => Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })),
        Err(Errno::ESRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[allow(unsafe_code, reason = "nix has no wrapper of pidfd_send_signal")]
fn signal(process: &OwnedFd, signal: i32) -> io::Result<()> {
    // SAFETY: an open descriptor, a signal number, no siginfo and no flags.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    match Errno::result(sent) {
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// When a process started, in ticks since boot; `None` if it is not there, or is dead and only waits to be reaped.
fn start_time(pid: u32) -> io::Result<Option<u64>> {
    let text = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // The process ended between opening and reading.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
        Err(error) => return Err(error),
    };
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat: {text}"));
    let mut fields = text.rsplit_once(')').ok_or_else(malformed)?.1.split_whitespace();
    if matches!(fields.next().ok_or_else(malformed)?, "Z" | "X") {
        return Ok(None);
    }
    let start = fields.nth(18).ok_or_else(malformed)?;
    start.parse().map(Some).map_err(io::Error::other)
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_recorded_process_is_found_until_it_ends_and_its_successor_is_not_taken_for_it() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Machine::find(directory.path()).unwrap(), None);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let machine = Machine::of(child.id()).unwrap().unwrap();
        machine.record(directory.path()).unwrap();
        assert_eq!(Machine::find(directory.path()).unwrap().as_ref(), Some(&machine));

        machine.terminate().await.unwrap();
        assert_eq!(
            Machine::find(directory.path()).unwrap(),
            None,
            "a dead process that nobody reaped is gone"
        );
        child.wait().unwrap();

        let myself = Machine::of(std::process::id()).unwrap().unwrap();
        Machine {
            start_time: myself.start_time + 1,
            ..myself
        }
        .record(directory.path())
        .unwrap();
        assert_eq!(Machine::find(directory.path()).unwrap(), None);
    }

    #[test]
    fn a_damaged_record_is_an_error_and_not_an_absent_machine() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(RECORD), "{").unwrap();
        assert!(matches!(
            Machine::find(directory.path()),
            Err(MachineError::Record { .. })
        ));
    }
}
