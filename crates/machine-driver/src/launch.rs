//! Starting a machine: a launcher makes the namespaces, writes the first process down, and only then lets it run.
//!
//! Namespaces are made by a process of one thread, because `unshare` and `fork` are only sound there; so the region process, which has many,
//! re-executes itself as the launcher. The first process waits for the launcher's word, and takes silence for the launcher's death.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2, setsid};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cgroup::{Limits, MachineGroup};
use crate::process::{Machine, MachineError};

/// The file in a machine's directory that the launcher reads.
const SPEC: &str = "launch.json";

/// Descriptor number under which a machine's first process holds its VPC's network namespace.
pub(crate) const FABRIC_DESCRIPTOR: RawFd = 9;

/// What to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MachineSpec {
    /// The machine's directory, which exists.
    pub directory: PathBuf,
    /// The program that becomes process 1, and its arguments.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub arguments: Vec<String>,
    /// Host name inside the machine.
    pub host_name: String,
    /// The machine's control group, below the part that names this Ondol.
    pub group: String,
    /// Processors and memory, as far as this host can enforce them.
    pub limits: Limits,
}

/// Why a machine did not start.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// A file of the machine's directory.
    #[error("write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The launcher could not be run.
    #[error("run the launcher of {directory}")]
    Launcher {
        /// The machine's directory.
        directory: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The launcher gave up; it says why.
    #[error("the launcher of {directory} failed: {said}")]
    Refused {
        /// The machine's directory.
        directory: PathBuf,
        /// What it printed.
        said: String,
    },
    /// The machine was started but cannot be found.
    #[error("the machine of {directory} ended at once; its log: {log}")]
    Gone {
        /// The machine's directory.
        directory: PathBuf,
        /// The end of its log.
        log: String,
    },
    /// The record of its process.
    #[error(transparent)]
    Record(#[from] MachineError),
}

/// Starts a machine, or finds the one that runs already. It belongs to nobody: it lives on when the caller dies.
///
/// `fabric` is held open by the machine's first process, so that the VPC's network namespace lives as long as anything in it.
///
/// # Errors
/// When a namespace or control group cannot be made; nothing runs then.
pub async fn launch(spec: &MachineSpec, fabric: Option<BorrowedFd<'_>>) -> Result<Machine, LaunchError> {
    if let Some(running) = Machine::find(&spec.directory)? {
        return Ok(running);
    }
    let path = spec.directory.join(SPEC);
    let text = serde_json::to_vec(spec).map_err(|error| LaunchError::File {
        path: path.clone(),
        source: error.into(),
    })?;
    fs::write(&path, text).map_err(|source| LaunchError::File { path, source })?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("ondol").arg("machine-launch").arg(&spec.directory);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(fabric) = fabric {
        pass_descriptor(&mut command, fabric.as_raw_fd(), FABRIC_DESCRIPTOR);
    }
    let failed = |source| LaunchError::Launcher {
        directory: spec.directory.clone(),
        source,
    };
    let output = tokio::process::Command::from(command).output().await.map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LaunchError::Refused {
            directory: spec.directory.clone(),
            said,
        });
    }
    Machine::find(&spec.directory)?.ok_or_else(|| LaunchError::Gone {
        directory: spec.directory.clone(),
        log: last_lines(&spec.directory.join("log")),
    })
}

#[allow(unsafe_code, reason = "a descriptor is handed to a child under a fixed number")]
fn pass_descriptor(command: &mut Command, from: RawFd, to: RawFd) {
    // SAFETY: dup2 and fcntl are async-signal-safe and allocate nothing; `from` stays open until the child was spawned.
    unsafe {
        command.pre_exec(move || {
            // A descriptor that has the number already keeps its close-on-exec flag under dup2.
            let done = if from == to {
                libc::fcntl(from, libc::F_SETFD, 0)
            } else {
                libc::dup2(from, to)
            };
            if done < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(())
            }
        });
    }
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()));
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// `ondol machine-launch <directory>`: runs with one thread, makes the machine and exits.
///
/// # Errors
/// What could not be made, as a sentence.
pub fn launcher_main(directory: &Path) -> Result<(), String> {
    let path = directory.join(SPEC);
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let spec: MachineSpec = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(flags).map_err(|error| format!("make the machine's namespaces: {error}"))?;
    let new_pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|error| format!("make a pipe: {error}"));
    let (go_read, go_write) = new_pipe()?;
    let (told_read, told_write) = new_pipe()?;
    match fork_alone().map_err(|error| format!("start the first process: {error}"))? {
        ForkResult::Parent { child } => {
            drop((go_read, told_write));
            release(&spec, child, File::from(go_write), File::from(told_read)).or_else(|said| wait_for_end(child, said))
        }
        ForkResult::Child => {
            drop((go_write, told_read));
            let mut word = [0];
            let heard = File::from(go_read).read(&mut word);
            // End of file means that the launcher died or gave up: nobody knows of us, so we must not live.
            match heard {
                Ok(1) => {
                    let said = become_first_process(&spec);
                    // Nobody is left to tell if this fails too.
                    drop(File::from(told_write).write_all(said.as_bytes()));
                    std::process::exit(1)
                }
                Ok(_) | Err(_) => std::process::exit(1),
            }
        }
    }
}

