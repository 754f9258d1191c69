//! Small documents fetched over HTTPS from outside the cluster.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::trust;

/// The whole exchange takes no longer.
const LIMIT: Duration = Duration::from_secs(15);
/// Documents are no larger.
const LARGEST: usize = 4 << 20;

/// Why a document was not had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the URL has no host, or is not https")]
    Url,
    #[error("parse the URL")]
    Parse(#[from] http::uri::InvalidUri),
    #[error("read the authorities")]
    Authorities(#[source] rustls::pki_types::pem::Error),
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
    #[error("the host's name is none")]
    Name(#[from] rustls::pki_types::InvalidDnsNameError),
    #[error("connect")]
    Connect(#[from] std::io::Error),
    #[error("make the request")]
    Request(#[from] http::Error),
    #[error("exchange")]
    Exchange(#[from] hyper::Error),
    #[error("read the answer")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("no answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
}

/// Fetches a document; the server is checked against these authorities, or the host's.
pub(crate) async fn fetch(url: &str, authorities: Option<&str>) -> Result<Bytes, FetchError> {
    tokio::time::timeout(LIMIT, exchange(url, authorities)).await?
}

async fn exchange(url: &str, authorities: Option<&str>) -> Result<Bytes, FetchError> {
    let uri: Uri = url.parse()?;
    let host = uri
        .host()
        .filter(|_| uri.scheme_str() == Some("https"))
        .ok_or(FetchError::Url)?;
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(plain.to_owned())?;
    let config = config(authorities)?;
    let stream = TcpStream::connect((plain, uri.port_u16().unwrap_or(443))).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, "kube-apiserver")
        .body(Empty::<Bytes>::new())?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(FetchError::Body)?.to_bytes();
        if status == StatusCode::OK {
            Ok(body)
        } else {
            Err(FetchError::Status(status))
        }
    };
    // The connection ends when the sender is dropped, and the answer is there by then.
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        answer = answered.as_mut() => answer,
        ended = connection.as_mut() => {
            ended?;
            answered.await
        }
    }
}

fn config(authorities: Option<&str>) -> Result<ClientConfig, FetchError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(FetchError::Authorities)?)?;
            }
        }
        None => {
            let (_, _unusable) = roots.add_parsable_certificates(trust::system().iter().cloned());
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
