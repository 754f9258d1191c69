//! Why a call failed, and the code that CRI knows it by.

use std::io;
use std::path::PathBuf;

use tonic::{Code, Status};

use crate::cgroup::CgroupError;
use crate::config::NeighbourError;
use crate::namespaces::NamespaceError;
use crate::record::RecordError;
use crate::request::RequestError;
use crate::shim_client::ShimError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A directory of the runtime could not be made.
    #[error("cannot make {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file system holds no overlays.
    #[error(
        "the file system of {path} cannot hold the writable layers of containers (overlayfs refuses it); choose a directory on ext4, xfs, btrfs or tmpfs"
    )]
    NoOverlay {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Nobody has this identifier.
    #[error("{kind} {id:?} not found")]
    NotFound {
        /// `pod sandbox` or `container`.
        kind: &'static str,
        /// As asked for.
        id: String,
    },
    /// A required part of the request is missing.
    #[error("{0} must be set")]
    Missing(&'static str),
    /// The image is not on this machine.
    #[error("image {0:?} not found")]
    ImageNotFound(String),
    /// The image store failed.
    #[error("cannot use image {image:?}")]
    Image {
        /// As asked for.
        image: String,
        /// What the store said.
        source: NeighbourError,
    },
    /// The request cannot be carried out.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The pod has no network.
    #[error("failed to setup network for sandbox {sandbox_id:?}")]
    Network {
        /// The sandbox.
        sandbox_id: String,
        /// What the network said.
        source: NeighbourError,
    },
    /// The sandbox was stopped.
    #[error("sandbox {0:?} is not running")]
    SandboxNotReady(String),
    /// The container is in another state than the call needs.
    #[error("container {id:?} is in {state} state")]
    WrongState {
        /// The container.
        id: String,
        /// Its state.
        state: &'static str,
    },
    /// The container could not be started; the words are the shim's.
    #[error("failed to start container {id:?}")]
    Start {
        /// The container.
        id: String,
        /// Why.
        source: ShimError,
    },
    /// The container did not end although it was killed.
    #[error("container {0:?} did not end after SIGKILL")]
    StillRunning(String),
    /// A command took too long.
    #[error("failed to exec in container: timeout {seconds}s exceeded: context deadline exceeded")]
    ExecTimeout {
        /// What was allowed.
        seconds: i64,
    },
    /// Streams could not be used.
    #[error("cannot use the streams of {what}")]
    Streams {
        /// The command or container.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something could not be removed.
    #[error("cannot remove {path}")]
    Remove {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A namespace step failed.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A record step failed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A cgroup step failed.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The shim failed.
    #[error(transparent)]
    Shim(#[from] ShimError),
}

impl From<RuntimeError> for Status {
    fn from(error: RuntimeError) -> Self {
        let code = match &error {
            RuntimeError::NotFound { .. } | RuntimeError::ImageNotFound(_) => Code::NotFound,
            RuntimeError::Missing(_) | RuntimeError::Request(_) => Code::InvalidArgument,
            RuntimeError::ExecTimeout { .. } => Code::DeadlineExceeded,
            RuntimeError::WrongState { .. } | RuntimeError::SandboxNotReady(_) => Code::FailedPrecondition,
            _ => Code::Unknown,
        };
        Self::new(code, supervision::error_chain(&error))
    }
}
