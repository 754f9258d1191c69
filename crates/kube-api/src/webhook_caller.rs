//! Calls to webhooks: over TLS to a URL, or to a ready endpoint of a Service inside the VPC; connections are kept.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use registry::webhook::{CallError, Caller, Endpoint, Place};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::api::{KubeApi, Shared};
use crate::connect::{AsyncReadWrite, service_endpoint};
use crate::trust::{Trust, client_config};

/// Answers longer than this are refused.
const LONGEST_ANSWER: usize = 16 << 20;
/// Idle connections kept for one server.
const KEPT: usize = 8;

/// Reaches webhooks with the API server's means.
pub(crate) struct WebhookCaller {
    /// The registry holds the caller and the API the registry, so the way back is weak.
    api: Weak<Shared>,
    kept: Mutex<HashMap<Key, Vec<Connection>>>,
}

/// Connections may be shared when all of this is the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    address: String,
    name: String,
    ca_bundle: Option<Bytes>,
}

enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A server with its address found.
struct Destination {
    key: Key,
    /// In the VPC, or wherever the name leads.
    within: Option<SocketAddr>,
    uri: Uri,
}

impl WebhookCaller {
    pub(crate) fn new(api: &Arc<Shared>) -> Self {
        Self {
            api: Arc::downgrade(api),
            kept: Mutex::default(),
        }
    }

    async fn call(&self, endpoint: &Endpoint, body: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let url = endpoint.url(timeout);
        let failed = |problem: String| CallError(format!("failed to call webhook: Post \"{url}\": {problem}"));
        match tokio::time::timeout(timeout, self.exchange(endpoint, &url, body)).await {
            Ok(Ok((StatusCode::OK, answer))) => Ok(answer),
            Ok(Ok((status, answer))) => Err(CallError(format!(
                "failed to call webhook: {}",
                refusal(status, &answer)
            ))),
            Ok(Err(problem)) => Err(failed(problem)),
            Err(_elapsed) => Err(failed("context deadline exceeded".to_owned())),
        }
    }

    async fn exchange(&self, endpoint: &Endpoint, url: &str, body: Bytes) -> Result<(StatusCode, Bytes), String> {
        let api = self.api.upgrade().ok_or("the API server is going")?;
        let api = KubeApi(api);
        let destination = find(&api, endpoint, url).await?;
        if let Some(mut connection) = self.take(&destination.key) {
            // The other side may have closed it meanwhile; then a fresh one is made.
            match send(&mut connection, &destination, body.clone()).await {
                Ok(answer) => {
                    self.keep(destination.key, connection);
                    return Ok(answer);
                }
                Err(problem) => tracing::debug!(url, problem, "a kept connection failed"),
            }
        }
        let mut connection = connect(&api, &destination).await?;
        let answer = send(&mut connection, &destination, body).await?;
        self.keep(destination.key, connection);
        Ok(answer)
    }

    fn take(&self, key: &Key) -> Option<Connection> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = kept.get_mut(key)?;
        while let Some(connection) = connections.pop() {
            match connection {
                Connection::Http1(sender) if sender.is_ready() => return Some(Connection::Http1(sender)),
                Connection::Http2(sender) if !sender.is_closed() => {
                    connections.push(Connection::Http2(sender.clone()));
                    return Some(Connection::Http2(sender));
                }
                _ => {}
            }
        }
        None
    }

    fn keep(&self, key: Key, connection: Connection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = kept.entry(key).or_default();
        let shared = matches!(connection, Connection::Http2(_)) && !connections.is_empty();
        if connections.len() < KEPT && !shared {
            connections.push(connection);
        }
    }
}

impl Caller for WebhookCaller {
    fn post<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, CallError>> {
        self.call(endpoint, body, timeout).boxed()
    }
}

