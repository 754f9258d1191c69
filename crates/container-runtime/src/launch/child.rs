//! The life of a new process from clone to exec.
#![allow(unsafe_code, reason = "the last steps before exec are system calls without wrappers")]

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};

use super::clone::set_namespace;
use super::{credentials, program, rootfs, seccomp, terminal};
use crate::layout::ContainerFiles;
use crate::record::Launch;
use crate::wire::{self, DescriptorRole, Report};

/// Why a process could not become the container's program; shown to the user.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// A step on a path failed.
    #[error("cannot {step} {path}: {source}")]
    At {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A step failed.
    #[error("cannot {step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The image is empty.
    #[error("the image has no layers")]
    NoLayers,
    /// The kernel reads one page of mount options.
    #[error("the image has too many layers: naming {layers} takes {bytes} bytes, and a mount takes 4095")]
    TooManyLayers {
        /// How many.
        layers: usize,
        /// How long their names are together.
        bytes: usize,
    },
    /// The program cannot be run; worded as OCI runtimes do.
    #[error("exec: {program:?}: {reason}")]
    Exec {
        /// The program.
        program: String,
        /// Why not.
        reason: String,
    },
    /// The system call filter was refused.
    #[error("cannot set the system call filter: {0}")]
    Seccomp(#[from] seccomp::SeccompError),
}

/// Makes an error of a step on a path.
pub fn at(step: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> ChildError {
    let path = path.as_ref().to_owned();
    move |source| ChildError::At { step, path, source }
}

fn step(step: &'static str) -> impl FnOnce(io::Error) -> ChildError {
    move |source| ChildError::Step { step, source }
}

/// The program's ends of its pipes.
pub struct Stdio {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// How the child speaks with the shim, and what it was given.
pub struct Io {
    parent: OwnedFd,
    stdio: Option<Stdio>,
}

/// Runs the child to its end: exec, or a word of failure to the shim.
pub fn finish(
    parent: OwnedFd,
    stdio: Option<Stdio>,
    become_program: impl FnOnce(Io) -> Result<Infallible, ChildError>,
) -> ! {
    let words = parent.try_clone();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| become_program(Io { parent, stdio })));
    let error = match outcome {
        Ok(Ok(never)) => match never {},
        Ok(Err(error)) => error.to_string(),
        Err(_panic) => "the process panicked before it became the program".to_owned(),
    };
    if let Ok(words) = words {
        let report = Report {
            error,
            ..Report::default()
        };
        if wire::send(words.as_fd(), &report, &[]).is_err() {
            // The shim has gone; so does this.
        }
    }
    // SAFETY: ends this process without running what the shim registered for its own end.
    unsafe { libc::_exit(127) }
}

/// The first process of a container.
pub fn run_container(launch: &Launch, files: &ContainerFiles, io: Io) -> Result<Infallible, ChildError> {
    fresh_start()?;
    join_cgroups(launch)?;
    set_oom_score(launch.oom_score_adj)?;
    for (path, kind) in [
        (&launch.network_namespace, libc::CLONE_NEWNET),
        (&launch.ipc_namespace, libc::CLONE_NEWIPC),
        (&launch.uts_namespace, libc::CLONE_NEWUTS),
    ] {
        if !path.is_empty() {
            let namespace = File::open(path).map_err(at("open the pod's namespace", path))?;
            set_namespace(&namespace, kind).map_err(at("join the pod's namespace", path))?;
        }
    }
    if !launch.cgroups.is_empty() && !launch.privileged {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)
            .map_err(|error| step("make a cgroup namespace")(error.into()))?;
    }
    rootfs::enter(launch, files)?;
    become_program(launch, &launch.args, launch.terminal, true, io)
}

