//! The shim: one small process for each pod, parent of its containers, holder of their output and exit codes.
//!
//! It has one thread and no timers, sleeps in poll(2), and outlives the runtime: what happens meanwhile is on disk when the next runtime
//! connects. When the shim itself is killed its containers are killed by the kernel, and the runtime reports them with code 137.

mod container;
mod log;
mod output;
mod process;

pub use process::kill_cgroups;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{SockFlag, accept4};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::launch::{self, Fork, LaunchError};
use crate::layout::SHIM_SOCKET;
use crate::record::{PidNamespace, RecordError};
use crate::wire::{self, Action, Report, Request};
use container::Container;
use output::Output;

/// Why a shim could not do what it was asked, or could not begin.
#[derive(Debug, thiserror::Error)]
enum ShimError {
    #[error("a shim takes two arguments, the directory of its sandbox and the process that starts it")]
    Arguments,
    #[error("the runtime that started this shim has gone")]
    NoParent,
    #[error("cannot {step}")]
    Begin { step: &'static str, source: io::Error },
    #[error("no container {0} runs here")]
    NotRunning(String),
    #[error("container {0} runs already")]
    AlreadyRunning(String),
    #[error("container {0} has no open standard input")]
    NoStdin(String),
    #[error("container {0} has no launch record")]
    NoLaunch(String),
    #[error("the request names no action")]
    NoAction,
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot {step} of container {container}")]
    Container {
        step: &'static str,
        container: String,
        source: io::Error,
    },
}

/// Becomes a shim: `args` are what follows the shim's own command. Must be called while the process has one thread.
///
/// Returns at once in the caller, with the process's exit code, when the detached shim listens; returns in the shim when it was shut down.
pub fn shim_main(args: &[OsString]) -> i32 {
    match run(args) {
        Ok(()) => 0,
        Err(error) => {
            // The shim's standard error is a file of its own beside its socket.
            eprintln!("shim: {}", supervision::error_chain(&error));
            1
        }
    }
}

fn run(args: &[OsString]) -> Result<(), ShimError> {
    let [directory, parent] = args else {
        return Err(ShimError::Arguments);
    };
    let directory = Path::new(directory);
    stay_with(parent)?;
    let listener = wire::listen_on(&directory.join(SHIM_SOCKET)).map_err(begin("listen"))?;
    match launch::detach().map_err(begin("detach"))? {
        Fork::Parent(_) => return Ok(()),
        Fork::Child => {}
    }
    nix::unistd::setsid().map_err(|error| begin("begin a session")(error.into()))?;
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), None).map_err(|error| begin("block signals")(error.into()))?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|error| begin("hear of ended processes")(error.into()))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(|error| begin("adopt orphans")(error.into()))?;
    let home = File::open("/proc/self/ns/pid").map_err(begin("open the own PID namespace"))?;
    let mut shim = Shim {
        listener,
        signals,
        home,
        connections: Vec::new(),
        containers: BTreeMap::new(),
        unread: Vec::new(),
        execs: Vec::new(),
        pod_init: None,
        finished: false,
    };
    while !shim.finished {
        shim.turn().map_err(begin("wait"))?;
    }
    std::fs::remove_file(directory.join(SHIM_SOCKET)).map_err(begin("remove the socket"))
}

/// Until it listens, a shim ends with the runtime that starts it: the next runtime would not find it.
fn stay_with(parent: &OsString) -> Result<(), ShimError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| begin("follow the runtime")(error.into()))?;
    let alive = parent.to_str() == Some(nix::unistd::getppid().to_string().as_str());
    if alive { Ok(()) } else { Err(ShimError::NoParent) }
}

fn begin(step: &'static str) -> impl FnOnce(io::Error) -> ShimError {
    move |source| ShimError::Begin { step, source }
}

struct Shim {
    listener: OwnedFd,
    signals: SignalFd,
    home: File,
    connections: Vec<OwnedFd>,
    containers: BTreeMap<String, Container>,
    /// Of containers that have ended, while somebody attached has not read it all.
    unread: Vec<Output>,
    execs: Vec<i32>,
    pod_init: Option<i32>,
    finished: bool,
}

