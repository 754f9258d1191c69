//! Connections to the region: TLS and plain HTTP on the same port, told apart by the first byte.

use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_types::RegionName;
use aws_types::region::REGIONS;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use supervision::Supervisor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Where a VPC's instances and pods reach the region, ports 80 and 443: an address that only the VPC's own network has.
pub const VPC_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 4);

/// A client that has not said by then what it wants is let go.
const FIRST_BYTE_LIMIT: Duration = Duration::from_secs(60);
/// A client that has not finished its handshake by then is let go.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// After an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The first byte of a TLS connection: a record that holds a handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The DNS names that the certificate is good for: what clients on this machine call the endpoint, and AWS's names of its services in
/// every region.
#[must_use]
pub fn host_names(home: &RegionName) -> Vec<String> {
    let fixed = [
        "localhost",
        "*.amazonaws.com",
        "*.pricing.us-east-1.amazonaws.com",
        "*.api.aws",
    ];
    let others = REGIONS.iter().map(|region| region.name);
    let others = others.filter(|name| *name != home.as_str());
    let of_regions = std::iter::once(home.as_str()).chain(others).flat_map(|region| {
        [
            format!("*.{region}.amazonaws.com"),
            format!("*.eks.{region}.amazonaws.com"),
            format!("*.ecr.{region}.amazonaws.com"),
            format!("*.{region}.api.aws"),
        ]
    });
    fixed.into_iter().map(str::to_owned).chain(of_regions).collect()
}

/// What answers on the region's ports. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint {
    router: Router,
    tls: TlsAcceptor,
}

impl Endpoint {
    /// An endpoint that answers by `router` and proves itself by the certificate of `tls`.
    #[must_use]
    pub fn new(router: Router, mut tls: ServerConfig) -> Self {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            router,
            tls: TlsAcceptor::from(Arc::new(tls)),
        }
    }

    /// Serves a port until the supervisor is cancelled; then running requests are answered and connections closed.
    pub fn serve(&self, listener: TcpListener, name: &str, supervisor: &Supervisor) {
        let (endpoint, tasks) = (self.clone(), supervisor.clone());
        supervisor.spawn(name.to_owned(), async move { endpoint.accept(listener, &tasks).await });
    }

    async fn accept(&self, listener: TcpListener, supervisor: &Supervisor) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = supervisor.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (endpoint, tasks) = (self.clone(), supervisor.clone());
                    supervisor.spawn(format!("AWS connection {peer}"), async move {
                        if let Err(error) = endpoint.converse(stream, &tasks).await {
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

    async fn converse(&self, stream: TcpStream, tasks: &Supervisor) -> Result<(), Failed> {
        stream.set_nodelay(true)?;
        let mut first = [0];
        let peeked = tokio::select! {
            peeked = tokio::time::timeout(FIRST_BYTE_LIMIT, stream.peek(&mut first)) => peeked??,
            () = tasks.cancelled() => return Ok(()),
        };
        match (peeked, first) {
            (0, _) => Ok(()),
            (_, [HANDSHAKE_RECORD]) => {
                let stream = tokio::time::timeout(HANDSHAKE_LIMIT, self.tls.accept(stream)).await??;
                self.answer(stream, tasks).await
            }
            _ => self.answer(stream, tasks).await,
        }
    }

    async fn answer<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        stream: S,
        tasks: &Supervisor,
    ) -> Result<(), Failed> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        builder.http2().timer(TokioTimer::new());
        let service = TowerToHyperService::new(self.router.clone());
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = tasks.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
}

/// An aborted handshake concerns one client, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
