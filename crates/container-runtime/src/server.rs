//! A runtime as a process: its CRI socket and its streaming socket.

use std::sync::Arc;

use cri_api::SocketError;
use cri_api::v1::image_service_server::{ImageService, ImageServiceServer};
use cri_api::v1::runtime_service_server::RuntimeServiceServer;
use tonic::transport::Server;

use crate::config::{Config, Parts};
use crate::runtime::{Runtime, RuntimeError};
use crate::service::RuntimeServer;
use crate::streaming::{self, Sessions};

/// Most bytes of one CRI message (the kubelet's limit).
const MOST_MESSAGE_BYTES: usize = 16 << 20;

/// Why a runtime ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It could not begin.
    #[error("cannot open the container runtime in {directory}")]
    Open {
        /// Its root directory.
        directory: std::path::PathBuf,
        /// Why.
        source: RuntimeError,
    },
    /// A socket failed.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Opens the runtime and serves CRI, with `image_service` beside it, until the supervisor of `parts` is cancelled.
pub async fn serve(config: Config, parts: Parts, image_service: impl ImageService) -> Result<(), ServeError> {
    let supervisor = parts.supervisor.clone();
    let (clock, random) = (Arc::clone(&parts.clock), Arc::clone(&parts.random));
    let socket = config.socket.clone();
    let directory = config.root_dir.clone();
    let runtime = Runtime::open(config, parts)
        .await
        .map_err(|source| ServeError::Open { directory, source })?;
    let sessions = Sessions::new(runtime.layout().streaming_socket(), clock, random);
    let listener = cri_api::bind(&runtime.layout().streaming_socket())?;
    supervisor.spawn_until_cancelled(
        "streaming",
        streaming::serve(listener, Arc::clone(&sessions), Arc::clone(&runtime)),
    );
    let runtime_service = RuntimeServiceServer::new(RuntimeServer::new(runtime, sessions))
        .max_decoding_message_size(MOST_MESSAGE_BYTES)
        .max_encoding_message_size(MOST_MESSAGE_BYTES);
    let image_service = ImageServiceServer::new(image_service);
    let router = Server::builder()
        .add_service(runtime_service)
        .add_service(image_service);
    Ok(cri_api::serve(&socket, router, supervisor.cancelled()).await?)
}