/// Writes the first process down, lets it run, and hears whether it became the machine's program.
fn release(spec: &MachineSpec, child: Pid, mut go: File, mut told: File) -> Result<(), String> {
    write_down(spec, child)?;
    go.write_all(b"g")
        .map_err(|error| format!("release the first process: {error}"))?;
    // Running the program closes the pipe; what comes through it before is the reason why it does not run.
    let mut said = String::new();
    told.read_to_string(&mut said)
        .map_err(|error| format!("hear of the first process: {error}"))?;
    if said.is_empty() { Ok(()) } else { Err(said) }
}

/// A first process that was not released, or could not become the program, ends by itself; only then is it true that nothing runs.
fn wait_for_end(child: Pid, said: String) -> Result<(), String> {
    match waitpid(child, None) {
        Ok(_) | Err(Errno::ECHILD) => Err(said),
        Err(error) => Err(format!("{said}; then wait for process {child}: {error}")),
    }
}

#[allow(
    unsafe_code,
    reason = "fork is unsafe in threaded processes; the launcher has one thread"
)]
fn fork_alone() -> nix::Result<ForkResult> {
    // SAFETY: `ondol machine-launch` starts no thread, so no lock can be held by another one.
    unsafe { fork() }
}

fn write_down(spec: &MachineSpec, child: Pid) -> Result<(), String> {
    let pid = u32::try_from(child.as_raw()).map_err(|error| error.to_string())?;
    let group = MachineGroup::create(&spec.group, &spec.limits).map_err(|error| error.to_string())?;
    group.enter(pid).map_err(|error| error.to_string())?;
    let machine = Machine::of(pid).map_err(|error| format!("look at process {pid}: {error}"))?;
    let machine = machine.ok_or_else(|| format!("process {pid} ended before it began"))?;
    machine
        .record(&spec.directory)
        .map_err(|error| format!("record process {pid}: {error}"))
}

/// Replaces this process, which is process 1 of the new namespaces, by the machine's program. Returns only if that
/// fails, with the reason.
fn become_first_process(spec: &MachineSpec) -> String {
    match try_to_become(spec) {
        Ok(never) => match never {},
        Err(said) => said,
    }
}

fn try_to_become(spec: &MachineSpec) -> Result<Infallible, String> {
    setsid().map_err(|error| format!("begin a session: {error}"))?;
    let path = spec.directory.join("log");
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| format!("open the log {}: {error}", path.display()))?;
    for target in [1, 2] {
        redirect(&log, target).map_err(|error| format!("redirect to the log: {error}"))?;
    }
    nix::unistd::sethostname(&spec.host_name).map_err(|error| format!("set the host name: {error}"))?;
    let words = std::iter::once("ondol".to_owned()).chain(spec.arguments.iter().cloned());
    let words: Vec<CString> = words
        .map(CString::new)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("read the machine's command: {error}"))?;
    let program = CString::new(spec.program.as_os_str().as_encoded_bytes())
        .map_err(|error| format!("read the machine's command: {error}"))?;
    nix::unistd::execv(&program, &words)
        .map_err(|error| format!("run the machine's program {}: {error}", spec.program.display()))
}

#[allow(unsafe_code, reason = "standard streams are replaced by number")]
fn redirect(log: &File, target: RawFd) -> io::Result<()> {
    // SAFETY: both descriptors are open, and standard streams may be replaced at any time.
    let done = unsafe { libc::dup2(log.as_raw_fd(), target) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
