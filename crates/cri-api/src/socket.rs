//! CRI over a unix socket: how a client finds the runtime and how a runtime listens.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Endpoint, Uri};

/// Why a CRI socket could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The socket's path is longer than the kernel's 108 bytes allow, or its directory does not exist or is not writable.
    #[error("cannot listen on {path}")]
    Bind {
        /// The socket's path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file left by an earlier runtime could not be removed.
    #[error("cannot remove the old socket {path}")]
    RemoveStale {
        /// The socket's path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The server ended with an error.
    #[error("the CRI server on {path} failed")]
    Serve {
        /// The socket's path.
        path: PathBuf,
        /// What the transport said.
        source: tonic::transport::Error,
    },
}

/// A channel to the runtime that listens on `path`. Connects at the first call, and again after the runtime was restarted.
pub fn connect(path: &Path) -> Channel {
    let path = path.to_owned();
    // The authority is never looked at: every connection goes to the unix socket.
    Endpoint::from_static("http://cri.invalid").connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    }))
}

/// Takes the socket, in place of what a killed predecessor left behind.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(SocketError::RemoveStale {
                path: path.to_owned(),
                source,
            });
        }
    }
    UnixListener::bind(path).map_err(|source| SocketError::Bind {
        path: path.to_owned(),
        source,
    })
}

/// Serves `router` on `path` until `shutdown` resolves; calls under way are finished first.
pub async fn serve(path: &Path, router: Router, shutdown: impl Future<Output = ()>) -> Result<(), SocketError> {
    let incoming = UnixListenerStream::new(bind(path)?);
    router
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await
        .map_err(|source| SocketError::Serve {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests;
