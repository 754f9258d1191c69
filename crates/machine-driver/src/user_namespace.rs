//! The user namespace in which everything runs for an ordinary user, so that no step needs sudo.
//!
//! Its root is the user; its other users are the ranges that `/etc/subuid` and `/etc/subgid` give the user, written by `newuidmap` and `newgidmap`. All of
//! this must happen while the process has one thread: `main` calls [`enter_if_needed`] before anything else.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, User, fork, getegid, geteuid, pipe};
use thiserror::Error;

use crate::process::{Machine, MachineError};

/// The directory of a machine's record that any process of the namespace may serve as a door to it.
const DOOR: &str = "door";

/// Where the process that calls finds itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// The machine's own root.
    Root,
    /// Root of a user namespace, an ordinary user outside.
    UserNamespace,
}

/// Why an ordinary user cannot run containers here. Each says what would help.
#[derive(Debug, Error)]
pub enum UserNamespaceError {
    /// The kernel or the distribution refuses user namespaces.
    #[error(
        "this system does not let ordinary users make user namespaces ({source}); allow them \
         (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces, or kernel.apparmor_restrict_unprivileged_userns=0), \
         or run `ondol up` with sudo, or with --simulated for nodes without containers"
    )]
    Refused {
        /// What the kernel said.
        source: io::Error,
    },
    /// `newuidmap` or `newgidmap` is missing.
    #[error(
        "{program} is not installed; install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora), \
         or run `ondol up` with sudo, or with --simulated for nodes without containers: {source}"
    )]
    NoProgram {
        /// The program.
        program: &'static str,
        /// Why it did not start.
        source: io::Error,
    },
    /// The user has no range of subordinate ids.
    #[error(
        "{file} has no range for user {user}; add one, for example with `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`, \
         or run `ondol up` with sudo, or with --simulated for nodes without containers"
    )]
    NoRange {
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// The user's name.
        user: String,
    },
    /// `newuidmap` or `newgidmap` refused.
    #[error("{program} refused: {said}; run `ondol up` with sudo, or with --simulated for nodes without containers")]
    Mapping {
        /// The program.
        program: &'static str,
        /// What it printed.
        said: String,
    },
    /// Another step.
    #[error("{step}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The record of a process that is in the namespace.
    #[error(transparent)]
    Record(#[from] MachineError),
}

fn step(step: &'static str) -> impl FnOnce(nix::Error) -> UserNamespaceError {
    move |source| UserNamespaceError::Step {
        step,
        source: source.into(),
    }
}

/// Makes the calling process root enough: nothing to do for root; an ordinary user enters the user namespace of the processes that
/// `directories` (of machines, and of the region) record, or a new one. In the second case the caller goes on in a child process, and this one passes on
/// its exit code.
///
/// # Errors
/// When the system does not let ordinary users do this; says what would.
pub fn enter_if_needed(region: &Path, machines: &Path) -> Result<Privilege, UserNamespaceError> {
    if geteuid().is_root() {
        return Ok(if is_initial_namespace() {
            Privilege::Root
        } else {
            Privilege::UserNamespace
        });
    }
    if let Some(process) = find_door(region, machines)? {
        join(&process)?;
    } else {
        make()?;
    }
    Ok(Privilege::UserNamespace)
}

/// Records the calling process as one through which later ones find the user namespace.
///
/// # Errors
/// When the record cannot be written.
pub fn leave_door(region: &Path) -> io::Result<()> {
    let directory = region.join(DOOR);
    fs::create_dir_all(&directory)?;
    let myself =
        Machine::of(std::process::id())?.ok_or_else(|| io::Error::other("this process has no entry in /proc"))?;
    myself.record(&directory)
}

/// The process that left the door of a region, if it lives: the region process itself.
///
/// # Errors
/// When the record cannot be read.
pub fn door(region: &Path) -> Result<Option<Machine>, MachineError> {
    Machine::find(&region.join(DOOR))
}

/// In the initial namespace every id is mapped to itself.
fn is_initial_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

fn find_door(region: &Path, machines: &Path) -> Result<Option<Machine>, UserNamespaceError> {
    let mut directories = vec![region.join(DOOR)];
    match fs::read_dir(machines) {
        Ok(entries) => directories.extend(entries.flatten().map(|entry| entry.path())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(UserNamespaceError::Step {
                step: "list the machines",
                source,
            });
        }
    }
    for directory in directories {
        if let Some(machine) = Machine::find(&directory)? {
            return Ok(Some(machine));
        }
    }
    Ok(None)
}

fn join(process: &Machine) -> Result<(), UserNamespaceError> {
    let path = PathBuf::from(format!("/proc/{}/ns/user", process.pid));
    let namespace = fs::File::open(path).map_err(|source| UserNamespaceError::Step {
        step: "open the user namespace",
        source,
    })?;
    setns(namespace, CloneFlags::CLONE_NEWUSER).map_err(step("join the user namespace"))?;
    become_root()
}