impl Shim {
    /// Sleeps until something happens, and does all that is to do.
    fn turn(&mut self) -> io::Result<()> {
        let ready = self.wait()?;
        for container in self.containers.values_mut() {
            if container.output.concerns(&ready) {
                container.output.pump();
            }
        }
        self.unread.retain_mut(|output| {
            if output.concerns(&ready) {
                output.pump();
            }
            output.is_unread()
        });
        if ready.contains(&self.listener.as_raw_fd()) {
            self.accept();
        }
        let speaking: Vec<RawFd> = self
            .connections
            .iter()
            .map(AsRawFd::as_raw_fd)
            .filter(|connection| ready.contains(connection))
            .collect();
        for connection in speaking {
            self.hear(connection);
        }
        if ready.contains(&self.signals.as_fd().as_raw_fd()) {
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
        // Always, for a container may have ended between its clone and the first look at the signals.
        self.reap();
        Ok(())
    }

    fn wait(&self) -> io::Result<Vec<RawFd>> {
        let mut waits = vec![
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        waits.extend(
            self.connections
                .iter()
                .map(|connection| PollFd::new(connection.as_fd(), PollFlags::POLLIN)),
        );
        for container in self.containers.values() {
            waits.extend(container.output.waits());
        }
        waits.extend(self.unread.iter().flat_map(Output::waits));
        match poll(&mut waits, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(waits
            .iter()
            .filter(|wait| wait.any().unwrap_or(true))
            .map(|wait| wait.as_fd().as_raw_fd())
            .collect())
    }

    fn accept(&mut self) {
        // A runtime that went away before it was accepted is no loss.
        if let Ok(number) = accept4(
            self.listener.as_raw_fd(),
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        ) {
            self.connections.push(process::own(number));
        }
    }

    fn hear(&mut self, number: RawFd) {
        let Some(place) = self
            .connections
            .iter()
            .position(|connection| connection.as_raw_fd() == number)
        else {
            return;
        };
        let request = match wire::receive::<Request>(self.connections[place].as_fd()) {
            Ok(Some((request, _))) => request,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(None) | Err(_) => {
                self.connections.remove(place);
                return;
            }
        };
        let (mut report, descriptors) = self.answer(&request).unwrap_or_else(|error| {
            (
                Report {
                    error: supervision::error_chain(&error),
                    ..Report::default()
                },
                Vec::new(),
            )
        });
        report.reply_to = request.id;
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        if wire::send(self.connections[place].as_fd(), &report, &numbers).is_err() {
            self.connections.remove(place);
        }
    }

    fn answer(&mut self, request: &Request) -> Result<(Report, Vec<OwnedFd>), ShimError> {
        let mut report = Report::default();
        let mut descriptors = Vec::new();
        match request.action.as_ref().ok_or(ShimError::NoAction)? {
            Action::Start(start) => report.pid = self.start(start)?,
            Action::Signal(signal) => self.running(&signal.container_id)?.signal(signal.signal)?,
            Action::Exec(exec) => {
                let home = self.home.try_clone().map_err(begin("copy a descriptor"))?;
                let spawned = self.running(&exec.container_id)?.exec(exec, &home)?;
                self.execs.push(spawned.pid);
                report.pid = spawned.pid;
                (report.descriptors, descriptors) = container::hand_over(spawned.streams);
            }
            Action::KillExec(kill) if self.execs.contains(&kill.pid) => process::kill_session(kill.pid),
            Action::KillExec(_) => {}
            Action::Attach(attach) => {
                (report.descriptors, descriptors) = self.running(&attach.container_id)?.attach(attach.stdin)?
            }
            Action::ReopenLog(reopen) => self.running(&reopen.container_id)?.reopen_log()?,
            Action::List(_) => report.running = self.containers.keys().cloned().collect(),
            Action::Shutdown(_) => self.shut_down(),
        }
        Ok((report, descriptors))
    }

    fn running(&mut self, id: &str) -> Result<&mut Container, ShimError> {
        self.containers
            .get_mut(id)
            .ok_or_else(|| ShimError::NotRunning(id.to_owned()))
    }

    fn start(&mut self, start: &wire::Start) -> Result<i32, ShimError> {
        if self.containers.contains_key(&start.container_id) {
            return Err(ShimError::AlreadyRunning(start.container_id.clone()));
        }
        let (launch, files) = container::read_launch(&start.container_id, &start.directory)?;
        let joined = match launch.pid_namespace() {
            PidNamespace::Own | PidNamespace::Machine => None,
            PidNamespace::Pod => Some(self.pod_init()?),
            PidNamespace::Target => Some(self.running(&launch.target_container)?.pid),
        };
        let joined = joined
            .map(|pid| File::open(format!("/proc/{pid}/ns/pid")))
            .transpose()
            .map_err(begin("open a PID namespace"))?;
        let container = Container::start(&start.container_id, launch, files, joined.as_ref(), &self.home)?;
        let pid = container.pid;
        self.containers.insert(start.container_id.clone(), container);
        Ok(pid)
    }

    fn pod_init(&mut self) -> Result<i32, ShimError> {
        if let Some(pid) = self.pod_init {
            return Ok(pid);
        }
        let pid = launch::start_pod_init()?;
        self.pod_init = Some(pid);
        Ok(pid)
    }

    /// Takes the exit of every process that ended.
    fn reap(&mut self) {
        loop {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid.as_raw(), code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid.as_raw(), 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            if let Some(place) = self.execs.iter().position(|exec| *exec == pid) {
                self.execs.remove(place);
                self.tell(&Report {
                    ended_exec: pid,
                    code,
                    ..Report::default()
                });
            } else if self.pod_init == Some(pid) {
                self.pod_init = None;
            } else if let Some(id) = self
                .containers
                .iter()
                .find(|(_, container)| container.pid == pid)
                .map(|(id, _)| id.clone())
                && let Some(container) = self.containers.remove(&id)
            {
                match container.finish(code) {
                    Ok(output) if output.is_unread() => self.unread.push(output),
                    Ok(_) => {}
                    Err(error) => eprintln!("shim: {}", supervision::error_chain(&error)),
                }
                self.tell(&Report {
                    container_id: id,
                    code,
                    ..Report::default()
                });
            }
        }
    }

    /// Tells every runtime that listens. One that does not read is cut off: it finds the same on disk when it comes back.
    fn tell(&mut self, report: &Report) {
        self.connections
            .retain(|connection| wire::send(connection.as_fd(), report, &[]).is_ok());
    }

    fn shut_down(&mut self) {
        for container in self.containers.values() {
            process::kill(container.pid);
        }
        if let Some(pid) = self.pod_init {
            process::kill(pid);
        }
        self.finished = true;
    }
}
