//! A lean HTTP/2 client, so that what is measured is the server: connections that are kept, bodies as they come.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde_json::Value;
use supervision::Supervisor;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::command::{TaskError, at, output};

/// Bytes that the server may send before the client has read them; lists are large.
const WINDOW: u32 = 16 << 20;

/// What is said of a watch that the server ends.
pub const WATCH_ENDED: &str = "a watch ended";

/// An API server and who we are to it.
#[derive(Clone)]
pub struct Server {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    authorization: Option<HeaderValue>,
    supervisor: Supervisor,
}

/// An open connection; requests may be under way at the same time.
#[derive(Clone)]
pub struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    authority: String,
    authorization: Option<HeaderValue>,
}

fn failed(what: &str) -> impl Fn(String) -> TaskError + '_ {
    move |error| TaskError::Unexpected(format!("{what}: {error}"))
}

fn text<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

impl Server {
    /// The server of a kubeconfig's only cluster, as its only user: a certificate, or a command that prints a token.
    /// `credential` is the program of that command.
    pub fn of_kubeconfig(path: &Path, credential: Command, supervisor: &Supervisor) -> Result<Self, TaskError> {
        let file = std::fs::read_to_string(path).map_err(at(path))?;
        let config: Value = serde_saphyr::from_str(&file)
            .map_err(text)
            .map_err(failed("kubeconfig"))?;
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let endpoint = cluster["server"].as_str().unwrap_or_default();
        let address = endpoint.trim_start_matches("https://").trim_end_matches('/').parse();
        let decoded = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        let builder = trusting(&decoded(&cluster["certificate-authority-data"]))?;
        let (mut tls, authorization) = if user["client-key-data"].is_string() {
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(&decoded(&user["client-certificate-data"])).collect();
            let key = PrivateKeyDer::from_pem_slice(&decoded(&user["client-key-data"]));
            let chain = chain.map_err(text).map_err(failed("kubeconfig"))?;
            let key = key.map_err(text).map_err(failed("kubeconfig"))?;
            let tls = builder.with_client_auth_cert(chain, key);
            (tls.map_err(text).map_err(failed("TLS"))?, None)
        } else {
            (builder.with_no_client_auth(), Some(token(&user["exec"], credential)?))
        };
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            address: address.map_err(text).map_err(failed(endpoint))?,
            tls: Arc::new(tls),
            authorization,
            supervisor: supervisor.clone(),
        })
    }

    /// A server on this machine whose file of certificates ends with its CA, to which a token says who we are.
    pub fn with_token(port: u16, certificates: &Path, token: &str, supervisor: &Supervisor) -> Result<Self, TaskError> {
        let pem = std::fs::read(certificates).map_err(at(certificates))?;
        let mut tls = trusting(&pem)?.with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        Ok(Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls: Arc::new(tls),
            authorization: Some(bearer.map_err(text).map_err(failed("token"))?),
            supervisor: supervisor.clone(),
        })
    }

    /// Connects.
    pub async fn connect(&self) -> Result<Connection, TaskError> {
        let what = self.address.to_string();
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(text)
            .map_err(failed(&what))?;
        stream.set_nodelay(true).map_err(text).map_err(failed(&what))?;
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        let stream = stream.map_err(text).map_err(failed(&what))?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(1 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(text)
            .map_err(failed(&what))?;
        self.supervisor.spawn_until_cancelled("connection", async move {
            // A server that goes away is noticed by the requests.
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
        Ok(Connection {
            sender,
            authority: what,
            authorization: self.authorization.clone(),
        })
    }
}

/// What trusts the certificates of a PEM file.
fn trusting(pem: &[u8]) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TaskError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(text).map_err(failed("certificates"))?;
        roots.add(certificate).map_err(text).map_err(failed("certificates"))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder
        .map_err(text)
        .map_err(failed("TLS"))?
        .with_root_certificates(roots))
}

/// The header with the token that a kubeconfig's command prints.
fn token(exec: &Value, mut command: Command) -> Result<HeaderValue, TaskError> {
    let words = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    command.args(words(&exec["args"]));
    for variable in exec["env"].as_array().into_iter().flatten() {
        let (name, value) = (variable["name"].as_str(), variable["value"].as_str());
        command.env(name.unwrap_or_default(), value.unwrap_or_default());
    }
    let credential: Value = serde_json::from_str(&output(&mut command)?)
        .map_err(text)
        .map_err(failed("token"))?;
    let token = credential["status"]["token"].as_str().unwrap_or_default();
    HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(text)
        .map_err(failed("token"))
}

impl Connection {
    /// Sends a request and waits for the head of the answer.
    pub async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, TaskError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .body(Full::new(body))
            .map_err(text)
            .map_err(failed(path))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        self.sender.ready().await.map_err(text).map_err(failed(path))?;
        self.sender
            .send_request(request)
            .await
            .map_err(text)
            .map_err(failed(path))
    }

    /// Sends a request and reads the answer, which must be a success; answers its length.
    pub async fn exchange(&mut self, method: Method, path: &str, body: Bytes) -> Result<usize, TaskError> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let bytes = body.collect().await.map_err(text).map_err(failed(path))?.to_bytes();
            return Err(refused(path, status, &bytes));
        }
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(text).map_err(failed(path))?;
            length += frame.data_ref().map_or(0, Bytes::len);
        }
        Ok(length)
    }

    /// Sends a request and reads the answer as JSON; `None` when the object is not there.
    pub async fn json(&mut self, method: Method, path: &str, body: &Value) -> Result<Option<Value>, TaskError> {
        let body = if body.is_null() {
            Bytes::new()
        } else {
            body.to_string().into()
        };
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let collected = response.into_body().collect().await;
        let bytes = collected.map_err(text).map_err(failed(path))?.to_bytes();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(refused(path, status, &bytes));
        }
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(text)
            .map_err(failed(path))
    }

    /// Begins a watch.
    pub async fn watch(&mut self, path: &str) -> Result<Lines, TaskError> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(refused(path, response.status(), b""));
        }
        Ok(Lines {
            body: response.into_body(),
            pending: Vec::new(),
        })
    }
}

fn refused(path: &str, status: StatusCode, body: &[u8]) -> TaskError {
    let shown = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
    TaskError::Unexpected(format!("{path} answered {status}: {shown}"))
}

/// The events of a watch, one line each.
pub struct Lines {
    body: Incoming,
    pending: Vec<u8>,
}

impl Lines {
    /// The next event, and when it was here.
    pub async fn next(&mut self) -> Result<(Instant, Value), TaskError> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let arrived = Instant::now();
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let event = serde_json::from_slice(&line).map_err(text).map_err(failed("event"))?;
                return Ok((arrived, event));
            }
            let chunk = self.chunk().await?;
            self.pending.extend_from_slice(&chunk);
        }
    }

    /// How many events end in what comes next.
    pub async fn count(&mut self) -> Result<usize, TaskError> {
        let chunk = self.chunk().await?;
        Ok(chunk.iter().filter(|byte| **byte == b'\n').count())
    }

    async fn chunk(&mut self) -> Result<Bytes, TaskError> {
        loop {
            let frame = self.body.frame().await;
            let frame = frame.ok_or_else(|| TaskError::Unexpected(WATCH_ENDED.into()))?;
            if let Ok(data) = frame.map_err(text).map_err(failed("watch"))?.into_data() {
                return Ok(data);
            }
        }
    }
}
