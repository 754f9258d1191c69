//! TLS with a certificate of the server's own, and the requests on a connection.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::access::Access;
use crate::{MetricsServerError, Shared, answers};

/// Shows a certificate made for this run; whoever shows one must have it from the front proxy's authority.
pub(crate) fn acceptor(access: &Access, name: &str) -> Result<TlsAcceptor, MetricsServerError> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), format!("metrics-server-{name}")])?;
    let unusable = |error: &dyn std::fmt::Display| MetricsServerError::Authority(error.to_string());
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes());
    let key = key.map_err(|error| unusable(&error))?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(access.front_proxy_ca.as_bytes()) {
        roots.add(authority.map_err(|error| unusable(&error))?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves one connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let stream = match shared.acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "TLS handshake"),
    };
    let proxy: Option<Arc<str>> = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(common_name)
        .map(Arc::from);
    let service = service_fn(move |request: Request<Incoming>| {
        let (shared, proxy) = (shared.clone(), proxy.clone());
        async move {
            let answer: Response<Full<Bytes>> = answers::answer(&shared, &request, proxy.as_deref()).await;
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection ended");
    }
}

fn common_name(chain: &[CertificateDer<'_>]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}
