//! A client over HTTPS: HTTP/2 for requests, HTTP/1.1 for what is upgraded to a WebSocket.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{AUTHORIZATION, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::Body;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tower::{BoxError, Service};

use crate::connector::Connector;
use crate::credentials::Authorization;
use crate::metrics::Metrics;
use crate::{Counted, Credentials};

/// How often an open HTTP/2 connection is probed, and how long an answer may take. A server that vanished without a
/// word is noticed so; watches have no traffic of their own for minutes.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15));

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The endpoint is not one.
    #[error("endpoint {endpoint:?} is not an https URL")]
    Endpoint {
        /// The endpoint as given.
        endpoint: String,
        /// What is wrong with it, if it is not a URL at all.
        #[source]
        source: Option<http::uri::InvalidUri>,
    },
    /// The authority's certificate cannot be read.
    #[error("cannot read the cluster's certificate authority")]
    Authority(#[source] BoxError),
    /// The client's certificate or key cannot be read or do not belong together.
    #[error("cannot use the client certificate")]
    ClientCertificate(#[source] BoxError),
    /// The token holds characters that no header may.
    #[error("the token cannot be sent in a header")]
    Token {
        /// Which.
        #[source]
        source: http::header::InvalidHeaderValue,
    },
    /// The token file cannot be read.
    #[error("cannot read token file {}", path.display())]
    TokenFile {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// A client of the API server at `endpoint` (`https://host:port`, a path is kept), which must have a certificate from
/// the authority `ca_pem`. Must be called within a tokio runtime, which then drives the connections.
///
/// # Errors
/// When the endpoint, the authority or the credentials cannot be used as they are.
pub fn https(
    endpoint: &str,
    ca_pem: &str,
    credentials: &Credentials,
    default_namespace: impl Into<String>,
) -> Result<kube::Client, ClientError> {
    let service = Https::new(endpoint, ca_pem, credentials)?;
    Ok(kube::Client::new(service, default_namespace))
}

/// As [`https`], and its requests are counted.
///
/// # Errors
/// As [`https`].
pub fn https_counted(
    endpoint: &str,
    ca_pem: &str,
    credentials: &Credentials,
    default_namespace: impl Into<String>,
) -> Result<Counted, ClientError> {
    let service = Https::new(endpoint, ca_pem, credentials)?;
    let metrics = Metrics::default();
    let host = service.base.authority.to_string();
    let counting = metrics.count(host, service);
    Ok(Counted {
        client: kube::Client::new(counting, default_namespace),
        metrics,
    })
}

fn tls_config(ca_pem: &str, credentials: &Credentials) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|error| ClientError::Authority(error.into()))?;
        roots
            .add(certificate)
            .map_err(|error| ClientError::Authority(error.into()))?;
    }
    if roots.is_empty() {
        return Err(ClientError::Authority("no certificate in it".into()));
    }
    // Named here rather than taken from the process, so that no other part of it decides.
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Authority(error.into()))?
        .with_root_certificates(roots);
    let Credentials::ClientCertificate { certificate, key } = credentials else {
        return Ok(builder.with_no_client_auth());
    };
    let unusable = |error: BoxError| ClientError::ClientCertificate(error);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(|error| unusable(error.into()))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unusable(error.into()))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable(error.into()))
}

fn client(config: &ClientConfig, protocols: &[&[u8]]) -> Client<Connector, Body> {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(KEEP_ALIVE.0)
        .http2_keep_alive_timeout(KEEP_ALIVE.1)
        .http2_keep_alive_while_idle(true)
        .build(Connector::new(config))
}

/// The endpoint's parts, put in front of each request's path.
#[derive(Clone)]
struct Base {
    authority: Authority,
    path: String,
}

impl Base {
    fn parse(endpoint: &str) -> Result<Self, ClientError> {
        let refused = |source| ClientError::Endpoint {
            endpoint: endpoint.to_owned(),
            source,
        };
        let uri: Uri = endpoint.parse().map_err(|source| refused(Some(source)))?;
        let parts = uri.into_parts();
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) if scheme == Scheme::HTTPS => {
                let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
                Ok(Self {
                    authority,
                    path: path.trim_end_matches('/').to_owned(),
                })
            }
            _ => Err(refused(None)),
        }
    }

    fn join(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let rest = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let path = format!("{}{rest}", self.path);
        Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }
}

/// Sends requests to the endpoint with the client's identity.
struct Https {
    http2: Client<Connector, Body>,
    http1: Client<Connector, Body>,
    base: Base,
    authorization: Authorization,
}

impl Https {
    fn new(endpoint: &str, ca_pem: &str, credentials: &Credentials) -> Result<Self, ClientError> {
        let base = Base::parse(endpoint)?;
        let authorization = Authorization::new(credentials)?;
        let config = tls_config(ca_pem, credentials)?;
        Ok(Self {
            http2: client(&config, &[b"h2", b"http/1.1"]),
            http1: client(&config, &[b"http/1.1"]),
            base,
            authorization,
        })
    }

    fn prepare(&self, request: &mut Request<Body>) -> Result<(), BoxError> {
        *request.uri_mut() = self.base.join(request.uri())?;
        if let Some(header) = self.authorization.header()? {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        Ok(())
    }
}

impl Service<Request<Body>> for Https {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Err(error) = self.prepare(&mut request) {
            return Box::pin(std::future::ready(Err(error)));
        }
        // HTTP/2 has no `Upgrade`; exec, attach and port-forward need a connection of their own anyway.
        let client = if request.headers().contains_key(UPGRADE) {
            &self.http1
        } else {
            &self.http2
        };
        let answer = client.request(request);
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests;
