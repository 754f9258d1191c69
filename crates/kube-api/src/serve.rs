//! TLS connections in, HTTP/1.1 and HTTP/2 with upgrades out; the same API for components of this process.

mod gathered;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use access_rules::User;
use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Request;
use http::header::HOST;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use supervision::Supervisor;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::gathered::Gathered;
use crate::api::{Caller, KubeApi, ServeError};
use crate::authentication::any_certificate;
use crate::pki::{ClusterPki, PkiError};
use crate::respond::Answer;

/// A client that has not finished its handshake by then is let go.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// After an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that are read of a connection at once.
const READ_AT_ONCE: usize = 16 << 10;
const STREAMS_PER_CONNECTION: u32 = 250;
/// Bytes that a stream holds ready for a client that has not read them: a thousand watchers hold as many of it.
const SENT_AHEAD: usize = 16 << 10;

impl KubeApi {
    /// Serves TLS connections until the supervisor is cancelled or [`KubeApi::shut_down`] says so; then running requests are
    /// answered and connections closed.
    ///
    /// # Errors
    /// When TLS cannot be set up. Failures of single connections are logged.
    pub async fn serve_tls(&self, listener: TcpListener, supervisor: &Supervisor) -> Result<(), ServeError> {
        let acceptor = TlsAcceptor::from(Arc::new(self.server_config()?));
        let connections = self.0.lifecycle.connections();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = supervisor.cancelled() => return Ok(()),
                () = connections.cancelled() => return Ok(()),
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (api, acceptor) = (self.clone(), acceptor.clone());
                    connections.spawn(format!("connection {peer}"), async move {
                        if let Err(error) = api.serve_connection(acceptor, stream).await {
                            tracing::debug!(%peer, error = %supervision::error_chain(error.as_ref()), "connection ended");
                        }
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "accept a connection");
                    supervision::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve_connection(
        &self,
        acceptor: TlsAcceptor,
        stream: TcpStream,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        let address = Some(stream.peer_addr()?.ip());
        // TLS reads little at a time: several requests are there with one system call.
        let stream = BufReader::with_capacity(READ_AT_ONCE, stream);
        let stream = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await??;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = self.0.authorities.look(chain, self.0.authentication.clock.now());
        let caller = Caller::Remote {
            certificate: certificate.map(Arc::new),
            address,
        };
        let multiplexed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = Gathered::new(stream, multiplexed);
        let service = service_fn(|request: Request<hyper::body::Incoming>| {
            let (api, caller) = (self.clone(), caller.clone());
            async move { Ok::<Answer, Infallible>(api.handle(request.map(Body::new), caller).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .max_send_buf_size(SENT_AHEAD);
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.0.lifecycle.connections().cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    fn server_config(&self) -> Result<ServerConfig, ServeError> {
        let pki = &self.0.pki;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let proxies = self.0.authentication.request_header.as_ref();
        let proxies = proxies.map(|header| header.authority_pem.as_str());
        let known: Vec<&str> = [pki.ca_pem()].into_iter().chain(proxies).collect();
        let verifier = any_certificate(&known, &provider)?;
        let (chain, key) = ClusterPki::rustls_pair(pki.serving())?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The API as a component in this process sees it: as `user`, without a socket.
    #[must_use]
    pub fn in_process(&self, user: User) -> InProcess {
        InProcess {
            api: self.clone(),
            user,
        }
    }
}

/// An aborted handshake concerns one client, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// One certificate from PEM.
pub(crate) fn certificate(pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| PkiError::Damaged {
        what: "the cluster's CA".to_owned(),
        problem: error.to_string(),
    })
}

/// The API as a [`tower::Service`] with a fixed identity.
#[derive(Clone)]
pub struct InProcess {
    api: KubeApi,
    user: User,
}

impl<B> tower::Service<Request<B>> for InProcess
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (api, caller) = (self.api.clone(), Caller::Component(self.user.clone()));
        async move { Ok(api.handle(request.map(Body::new), caller).await) }.boxed()
    }
}

/// Headers that belong to a connection and not to the request behind it.
pub(crate) fn is_of_the_connection(name: &http::HeaderName) -> bool {
    *name == HOST || crate::resources::is_hop_by_hop(name)
}
