//! Passing an upgrade on: the request is replayed to a backend and, once both sides have switched, bytes are copied raw.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use supervision::Supervisor;
use tokio::io::copy_bidirectional;

use crate::streams::Duplex;

/// Body of a proxied answer: empty after a 101, else the backend's own (an error to show).
pub type ProxyBody = UnsyncBoxBody<Bytes, hyper::Error>;

/// Why a backend could not be reached through its connection.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The HTTP/1.1 connection could not be set up.
    #[error("start connection to streaming backend")]
    Handshake(#[source] hyper::Error),
    /// The backend did not answer the request.
    #[error("send upgrade request to streaming backend")]
    Request(#[source] hyper::Error),
    /// The path given is not one.
    #[error("path {path:?} of streaming backend")]
    Path {
        /// As given.
        path: String,
        /// What is wrong with it.
        #[source]
        source: http::uri::InvalidUri,
    },
}

/// Replays `request` (its method, headers and upgrade) to `backend` under `path_and_query`, and answers what the backend
/// answers. After a 101 the two connections are joined by a task of `tasks` until either side closes. The client's
/// connection must be served with upgrades.
///
/// # Errors
/// When the backend does not answer; the caller words that for its client.
pub async fn proxy_upgrade<B: Send + 'static>(
    mut request: Request<B>,
    backend: Box<dyn Duplex>,
    path_and_query: &str,
    tasks: &Supervisor,
) -> Result<Response<ProxyBody>, ProxyError> {
    let uri: http::Uri = path_and_query.parse().map_err(|source| ProxyError::Path {
        path: path_and_query.to_owned(),
        source,
    })?;
    let mut onward = Request::new(Empty::<Bytes>::new());
    *onward.method_mut() = request.method().clone();
    *onward.uri_mut() = uri;
    *onward.headers_mut() = request.headers().clone();
    onward.headers_mut().remove(header::AUTHORIZATION);
    onward
        .headers_mut()
        .insert(header::HOST, HeaderValue::from_static("localhost"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(backend))
        .await
        .map_err(ProxyError::Handshake)?;
    tasks.spawn("streaming backend connection", async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "streaming backend connection broke");
        }
    });
    let mut answer = sender.send_request(onward).await.map_err(ProxyError::Request)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer.map(BodyExt::boxed_unsync));
    }
    let (client, server) = (hyper::upgrade::on(&mut request), hyper::upgrade::on(&mut answer));
    tasks.spawn("streaming proxy", async move {
        let joined = futures::future::try_join(client, server).await;
        match joined {
            Ok((client, server)) => {
                let result = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await;
                if let Err(error) = result {
                    tracing::debug!(%error, "streaming connection broke");
                }
            }
            Err(error) => tracing::debug!(%error, "streaming connection was not handed over"),
        }
    });
    let (parts, _) = answer.into_parts();
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    Ok(response)
}