/// Upstream's words for an answer that is not 200.
fn refusal(status: StatusCode, answer: &Bytes) -> String {
    match status {
        StatusCode::NOT_FOUND => "the server could not find the requested resource".to_owned(),
        _ => {
            let text: String = String::from_utf8_lossy(answer).chars().take(1000).collect();
            format!(
                "an error on the server ({text:?}) has prevented the request from succeeding: status {}",
                status.as_u16()
            )
        }
    }
}

async fn find(api: &KubeApi, endpoint: &Endpoint, url: &str) -> Result<Destination, String> {
    let uri: Uri = url.parse().map_err(|error| format!("parse {url:?}: {error}"))?;
    let ca_bundle = endpoint.ca_bundle.clone();
    match &endpoint.place {
        Place::Url(_) => {
            let host = uri.host().ok_or("no Host in request URL")?;
            let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let address = format!("{host}:{}", uri.port_u16().unwrap_or(443));
            let key = Key {
                address,
                name,
                ca_bundle,
            };
            Ok(Destination { key, within: None, uri })
        }
        Place::Service {
            namespace, name, port, ..
        } => {
            let found = service_endpoint(api, namespace, name, *port).await;
            let address = found.map_err(|error| error.message().to_owned())?;
            let key = Key {
                address: address.to_string(),
                name: format!("{name}.{namespace}.svc"),
                ca_bundle,
            };
            Ok(Destination {
                key,
                within: Some(address),
                uri,
            })
        }
    }
}

async fn connect(api: &KubeApi, to: &Destination) -> Result<Connection, String> {
    let address = &to.key.address;
    let dialed = |error: std::io::Error| format!("dial tcp {address}: connect: {error}");
    let stream: Box<dyn AsyncReadWrite> = match to.within {
        Some(address) => api.0.dialer.dial(address).await.map_err(dialed)?,
        None => Box::new(TcpStream::connect(address.as_str()).await.map_err(dialed)?),
    };
    if to.uri.scheme_str() == Some("http") {
        return Err("webhooks are called over https only".to_owned());
    }
    let trust = Trust::Bundle(to.key.ca_bundle.clone());
    let config = client_config(&trust, None, &[b"h2", b"http/1.1"])?;
    let name = ServerName::try_from(to.key.name.clone()).map_err(|error| format!("{}: {error}", to.key.name))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| format!("tls: failed to verify certificate: x509: {error}"))?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    let tasks = &api.0.supervisor;
    let refused = |error: hyper::Error| error.to_string();
    if http2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.map_err(refused)?;
        tasks.spawn_until_cancelled(format!("webhook connection to {address}"), async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a webhook ended");
            }
        });
        return Ok(Connection::Http2(sender));
    }
    let (sender, connection) = http1::handshake(stream).await.map_err(refused)?;
    tasks.spawn_until_cancelled(format!("webhook connection to {address}"), async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a webhook ended");
        }
    });
    Ok(Connection::Http1(sender))
}

async fn send(connection: &mut Connection, to: &Destination, body: Bytes) -> Result<(StatusCode, Bytes), String> {
    let path = to.uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = to
        .uri
        .authority()
        .map_or(to.key.name.as_str(), |authority| authority.as_str());
    let request = Request::builder()
        .method(Method::POST)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, */*")
        .header(USER_AGENT, "kube-apiserver-admission");
    let build = |error: http::Error| error.to_string();
    let lost = |error: hyper::Error| error.to_string();
    let response: http::Response<Incoming> = match connection {
        Connection::Http1(sender) => {
            let request = request.uri(path).header(HOST, authority);
            let request = request.body(Full::new(body)).map_err(build)?;
            sender.ready().await.map_err(lost)?;
            sender.send_request(request).await.map_err(lost)?
        }
        Connection::Http2(sender) => {
            let request = request.uri(to.uri.clone()).body(Full::new(body)).map_err(build)?;
            sender.ready().await.map_err(lost)?;
            sender.send_request(request).await.map_err(lost)?
        }
    };
    let status = response.status();
    let answer = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
    let answer = answer.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, answer))
}
