//! Calls to servers of the cluster's users: admission and conversion webhooks, aggregated API servers.
//!
//! The registry says whom to call and with what; whoever serves the registry knows how to get there ([`Caller`]).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use kube_types::dynamic::Value;

use crate::registry::Registry;

/// A server to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub place: Place,
    /// PEM of the authorities that its certificate must come from; `None` = those the host trusts.
    pub ca_bundle: Option<Bytes>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Url(String),
    /// Behind a Service of the cluster.
    Service {
        /// Namespace of the Service.
        namespace: String,
        /// Name of the Service.
        name: String,
        /// Port of the Service.
        port: u16,
        /// Path of the URL, with its leading slash, or empty.
        path: String,
    },
}

/// Why a call had no answer. The text is what upstream's client would say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CallError(pub String);

/// Reaches servers.
pub trait Caller: Send + Sync {
    /// Posts JSON and returns the body of a 200 answer.
    fn post<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, CallError>>;
}

impl Endpoint {
    /// Reads a `clientConfig`, as webhook configurations and definitions have it.
    pub fn from_client_config(config: &Value) -> Option<Self> {
        let place = match (config["url"].as_str(), config["service"].as_object()) {
            (Some(url), _) => Place::Url(url.to_owned()),
            (None, Some(service)) => {
                let text = |field: &str| {
                    service
                        .get(field)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                        .to_owned()
                };
                let port = service.get("port").and_then(Value::as_u64);
                Place::Service {
                    namespace: text("namespace"),
                    name: text("name"),
                    port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443),
                    path: text("path"),
                }
            }
            (None, None) => return None,
        };
        let bundle = config["caBundle"].as_str().filter(|bundle| !bundle.is_empty());
        let ca_bundle = match bundle.map(|bundle| STANDARD.decode(bundle)) {
            Some(Ok(pem)) => Some(Bytes::from(pem)),
            Some(Err(error)) => {
                tracing::warn!(%error, "a caBundle is no base64");
                Some(Bytes::new())
            }
            None => None,
        };
        Some(Self { place, ca_bundle })
    }

    /// The URL that is asked, with its path as upstream's client cleans it.
    pub fn url(&self, timeout: Duration) -> String {
        let seconds = timeout.as_secs();
        match &self.place {
            Place::Url(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (host, rest) = rest.split_at(end);
                let (path, query) = match rest.split_once('?') {
                    Some((path, query)) => (path, format!("{query}&")),
                    None => (rest, String::new()),
                };
                format!("{scheme}://{host}{}?{query}timeout={seconds}s", clean(path))
            }
            Place::Service {
                namespace,
                name,
                port,
                path,
            } => format!(
                "https://{name}.{namespace}.svc:{port}{}?timeout={seconds}s",
                clean(path)
            ),
        }
    }
}

/// Go's `path.Join("/", path)`: no empty or dotted segment, no slash at the end.
fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;

impl Registry {
    /// Lets the registry call servers; before that, every call fails.
    pub fn attach_caller(&self, caller: Arc<dyn Caller>) {
        if self.caller.set(caller).is_err() {
            tracing::warn!("the registry has a caller already");
        }
    }

    /// Posts JSON to a server and returns the body of a 200 answer.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn call_webhook(&self, endpoint: &Endpoint, body: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let caller = self
            .caller
            .get()
            .ok_or_else(|| CallError("this API server reaches no webhooks".to_owned()))?;
        caller.post(endpoint, body, timeout).await
    }
}
