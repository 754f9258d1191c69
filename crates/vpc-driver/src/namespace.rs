//! Threads that live in a network namespace: a socket belongs to the namespace of the thread that makes it.
//!
//! A thread that entered a namespace never comes back: an ordinary user may not return to the host's namespace, and a
//! worker of a runtime that forgot to return would poison every later socket.
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;

use nix::sched::{CloneFlags, setns, unshare};
use thiserror::Error;

/// Why a thread could not be had in a namespace.
#[derive(Debug, Error)]
pub enum NamespaceError {
    /// The kernel gave no thread.
    #[error("start thread {name}")]
    StartThread {
        /// Name of the thread.
        name: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No new namespace: usually no privilege and no user namespace.
    #[error("make a network namespace")]
    Make(#[source] nix::Error),
    /// The namespace could not be joined.
    #[error("enter a network namespace")]
    Enter(#[source] nix::Error),
    /// The namespace's file could not be opened.
    #[error("open network namespace {path}")]
    Open {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The thread ended, or the job panicked.
    #[error("the thread of the network namespace gave no answer")]
    ThreadGone,
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread that entered a namespace and works off jobs there, one after the other; it ends with this handle.
pub(crate) struct NamespaceThread {
    jobs: mpsc::Sender<Job>,
    namespace: OwnedFd,
}

impl NamespaceThread {
    /// A thread in a namespace of its own, which lives as long as somebody holds it.
    pub(crate) fn create(name: &str) -> Result<Self, NamespaceError> {
        Self::start(name, || unshare(CloneFlags::CLONE_NEWNET).map_err(NamespaceError::Make))
    }

    /// A thread in a namespace that exists.
    pub(crate) fn enter(name: &str, namespace: OwnedFd) -> Result<Self, NamespaceError> {
        Self::start(name, move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).map_err(NamespaceError::Enter)
        })
    }

    fn start(
        name: &str,
        enter: impl FnOnce() -> Result<(), NamespaceError> + Send + 'static,
    ) -> Result<Self, NamespaceError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, outcome) = mpsc::channel();
        let work = move || {
            let namespace = enter().and_then(|()| open(Path::new("/proc/thread-self/ns/net")));
            let stay = namespace.is_ok();
            if entered.send(namespace).is_ok() && stay {
                queue.into_iter().for_each(|job| job());
            }
        };
        spawn(name, work)?;
        let namespace = outcome.recv().map_err(|mpsc::RecvError| NamespaceError::ThreadGone)??;
        Ok(Self { jobs, namespace })
    }

    /// The namespace, to be handed to others.
    pub(crate) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Runs a short job in the namespace.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, NamespaceError> {
        let (answer, outcome) = tokio::sync::oneshot::channel();
        let job = Box::new(move || {
            // A panic must not take the thread with it: the namespace's sockets could then never be made again.
            if let Ok(result) = catch_unwind(AssertUnwindSafe(job)) {
                drop(answer.send(result));
            }
        });
        if self.jobs.send(job).is_err() {
            return Err(NamespaceError::ThreadGone);
        }
        outcome
            .await
            .map_err(|_closed: tokio::sync::oneshot::error::RecvError| NamespaceError::ThreadGone)
    }
}

/// Runs one job on a thread of its own in a namespace and waits for it.
pub(crate) fn run_in<R: Send + 'static>(
    namespace: OwnedFd,
    job: impl FnOnce() -> R + Send + 'static,
) -> Result<R, NamespaceError> {
    let (answer, outcome) = mpsc::channel();
    spawn("netns-job", move || {
        let result = setns(namespace, CloneFlags::CLONE_NEWNET)
            .map_err(NamespaceError::Enter)
            .map(|()| job());
        drop(answer.send(result));
    })?;
    outcome.recv().map_err(|mpsc::RecvError| NamespaceError::ThreadGone)?
}

/// As [`run_in`], without blocking the caller's runtime.
pub(crate) async fn run_in_async<R: Send + 'static>(
    namespace: OwnedFd,
    job: impl FnOnce() -> R + Send + 'static,
) -> Result<R, NamespaceError> {
    let (answer, outcome) = tokio::sync::oneshot::channel();
    spawn("netns-job", move || {
        let result = setns(namespace, CloneFlags::CLONE_NEWNET)
            .map_err(NamespaceError::Enter)
            .map(|()| job());
        drop(answer.send(result));
    })?;
    outcome
        .await
        .map_err(|_closed: tokio::sync::oneshot::error::RecvError| NamespaceError::ThreadGone)?
}

/// Opens a namespace by its file (`/proc/<pid>/ns/net`, `/proc/<pid>/fd/<n>`, a bind-mounted file).
pub(crate) fn open(path: &Path) -> Result<OwnedFd, NamespaceError> {
    let file = File::open(path);
    file.map(OwnedFd::from).map_err(|source| NamespaceError::Open {
        path: path.display().to_string(),
        source,
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), NamespaceError> {
    // Jobs are a few netlink messages deep; a small stack keeps a region with many VPCs small.
    let thread = std::thread::Builder::new()
        .name(name.chars().take(15).collect())
        .stack_size(256 << 10)
        .spawn(work);
    thread.map(drop).map_err(|source| NamespaceError::StartThread {
        name: name.to_owned(),
        source,
    })
}
