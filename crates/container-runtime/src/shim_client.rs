//! The runtime's side of its conversation with a shim.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use supervision::Supervisor;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::descriptor;
use crate::layout::SHIM_SOCKET;
use crate::wire::{self, Action, DescriptorRole, Report, Request};

/// Why a shim did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The shim's program did not start.
    #[error("cannot start the shim {program:?}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The shim ended before it listened.
    #[error("the shim ended with {status}: {words}")]
    Ended {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it wrote.
        words: String,
    },
    /// Nobody listens.
    #[error("cannot connect to the shim at {path}")]
    Connect {
        /// Its socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It could not be spoken to.
    #[error("cannot send to the shim")]
    Send(#[source] io::Error),
    /// It went away before it answered.
    #[error("the shim has gone")]
    Gone,
    /// It tried and failed; the words are its own.
    #[error("{0}")]
    Refused(String),
}

/// What a shim tells unasked.
#[derive(Clone, Debug)]
pub enum ShimEvent {
    /// A container ended; its exit is on disk, unless the disk is full.
    ContainerEnded {
        /// The container.
        container_id: String,
        /// Its exit code.
        code: i32,
    },
    /// The connection ended.
    Lost {
        /// The sandbox.
        sandbox_id: String,
    },
}

/// A successful answer.
pub struct Answer {
    /// The words.
    pub report: Report,
    /// For a new process: its exit code, in time.
    pub exit: Option<oneshot::Receiver<i32>>,
    descriptors: Vec<OwnedFd>,
}

impl Answer {
    /// Takes the descriptor that has a role.
    pub fn take(&mut self, role: DescriptorRole) -> Option<OwnedFd> {
        let place = self.report.descriptors.iter().position(|known| *known == role as i32)?;
        if place >= self.descriptors.len() {
            return None;
        }
        self.report.descriptors.remove(place);
        Some(self.descriptors.remove(place))
    }
}

type Waiting = BTreeMap<u64, (bool, oneshot::Sender<Answer>)>;

#[derive(Default)]
struct Expected {
    answers: Waiting,
    exits: BTreeMap<i32, oneshot::Sender<i32>>,
    lost: bool,
}

/// A connection to one shim. Requests may be under way at the same time.
pub struct ShimClient {
    socket: AsyncFd<OwnedFd>,
    expected: Mutex<Expected>,
    next: AtomicU64,
}

/// A shim on its way.
pub struct Starting {
    program: PathBuf,
    log: PathBuf,
    child: tokio::process::Child,
}

impl Starting {
    /// Waits until it listens: its first process ends then.
    pub async fn listening(mut self) -> Result<(), ShimError> {
        let status = self.child.wait().await.map_err(|source| ShimError::Spawn {
            program: self.program,
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        let words = std::fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned();
        Err(ShimError::Ended { status, words })
    }
}

impl ShimClient {
    /// Starts a shim for the sandbox whose run directory is given, and returns once it listens.
    pub async fn spawn(config: &Config, directory: &Path) -> Result<(), ShimError> {
        Self::begin(config, directory)?.listening().await
    }

    /// Begins to start a shim; other things may be done until it listens.
    pub fn begin(config: &Config, directory: &Path) -> Result<Starting, ShimError> {
        let Some((program, arguments)) = config.shim_command.split_first() else {
            return Err(ShimError::Spawn {
                program: PathBuf::new(),
                source: io::Error::other("no shim command is configured"),
            });
        };
        let program = PathBuf::from(program);
        let failed = |source| ShimError::Spawn {
            program: program.clone(),
            source,
        };
        let log = directory.join("shim.log");
        let words = std::fs::File::create(&log).map_err(failed)?;
        let mut command = tokio::process::Command::new(&program);
        command
            .args(arguments)
            .arg(directory)
            .arg(std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(words)
            .env_clear();
        let child = command.spawn().map_err(failed)?;
        Ok(Starting { program, log, child })
    }

    /// Connects to a shim that listens. What it tells goes to `events`.
    pub fn connect(
        sandbox_id: &str,
        directory: &Path,
        events: mpsc::UnboundedSender<ShimEvent>,
        supervisor: &Supervisor,
    ) -> Result<Arc<Self>, ShimError> {
        let path = directory.join(SHIM_SOCKET);
        let failed = |source| ShimError::Connect {
            path: path.clone(),
            source,
        };
        let socket = descriptor::watch(wire::connect_to(&path).map_err(failed)?).map_err(failed)?;
        let client = Arc::new(Self {
            socket,
            expected: Mutex::default(),
            next: AtomicU64::new(1),
        });
        let reader = Arc::clone(&client);
        let sandbox_id = sandbox_id.to_owned();
        supervisor.spawn(format!("shim {sandbox_id}"), async move {
            reader.read_until_lost(&events).await;
            // Whoever waits for an answer hears that there will be none.
            *reader.expected() = Expected {
                lost: true,
                ..Expected::default()
            };
            if events.send(ShimEvent::Lost { sandbox_id }).is_err() {
                tracing::debug!("the runtime ended before its shim's connection");
            }
        });
        Ok(client)
    }

    /// Whether the shim has gone; set before [`ShimEvent::Lost`] tells it.
    pub fn is_lost(&self) -> bool {
        self.expected().lost
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, action: Action) -> Result<Answer, ShimError> {
        let makes_process = matches!(action, Action::Exec(_));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut expected = self.expected();
            if expected.lost {
                return Err(ShimError::Gone);
            }
            expected.answers.insert(id, (makes_process, sender));
        }
        if let Err(error) = self
            .send(&Request {
                id,
                action: Some(action),
            })
            .await
        {
            self.expected().answers.remove(&id);
            return Err(ShimError::Send(error));
        }
        let answer = receiver
            .await
            .map_err(|_dropped: oneshot::error::RecvError| ShimError::Gone)?;
        if answer.report.error.is_empty() {
            Ok(answer)
        } else {
            Err(ShimError::Refused(answer.report.error))
        }
    }

    async fn send(&self, request: &Request) -> io::Result<()> {
        loop {
            let mut ready = self.socket.writable().await?;
            match ready.try_io(|socket| wire::send(socket.get_ref().as_fd(), request, &[])) {
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    async fn read_until_lost(&self, events: &mpsc::UnboundedSender<ShimEvent>) {
        loop {
            let Ok(mut ready) = self.socket.readable().await else {
                return;
            };
            match ready.try_io(|socket| wire::receive::<Report>(socket.get_ref().as_fd())) {
                Ok(Ok(Some((report, descriptors)))) => self.handle(report, descriptors, events),
                Ok(Ok(None) | Err(_)) => return,
                Err(_would_block) => {}
            }
        }
    }

    fn handle(&self, report: Report, descriptors: Vec<OwnedFd>, events: &mpsc::UnboundedSender<ShimEvent>) {
        if report.reply_to != 0 {
            let mut expected = self.expected();
            let Some((makes_process, waiting)) = expected.answers.remove(&report.reply_to) else {
                return;
            };
            let exit = (makes_process && report.error.is_empty()).then(|| {
                let (sender, receiver) = oneshot::channel();
                expected.exits.insert(report.pid, sender);
                receiver
            });
            drop(waiting.send(Answer {
                report,
                exit,
                descriptors,
            }));
        } else if report.ended_exec != 0 {
            let waiting = self.expected().exits.remove(&report.ended_exec);
            if waiting.is_some_and(|waiting| waiting.send(report.code).is_err()) {
                tracing::debug!(pid = report.ended_exec, "nobody waits for this exec any more");
            }
        } else if events
            .send(ShimEvent::ContainerEnded {
                container_id: report.container_id,
                code: report.code,
            })
            .is_err()
        {
            tracing::debug!("the runtime ended before its container");
        }
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