/// A further process of a container.
pub fn run_exec(
    launch: &Launch,
    container_pid: i32,
    args: &[String],
    terminal: bool,
    io: Io,
) -> Result<Infallible, ChildError> {
    fresh_start()?;
    join_cgroups(launch)?;
    set_oom_score(launch.oom_score_adj)?;
    // All are opened before the first is joined: the mount namespace takes /proc away.
    let namespaces = [
        ("cgroup", libc::CLONE_NEWCGROUP),
        ("net", libc::CLONE_NEWNET),
        ("ipc", libc::CLONE_NEWIPC),
        ("uts", libc::CLONE_NEWUTS),
        ("mnt", libc::CLONE_NEWNS),
    ]
    .map(|(name, kind)| {
        (
            format!("/proc/{container_pid}/ns/{name}"),
            format!("/proc/self/ns/{name}"),
            kind,
        )
    });
    let mut opened = Vec::new();
    for (path, own, kind) in namespaces {
        // What is shared already need not be joined, and may belong to a user namespace that allows no joining.
        if fs::read_link(&path).is_ok_and(|theirs| fs::read_link(&own).is_ok_and(|ours| ours == theirs)) {
            continue;
        }
        let namespace = File::open(&path).map_err(at("open the container's namespace", &path))?;
        opened.push((path, namespace, kind));
    }
    for (path, namespace, kind) in opened {
        set_namespace(&namespace, kind).map_err(at("join the container's namespace", path))?;
    }
    become_program(launch, args, terminal, false, io)
}

/// The empty first process of a shared PID namespace. Ends with the shim.
pub fn run_pod_init() -> ! {
    let prepared = fresh_start().and_then(|()| end_with_shim().map_err(step("tie the process to its shim")));
    while prepared.is_ok() {
        // Reaps what containers leave behind, and sleeps when there is nothing.
        if nix::sys::wait::waitpid(None, None).is_err() {
            nix::unistd::pause();
        }
    }
    // SAFETY: as in `finish`.
    unsafe { libc::_exit(127) }
}

/// Undoes what the shim set for itself: signals, session, file mode mask.
fn fresh_start() -> Result<(), ChildError> {
    let reset = || -> nix::Result<()> {
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        // SAFETY: the default disposition runs no code of ours.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl)? };
        nix::unistd::setsid()?;
        umask(Mode::from_bits_truncate(0o022));
        Ok(())
    };
    reset().map_err(|error| step("begin afresh")(error.into()))
}

/// Joins the cgroups of version 1. By `tasks`, which for a process with one thread is as good as `cgroup.procs` and waits for nobody;
/// a cgroup of version 2 the process was born in.
fn join_cgroups(launch: &Launch) -> Result<(), ChildError> {
    for cgroup in launch.cgroups.iter().filter(|cgroup| !cgroup.controllers.is_empty()) {
        let tasks = Path::new(&cgroup.directory).join("tasks");
        fs::write(&tasks, "0").map_err(at("join the cgroup", &tasks))?;
    }
    Ok(())
}

/// A process without CAP_SYS_RESOURCE may not go below its own value, so the wish is clamped to it.
fn set_oom_score(wanted: i32) -> Result<(), ChildError> {
    let path = "/proc/self/oom_score_adj";
    let mut text = String::new();
    File::open(path)
        .and_then(|mut file| file.read_to_string(&mut text))
        .map_err(at("read", path))?;
    let own: i32 = text.trim().parse().unwrap_or(0);
    match fs::write(path, wanted.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::write(path, wanted.max(own).to_string()).map_err(at("write", path))
        }
        other => other.map_err(at("write", path)),
    }
}

fn end_with_shim() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)
}