/// Ids inside are those of the namespace's root, which the user is outside.
fn become_root() -> Result<(), UserNamespaceError> {
    nix::unistd::setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0))
        .map_err(step("become the namespace's group 0"))?;
    nix::unistd::setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0))
        .map_err(step("become the namespace's user 0"))?;
    // A process that changed its user may not be looked at through /proc, where later processes look for this door.
    nix::sys::prctl::set_dumpable(true).map_err(step("stay visible in /proc"))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| UserNamespaceError::Refused { source: error.into() })
}

fn make() -> Result<(), UserNamespaceError> {
    let uid_ranges = Mapping::read("newuidmap", "/etc/subuid", geteuid().as_raw())?;
    let gid_ranges = Mapping::read("newgidmap", "/etc/subgid", getegid().as_raw())?;
    let (ready_read, ready_write) = pipe().map_err(step("make a pipe"))?;
    let (mapped_read, mapped_write) = pipe().map_err(step("make a pipe"))?;
    match fork_alone().map_err(step("fork"))? {
        ForkResult::Parent { child } => {
            drop((ready_write, mapped_read));
            let mut word = [0];
            if matches!(fs::File::from(ready_read).read(&mut word), Ok(1)) {
                uid_ranges.write(child)?;
                gid_ranges.write(child)?;
                fs::File::from(mapped_write)
                    .write_all(b"m")
                    .map_err(|source| UserNamespaceError::Step {
                        step: "tell the child",
                        source,
                    })?;
            }
            pass_on_exit(child)
        }
        ForkResult::Child => {
            drop((ready_read, mapped_write));
            unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| UserNamespaceError::Refused { source: error.into() })?;
            fs::File::from(ready_write)
                .write_all(b"r")
                .map_err(|source| UserNamespaceError::Step {
                    step: "tell the parent",
                    source,
                })?;
            let mut word = [0];
            match fs::File::from(mapped_read).read(&mut word) {
                Ok(1) => become_root(),
                // The parent printed why it gave up.
                Ok(_) | Err(_) => std::process::exit(1),
            }
        }
    }
}

#[allow(
    unsafe_code,
    reason = "fork is unsafe in threaded processes; main calls this first of all"
)]
fn fork_alone() -> nix::Result<ForkResult> {
    // SAFETY: documented on `enter_if_needed`: the process has one thread, so no lock can be held by another one.
    unsafe { fork() }
}

/// Ends this process as its child ends.
fn pass_on_exit(child: Pid) -> ! {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => std::process::exit(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => std::process::exit(128 + signal as i32),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_ended) => std::process::exit(1),
        }
    }
}

/// One of the two id maps: the user's own id as root, then the user's range.
struct Mapping {
    program: &'static str,
    own: u32,
    first: u32,
    count: u32,
}

impl Mapping {
    fn read(program: &'static str, file: &'static str, own: u32) -> Result<Self, UserNamespaceError> {
        let uid = geteuid();
        let name = User::from_uid(uid)
            .map_err(step("look up the user's name"))?
            .map_or_else(|| uid.to_string(), |user| user.name);
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => {
                return Err(UserNamespaceError::Step {
                    step: "read the user's id ranges",
                    source,
                });
            }
        };
        let (first, count) =
            range_of(&text, &name, uid.as_raw()).ok_or(UserNamespaceError::NoRange { file, user: name })?;
        Ok(Self {
            program,
            own,
            first,
            count,
        })
    }

    fn write(&self, child: Pid) -> Result<(), UserNamespaceError> {
        let numbers = [0, self.own, 1, 1, self.first, self.count].map(|number| number.to_string());
        let output = Command::new(self.program).arg(child.to_string()).args(numbers).output();
        let output = output.map_err(|source| UserNamespaceError::NoProgram {
            program: self.program,
            source,
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(UserNamespaceError::Mapping {
            program: self.program,
            said,
        })
    }
}

/// The user's first range in `subuid(5)`, by name or by number.
fn range_of(text: &str, name: &str, uid: u32) -> Option<(u32, u32)> {
    let number = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        (owner == name || owner == number).then_some((first, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_or_number() {
        let text = "root:100000:65536\nana:165536:65536\n1002:231072:65536\n";
        assert_eq!(range_of(text, "ana", 1001), Some((165_536, 65_536)));
        assert_eq!(range_of(text, "ben", 1002), Some((231_072, 65_536)));
        assert_eq!(range_of(text, "eve", 1003), None);
        assert_eq!(range_of("ana:x:1\n", "ana", 1001), None);
    }
}
