//! A small AWS client for the region on this machine: signed requests, EKS by its shape table, EC2's forms.

mod placing;
mod xml;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_types::region_files::{Credentials, RegionEndpoint};
use aws_types::shapes;
use bytes::Bytes;
use clock::{Clock, SystemClock};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use placing::Placed;
pub use xml::{Element, Xml};

use crate::region;
use crate::signing::{self, Unsigned};

/// How long a region that answered before may be away: it may be starting again after it was killed.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// How often a call is made whose answer is the region's own failure (as AWS SDKs do in retry mode "standard").
const ATTEMPTS: u32 = 3;

/// A client of one region.
///
/// Once the region has answered, calls that cannot reach it are repeated for a while: a region process that is started
/// again continues what it had acknowledged, and every call made here may be repeated (creating ones carry tokens).
pub struct Aws {
    home: PathBuf,
    endpoint: RefCell<RegionEndpoint>,
    region: String,
    keys: Credentials,
    has_answered: Cell<bool>,
}

/// Why a call failed. `Display` names the operation, so callers need only name their object.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The service refused.
    #[error("{operation}: {code}: {message}")]
    Service {
        /// The operation.
        operation: String,
        /// The service's error code.
        code: String,
        /// The service's sentence.
        message: String,
    },
    /// The region cannot be reached.
    #[error("{operation}: reach the region at {endpoint}; is it up?")]
    Unreachable {
        /// The operation.
        operation: String,
        /// Where it should be.
        endpoint: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what the model says.
    #[error("{operation}: understand the answer")]
    Answer {
        /// The operation.
        operation: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AwsError {
    /// The service's error code, without EKS's `Exception`.
    pub fn code(&self) -> &str {
        match self {
            Self::Service { code, .. } => code.strip_suffix("Exception").unwrap_or(code),
            Self::Unreachable { .. } | Self::Answer { .. } => "",
        }
    }
}

/// An answer: status, error code and body.
struct Answer {
    ok: bool,
    /// The region itself failed (HTTP 5xx), as it does while it is being stopped.
    server_failed: bool,
    error_type: Option<String>,
    body: Bytes,
}

/// What is sent to one service.
struct Request<'a> {
    service: &'a str,
    operation: &'a str,
    method: &'a str,
    path: String,
    query: Vec<(String, String)>,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Aws {
    /// A client with these keys.
    pub fn new(home: &Path, endpoint: RegionEndpoint, keys: Credentials) -> Self {
        let region = endpoint.region.clone();
        Self {
            home: home.to_owned(),
            endpoint: RefCell::new(endpoint),
            region,
            keys,
            has_answered: Cell::new(false),
        }
    }

    /// The region's name.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The keys.
    pub fn keys(&self) -> &Credentials {
        &self.keys
    }

    /// Calls an EKS operation: members go where the model says, path, query or body.
    ///
    /// # Errors
    /// What EKS answers, or why it could not be asked.
    pub async fn eks<T: DeserializeOwned>(&self, operation: &str, request: &impl Serialize) -> Result<T, AwsError> {
        let answer_error = |source: serde_json::Error| AwsError::Answer {
            operation: operation.to_owned(),
            source: source.into(),
        };
        let model = shapes::service("eks").expect("EKS has a table");
        let Placed { path, query, body } = placing::place(model, operation, request).map_err(answer_error)?;
        let request = Request {
            service: "eks",
            operation,
            method: &model.operations[operation].method,
            path,
            query,
            content_type: "application/json",
            body,
        };
        let answer = self.send(request).await?;
        if answer.ok {
            return serde_json::from_slice(&answer.body).map_err(answer_error);
        }
        #[derive(serde::Deserialize)]
        struct Refusal {
            message: String,
        }
        let refusal: Refusal = serde_json::from_slice(&answer.body).map_err(answer_error)?;
        let code = answer.error_type.unwrap_or_else(|| "UnknownError".to_owned());
        Err(AwsError::Service {
            operation: operation.to_owned(),
            code,
            message: refusal.message,
        })
    }

    /// Calls an EC2 operation with form parameters; the answer is XML.
    ///
    /// # Errors
    /// What EC2 answers, or why it could not be asked.
    pub async fn ec2(&self, operation: &str, parameters: &[(&str, &str)]) -> Result<Xml, AwsError> {
        let text = self.form("ec2", "2016-11-15", operation, parameters).await?;
        Ok(Xml(text))
    }

    /// Calls an IAM operation.
    ///
    /// # Errors
    /// What IAM answers, or why it could not be asked.
    pub async fn iam(&self, operation: &str, parameters: &[(&str, &str)]) -> Result<Element, AwsError> {
        let text = self.form("iam", "2010-05-08", operation, parameters).await?;
        parsed(operation, &text)
    }

    /// Calls a CloudFormation operation.
    ///
    /// # Errors
    /// What CloudFormation answers, or why it could not be asked.
    pub async fn cloudformation(&self, operation: &str, parameters: &[(&str, &str)]) -> Result<Element, AwsError> {
        let text = self.form("cloudformation", "2010-05-15", operation, parameters).await?;
        parsed(operation, &text)
    }

    /// Calls an operation of a service that takes forms and answers XML.
    async fn form(
        &self,
        service: &str,
        version: &str,
        operation: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, AwsError> {
        let own = [("Action", operation), ("Version", version)];
        let form: Vec<(String, String)> = own
            .iter()
            .chain(parameters)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let request = Request {
            service,
            operation,
            method: "POST",
            path: "/".to_owned(),
            query: Vec::new(),
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            body: signing::canonical_query(&form).into_bytes(),
        };
        let answer = self.send(request).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.ok {
            return Ok(text);
        }
        let xml = Xml(text);
        let part = |name| xml.first(name).unwrap_or_default();
        Err(AwsError::Service {
            operation: operation.to_owned(),
            code: part("Code"),
            message: part("Message"),
        })
    }

    /// Ondol's own part of the endpoint.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub async fn control<T: DeserializeOwned>(&self, path: &str) -> Result<T, AwsError> {
        let request = Request {
            service: "eks",
            operation: path,
            method: "GET",
            path: path.to_owned(),
            query: Vec::new(),
            content_type: "application/json",
            body: Vec::new(),
        };
        let answer = self.send(request).await?;
        if !answer.ok {
            let message = String::from_utf8_lossy(&answer.body).into_owned();
            return Err(AwsError::Service {
                operation: path.to_owned(),
                code: "status".to_owned(),
                message,
            });
        }
        serde_json::from_slice(&answer.body).map_err(|source| AwsError::Answer {
            operation: path.to_owned(),
            source: source.into(),
        })
    }

    /// Ondol's own part of the endpoint, for the bearer of a cluster's token; the answer is text.
    ///
    /// # Errors
    /// Why it could not be asked, or the region's own words.
    pub async fn control_text(&self, path: &str, query: &[(&str, &str)], token: &str) -> Result<String, AwsError> {
        let endpoint = self.endpoint.borrow().endpoint.clone();
        let host = endpoint.trim_start_matches("http://").trim_end_matches('/');
        let query: Vec<(String, String)> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let request = http::Request::builder()
            .uri(format!("{path}?{}", signing::canonical_query(&query)))
            .header(http::header::HOST, host)
            .header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        let asked = async { exchange(host, request.body(Full::new(Bytes::new()))?).await };
        let answer = asked.await.map_err(|source| AwsError::Unreachable {
            operation: path.to_owned(),
            endpoint: endpoint.clone(),
            source,
        })?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.ok {
            return Ok(text);
        }
        Err(AwsError::Service {
            operation: "explain".to_owned(),
            code: "refused".to_owned(),
            message: text,
        })
    }

    async fn send(&self, request: Request<'_>) -> Result<Answer, AwsError> {
        let first = SystemClock.now();
        let mut attempts = ATTEMPTS;
        loop {
            let error = match self.try_send(&request).await {
                Ok(answer) if answer.server_failed && attempts > 1 => {
                    attempts -= 1;
                    supervision::sleep(PAUSE).await;
                    continue;
                }
                Ok(answer) => {
                    self.has_answered.set(true);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let waited = SystemClock.now().duration_since(first).unsigned_abs();
            if !self.has_answered.get() || waited > PATIENCE {
                return Err(error);
            }
            supervision::sleep(PAUSE).await;
            // A region that was started again may have another port.
            if let Ok(endpoint) = region::endpoint(&self.home) {
                self.endpoint.replace(endpoint);
            }
        }
    }

    async fn try_send(&self, request: &Request<'_>) -> Result<Answer, AwsError> {
        let endpoint = self.endpoint.borrow().endpoint.clone();
        let host = endpoint.trim_start_matches("http://").trim_end_matches('/');
        let unsigned = Unsigned {
            service: request.service,
            region: &self.region,
            method: request.method,
            host,
            path: &request.path,
            query: &request.query,
            body: &request.body,
        };
        let proof = signing::headers(&unsigned, &self.keys, SystemClock.now());
        let query = signing::canonical_query(&request.query);
        let target = if query.is_empty() {
            request.path.clone()
        } else {
            format!("{}?{query}", request.path)
        };
        let mut sent = http::Request::builder()
            .method(request.method)
            .uri(target)
            .header(http::header::HOST, host)
            .header(http::header::CONTENT_TYPE, request.content_type);
        for (name, value) in proof {
            sent = sent.header(name, value);
        }
        let exchanged = async { exchange(host, sent.body(Full::new(Bytes::from(request.body.clone())))?).await };
        exchanged.await.map_err(|source| AwsError::Unreachable {
            operation: request.operation.to_owned(),
            endpoint: endpoint.clone(),
            source,
        })
    }
}

/// One request on a connection of its own.
async fn exchange(
    host: &str,
    request: http::Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = tokio::net::TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let asked = async move {
        let response = sender.send_request(request).await?;
        let ok = response.status().is_success();
        let server_failed = response.status().is_server_error();
        let error_type = response
            .headers()
            .get("x-amzn-errortype")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Answer {
            ok,
            server_failed,
            error_type,
            body,
        })
    };
    // The connection ends when the sender is dropped, which `asked` does.
    let (answer, ended) = futures::join!(asked, connection);
    let answer = answer?;
    ended?;
    Ok(answer)
}

fn parsed(operation: &str, text: &str) -> Result<Element, AwsError> {
    Element::parse(text).ok_or_else(|| AwsError::Answer {
        operation: operation.to_owned(),
        source: "the answer is not XML".into(),
    })
}