/// Streams, user, capabilities, filter, exec. The process is in the container by now.
fn become_program(
    launch: &Launch,
    args: &[String],
    wants_terminal: bool,
    console: bool,
    io: Io,
) -> Result<Infallible, ChildError> {
    if wants_terminal {
        use_terminal(launch, console, &io.parent)?;
    } else if let Some(stdio) = &io.stdio {
        use_pipes(launch, stdio)?;
    }
    let working_dir = Path::new(&launch.working_dir);
    if launch.no_new_privileges {
        nix::sys::prctl::set_no_new_privs().map_err(|error| step("give up new privileges")(error.into()))?;
    } else if launch.seccomp {
        // Without no_new_privs only an administrator may set a filter, so it comes before the user changes.
        seccomp::install(launch.capabilities)?;
    }
    credentials::drop_bounding_set(launch.capabilities).map_err(step("drop capabilities"))?;
    credentials::become_user(launch).map_err(step("become the user"))?;
    std::env::set_current_dir(working_dir).map_err(at("enter the working directory", working_dir))?;
    // After the change of user, which would reset it.
    end_with_shim().map_err(step("tie the process to its shim"))?;
    if gone(&io.parent) {
        return Err(step("run")(io::Error::from(io::ErrorKind::BrokenPipe)));
    }
    if launch.no_new_privileges && launch.seccomp {
        seccomp::install(launch.capabilities)?;
    }
    program::execute(args, &launch.environment)
}

/// Whether the shim died between clone and now.
fn gone(parent: &OwnedFd) -> bool {
    let mut descriptors = [nix::poll::PollFd::new(parent.as_fd(), nix::poll::PollFlags::empty())];
    matches!(nix::poll::poll(&mut descriptors, nix::poll::PollTimeout::ZERO), Ok(count) if count > 0)
}

fn use_pipes(launch: &Launch, stdio: &Stdio) -> Result<(), ChildError> {
    let place = || -> nix::Result<()> {
        for descriptor in [&stdio.stdin, &stdio.stdout, &stdio.stderr] {
            own_stream(launch, descriptor)?;
        }
        nix::unistd::dup2_stdin(&stdio.stdin)?;
        nix::unistd::dup2_stdout(&stdio.stdout)?;
        nix::unistd::dup2_stderr(&stdio.stderr)?;
        Ok(())
    };
    place().map_err(|error| step("connect the standard streams")(error.into()))
}

/// Lets the container's user open its own streams by name (/dev/stdout).
fn own_stream(launch: &Launch, stream: &OwnedFd) -> nix::Result<()> {
    let metadata = nix::sys::stat::fstat(stream)?;
    let kind = metadata.st_mode & libc::S_IFMT;
    let shared = kind == libc::S_IFCHR && metadata.st_rdev == libc::makedev(1, 3);
    if shared || launch.uid == 0 {
        return Ok(());
    }
    nix::unistd::fchown(
        stream,
        Some(nix::unistd::Uid::from_raw(launch.uid)),
        Some(nix::unistd::Gid::from_raw(launch.gid)),
    )
}

fn use_terminal(launch: &Launch, console: bool, parent: &OwnedFd) -> Result<(), ChildError> {
    let (controlling, program_side) = terminal::open().map_err(step("make a terminal"))?;
    let report = Report {
        descriptors: vec![DescriptorRole::Terminal as i32],
        ..Report::default()
    };
    wire::send(parent.as_fd(), &report, &[controlling.as_raw_fd()]).map_err(step("hand over the terminal"))?;
    drop(controlling);
    terminal::take(&program_side).map_err(step("take the terminal"))?;
    let place = || -> nix::Result<()> {
        own_stream(launch, &program_side)?;
        nix::unistd::dup2_stdin(&program_side)?;
        nix::unistd::dup2_stdout(&program_side)?;
        nix::unistd::dup2_stderr(&program_side)
    };
    place().map_err(|error| step("connect the terminal")(error.into()))?;
    if console {
        let name = fs::read_link("/proc/self/fd/0").map_err(step("name the terminal"))?;
        super::mounts::make_file(Path::new("/dev/console")).map_err(at("make", "/dev/console"))?;
        nix::mount::mount(
            Some(&name),
            "/dev/console",
            None::<&str>,
            nix::mount::MsFlags::MS_BIND,
            None::<&str>,
        )
        .map_err(|error| at("mount the terminal on", "/dev/console")(error.into()))?;
    }
    Ok(())
}
