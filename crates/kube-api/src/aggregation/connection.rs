//! Connections to aggregated API servers: TLS with the front proxy's certificate, kept and shared between requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use http::header::HOST;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Backend;
use crate::api::KubeApi;
use crate::connect::AsyncReadWrite;
use crate::resources::header;
use crate::trust::{Trust, client_config};

/// Connections kept for one server.
const KEPT: usize = 8;

/// Connections may be shared when all of this is the same.
type Key = (SocketAddr, Backend);

/// What is open.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Key, Vec<Connection>>>);

enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// A TLS connection into the VPC.
pub(super) type Stream = TlsStream<Box<dyn AsyncReadWrite>>;

impl Pool {
    /// Sends a request whose URI is a path, and answers with the head of the response.
    pub async fn send(
        &self,
        api: &KubeApi,
        backend: &Backend,
        address: SocketAddr,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, String> {
        let key = (address, backend.clone());
        let path = request.uri().clone();
        while let Some(mut connection) = self.take(&key) {
            match connection.send(shaped(request, &path, &connection, address)?).await {
                Ok(response) => {
                    self.keep(key, connection);
                    return Ok(response);
                }
                // The other side closed it meanwhile; what was not sent can be sent again.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().to_string()),
                },
            }
        }
        let mut connection = connect(api, backend, address).await?;
        let sent = connection.send(shaped(request, &path, &connection, address)?).await;
        let response = sent.map_err(|error| error.into_error().to_string())?;
        self.keep(key, connection);
        Ok(response)
    }

    fn take(&self, key: &Key) -> Option<Connection> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = kept.get_mut(key)?;
        connections.retain(|connection| !connection.is_closed());
        // One that still reads an answer's body stays where it is.
        let ready = connections.iter().position(Connection::is_ready)?;
        match &connections[ready] {
            Connection::Http2(sender) => Some(Connection::Http2(sender.clone())),
            Connection::Http1(_) => Some(connections.swap_remove(ready)),
        }
    }

    fn keep(&self, key: Key, connection: Connection) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = kept.entry(key).or_default();
        let shared = matches!(connection, Connection::Http2(_)) && !connections.is_empty();
        if connections.len() < KEPT && !shared {
            connections.push(connection);
        }
    }

    /// Lets connections go that lead to none of these servers.
    pub fn retain(&self, wanted: impl Fn(&Backend) -> bool) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, backend), connections| {
            connections.retain(|connection| !connection.is_closed());
            wanted(backend) && !connections.is_empty()
        });
    }
}

impl Connection {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, hyper::client::conn::TrySendError<Request<Body>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

/// HTTP/1.1 names the host in a header, HTTP/2 in the URI.
fn shaped(
    mut request: Request<Body>,
    path: &Uri,
    connection: &Connection,
    address: SocketAddr,
) -> Result<Request<Body>, String> {
    match connection {
        Connection::Http1(_) => {
            *request.uri_mut() = path.clone();
            request.headers_mut().insert(HOST, header(&address.to_string()));
        }
        Connection::Http2(_) => {
            let whole: Result<Uri, _> = format!("https://{address}{path}").parse();
            *request.uri_mut() = whole.map_err(|error| error.to_string())?;
            request.headers_mut().remove(HOST);
        }
    }
    Ok(request)
}

/// Opens a connection on which one of `protocols` is spoken.
pub(super) async fn open(
    api: &KubeApi,
    backend: &Backend,
    trust: &Trust,
    address: SocketAddr,
    protocols: &[&[u8]],
) -> Result<Stream, String> {
    let config = client_config(trust, Some(api.0.pki.front_proxy_client()), protocols)?;
    let name = format!("{}.{}.svc", backend.service, backend.namespace);
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let dialed = api.0.dialer.dial(address).await;
    let stream = dialed.map_err(|error| format!("dial tcp {address}: connect: {error}"))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| format!("tls: failed to verify certificate: x509: {error}"))
}

async fn connect(api: &KubeApi, backend: &Backend, address: SocketAddr) -> Result<Connection, String> {
    let stream = open(api, backend, &backend.trust, address, &[b"h2", b"http/1.1"]).await?;
    let tasks = &api.0.supervisor;
    let name = format!("aggregated API server at {address}");
    let refused = |error: hyper::Error| error.to_string();
    let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    if speaks_http2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.map_err(refused)?;
        tasks.spawn_until_cancelled(name, async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to an aggregated API server ended");
            }
        });
        return Ok(Connection::Http2(sender));
    }
    let (mut sender, connection) = http1::handshake(stream).await.map_err(refused)?;
    tasks.spawn_until_cancelled(name, async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to an aggregated API server ended");
        }
    });
    sender.ready().await.map_err(refused)?;
    Ok(Connection::Http1(sender))
}
