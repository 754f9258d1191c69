//! A lean client of AWS's protocols: one connection that is kept, requests signed as the SDKs sign them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clock::{Clock, SystemClock};
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use supervision::Supervisor;
use tokio::net::TcpStream;

use crate::command::TaskError;

/// What AWS leaves unencoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Bytes that the server may send before the client has read them.
const WINDOW: u32 = 16 << 20;

/// Whose requests these are.
#[derive(Clone)]
pub struct Keys {
    pub id: String,
    pub secret: String,
    pub region: String,
}

/// An open connection to a region.
pub struct Aws {
    sender: http2::SendRequest<Full<Bytes>>,
    host: String,
    keys: Keys,
}

/// An answer and how long it took, from the first byte sent to the last one read.
pub struct Answer {
    pub body: Bytes,
    pub took: Duration,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value, TaskError> {
        serde_json::from_slice(&self.body).map_err(failed("answer"))
    }

    /// The text of the first XML element of that name.
    pub fn element(&self, name: &str) -> Result<String, TaskError> {
        let text = String::from_utf8_lossy(&self.body);
        let inner = text
            .split_once(&format!("<{name}>"))
            .and_then(|(_, rest)| rest.split_once('<'));
        let missing = || TaskError::Unexpected(format!("no {name} in {text}"));
        inner.map(|(value, _)| value.to_owned()).ok_or_else(missing)
    }
}

fn failed<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> TaskError + '_ {
    move |error| TaskError::Unexpected(format!("{what}: {error}"))
}

impl Aws {
    /// Connects to `http://host:port`.
    pub async fn connect(endpoint: &str, keys: Keys, supervisor: &Supervisor) -> Result<Self, TaskError> {
        let host = endpoint.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await.map_err(failed(endpoint))?;
        stream.set_nodelay(true).map_err(failed(endpoint))?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed(endpoint))?;
        supervisor.spawn_until_cancelled("connection", async move {
            // A server that goes away is noticed by the requests.
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
        Ok(Self { sender, host, keys })
    }

    /// An operation of EKS: members that are not in the path go into the body.
    pub async fn eks(&mut self, method: Method, path: &str, body: &Value) -> Result<Answer, TaskError> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send("eks", method, path, &[("content-type", "application/json")], body)
            .await
    }

    /// An operation of a service that takes forms.
    pub async fn form(&mut self, service: &str, version: &str, fields: &[(&str, &str)]) -> Result<Answer, TaskError> {
        let own = [("Version", version)];
        let pairs = own.iter().chain(fields);
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let kind = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        self.send(service, Method::POST, "/", &kind, pairs.join("&")).await
    }

    /// An operation of a service that is named by a header.
    pub async fn target(&mut self, service: &str, target: &str, body: &Value) -> Result<Answer, TaskError> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.send(service, Method::POST, "/", &headers, body.to_string()).await
    }

    async fn send(
        &mut self,
        service: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, TaskError> {
        let date = SystemClock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("http://{}{path}", self.host))
            .header("x-amz-date", &date)
            .header(
                "authorization",
                self.authorization(service, (&method, path), &date, &body),
            );
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(failed(path))?;
        self.sender.ready().await.map_err(failed(path))?;
        let started = Instant::now();
        let response = self.sender.send_request(request).await.map_err(failed(path))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(failed(path))?.to_bytes();
        let took = started.elapsed();
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            return Err(TaskError::Unexpected(format!(
                "{service} {path} answered {status}: {text}"
            )));
        }
        Ok(Answer { body, took })
    }

    /// Signature Version 4 over host, date, path, query and body.
    fn authorization(&self, service: &str, (method, path): (&Method, &str), date: &str, body: &str) -> String {
        let Keys { id, secret, region } = &self.keys;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
        let signed = "host;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{}\nx-amz-date:{date}\n\n{signed}\n{}",
            self.host,
            hex::encode(Sha256::digest(body))
        );
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical))
        );
        let key = scope
            .split('/')
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| keyed(&key, part));
        let signature = hex::encode(keyed(&key, &to_sign));
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}")
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

fn keyed(key: &[u8], data: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
