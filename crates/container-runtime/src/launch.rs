//! Makes processes: a container's first one, with all its namespaces and mounts, and further ones beside it.
//!
//! Runs in the single-threaded shim, so that the time between clone and exec is ordinary code and not a list of the few calls that are
//! allowed in a copy of a threaded process.

mod capability;
mod child;
mod clone;
mod credentials;
mod devices;
mod kernel;
mod mounts;
mod program;
mod rootfs;
mod seccomp;
mod syscalls;
mod terminal;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

pub use capability::{DEFAULT_CAPABILITIES, all_capabilities, capability_number};
pub use clone::Fork;
pub use rootfs::check_overlay_apart;

use crate::layout::ContainerFiles;
use crate::record::{Launch, PidNamespace};
use crate::wire;
use child::{Io, Stdio};

/// Why a process could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Something that the shim does beforehand failed.
    #[error("cannot {step}")]
    Prepare {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The new process could not become what was asked for; the text is its own.
    #[error("{0}")]
    Child(String),
}

/// A process that runs, and the shim's ends of its streams.
pub struct Spawned {
    /// In the shim's PID namespace.
    pub pid: i32,
    /// Its streams.
    pub streams: Streams,
}

/// The shim's ends.
pub enum Streams {
    /// One end of each pipe.
    Pipes {
        /// Absent when the process reads from /dev/null.
        stdin: Option<OwnedFd>,
        /// Read end.
        stdout: OwnedFd,
        /// Read end.
        stderr: OwnedFd,
    },
    /// The terminal's controlling side.
    Terminal(OwnedFd),
}

/// Makes the first process of a container and returns once it has become the container's program.
///
/// `pid_namespace` is the namespace to join when it is neither its own nor the machine's; `home` is the shim's own.
pub fn start_container(
    launch: &Launch,
    files: &ContainerFiles,
    pid_namespace: Option<&File>,
    home: &File,
) -> Result<Spawned, LaunchError> {
    let mut flags = libc::CLONE_NEWNS;
    if launch.pid_namespace() == PidNamespace::Own {
        flags |= libc::CLONE_NEWPID;
    }
    let _joined = pid_namespace
        .map(|namespace| clone::JoinedPidNamespace::enter(namespace, home))
        .transpose()
        .map_err(prepare("join the PID namespace"))?;
    let birth = Birth::of(launch, flags)?;
    spawn(launch.terminal, launch.stdin, &birth, |io| {
        child::run_container(launch, files, io)
    })
}

/// Makes a further process in the container whose first process is `container_pid`.
pub fn start_exec(
    launch: &Launch,
    container_pid: i32,
    args: &[String],
    (terminal, stdin): (bool, bool),
    home: &File,
) -> Result<Spawned, LaunchError> {
    let namespace =
        File::open(format!("/proc/{container_pid}/ns/pid")).map_err(prepare("open the container's PID namespace"))?;
    let _joined =
        clone::JoinedPidNamespace::enter(&namespace, home).map_err(prepare("join the container's PID namespace"))?;
    let birth = Birth::of(launch, 0)?;
    spawn(terminal, stdin, &birth, |io| {
        child::run_exec(launch, container_pid, args, terminal, io)
    })
}

/// The empty first process of a pod whose containers share one PID namespace: it adopts and reaps.
pub fn start_pod_init() -> Result<i32, LaunchError> {
    match clone::fork(libc::CLONE_NEWPID).map_err(prepare("make the pod's PID namespace"))? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => child::run_pod_init(),
    }
}

fn prepare(step: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |source| LaunchError::Prepare { step, source }
}

/// What a process is born with.
struct Birth {
    flags: libc::c_int,
    /// Of version 2; those of version 1 are joined by the child.
    cgroup: Option<File>,
}

impl Birth {
    fn of(launch: &Launch, flags: libc::c_int) -> Result<Self, LaunchError> {
        let unified = launch.cgroups.iter().find(|cgroup| cgroup.controllers.is_empty());
        let cgroup = unified.map(|cgroup| File::open(&cgroup.directory)).transpose();
        Ok(Self {
            flags,
            cgroup: cgroup.map_err(prepare("open the container's cgroup"))?,
        })
    }
}

/// Clones, and waits for the child's word: its error, its terminal, or the silence of a successful exec.
fn spawn(
    terminal: bool,
    stdin: bool,
    birth: &Birth,
    become_program: impl FnOnce(Io) -> Result<std::convert::Infallible, child::ChildError>,
) -> Result<Spawned, LaunchError> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).map_err(|error| {
            LaunchError::Prepare {
                step: "make a socket pair",
                source: error.into(),
            }
        })?;
    let (streams, stdio) = if terminal {
        (None, None)
    } else {
        make_pipes(stdin).map(|(a, b)| (Some(a), Some(b)))?
    };
    match clone::fork_into(birth.flags, birth.cgroup.as_ref()).map_err(prepare("clone"))? {
        Fork::Child => {
            drop((ours, streams));
            child::finish(theirs, stdio, become_program)
        }
        Fork::Parent(pid) => {
            drop((theirs, stdio));
            let terminal = hear(&ours).inspect_err(|_| clone::reap(pid))?;
            let streams = match (streams, terminal) {
                (Some(pipes), _) => pipes,
                (None, Some(terminal)) => Streams::Terminal(terminal),
                (None, None) => {
                    clone::reap(pid);
                    return Err(LaunchError::Child(
                        "the process ended before it had a terminal".to_owned(),
                    ));
                }
            };
            Ok(Spawned { pid, streams })
        }
    }
}

/// Reads what the child says until it has become its program.
fn hear(socket: &OwnedFd) -> Result<Option<OwnedFd>, LaunchError> {
    let mut terminal = None;
    loop {
        match wire::receive::<wire::Report>(socket.as_fd()).map_err(prepare("hear from the new process"))? {
            None => return Ok(terminal),
            Some((report, _)) if !report.error.is_empty() => return Err(LaunchError::Child(report.error)),
            Some((_, descriptors)) => terminal = descriptors.into_iter().next(),
        }
    }
}

fn make_pipes(stdin: bool) -> Result<(Streams, Stdio), LaunchError> {
    let pipe = || {
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|error| LaunchError::Prepare {
            step: "make a pipe",
            source: error.into(),
        })
    };
    let (stdout_ours, stdout) = pipe()?;
    let (stderr_ours, stderr) = pipe()?;
    let (stdin, stdin_ours) = if stdin {
        let (read, write) = pipe()?;
        (read, Some(write))
    } else {
        (File::open("/dev/null").map_err(prepare("open /dev/null"))?.into(), None)
    };
    let ours = Streams::Pipes {
        stdin: stdin_ours,
        stdout: stdout_ours,
        stderr: stderr_ours,
    };
    Ok((ours, Stdio { stdin, stdout, stderr }))
}

/// Splits this process in two, so that the child outlives its parent; for a process with one thread.
pub fn detach() -> io::Result<Fork> {
    clone::fork(0)
}
