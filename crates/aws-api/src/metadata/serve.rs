//! Connections to a link-local service: small HTTP/1.1 requests whose sender is known by address, and answers that reach only so far.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream};

/// A client that has not sent its request by then is let go.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// After an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How far packets go when nobody says otherwise.
const FAR: u32 = 64;

/// A request without its body, which none of these services read.
pub struct Request {
    /// Who asks.
    pub from: Ipv4Addr,
    /// How.
    pub method: Method,
    /// For what.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Request {
    /// A header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The content type.
    pub kind: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// How many hops its packets go (IP time to live); `None` for as far as any.
    pub hops: Option<u32>,
}

impl Reply {
    /// An answer of text.
    pub fn new(status: StatusCode, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            kind,
            body: body.into(),
            headers: Vec::new(),
            hops: None,
        }
    }
}

/// Who answers.
pub trait Answer: Send + Sync + 'static {
    /// Answers a request.
    fn answer(&self, request: Request) -> BoxFuture<'_, Reply>;
}

/// Serves a port until the supervisor is cancelled.
pub fn accept(name: &'static str, service: Arc<impl Answer>, listener: TcpListener, supervisor: &Supervisor) {
    let connections = supervisor.clone();
    supervisor.spawn_until_cancelled(name, async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let IpAddr::V4(from) = peer.ip() else { continue };
                    let service = Arc::clone(&service);
                    connections.spawn_until_cancelled(format!("{name} {peer}"), async move {
                        if let Err(error) = converse(service, stream, from).await {
                            tracing::debug!(%peer, error = %supervision::error_chain(error.as_ref()), "connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, name, "accept a connection");
                    supervision::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
}

async fn converse(
    service: Arc<impl Answer>,
    stream: TcpStream,
    from: Ipv4Addr,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    // The same socket once more: how far its packets go is set beside whoever writes to it.
    let stream = stream.into_std()?;
    let socket = stream.try_clone()?;
    let stream = TcpStream::from_std(stream)?;
    let handle = service_fn(|request: http::Request<Incoming>| {
        let (service, socket) = (&service, &socket);
        async move {
            let (parts, _) = request.into_parts();
            let request = Request {
                from,
                path: parts.uri.path().to_owned(),
                method: parts.method,
                headers: parts.headers,
            };
            let reply = service.answer(request).await;
            if let Err(error) = socket.set_ttl(reply.hops.unwrap_or(FAR)) {
                tracing::warn!(%error, "set how far an answer goes");
            }
            Ok::<_, Infallible>(encode(reply))
        }
    });
    let mut builder = http1::Builder::new();
    let builder = builder.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
    builder.serve_connection(TokioIo::new(stream), handle).await?;
    Ok(())
}

fn encode(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::builder()
        .status(reply.status)
        .header(http::header::CONTENT_TYPE, reply.kind);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let response = response.body(Full::from(reply.body));
    response.unwrap_or_else(|error| {
        tracing::error!(%error, "an answer has a header that is none");
        let mut plain = Response::new(Full::default());
        *plain.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}
