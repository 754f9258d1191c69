//! What nodes and pods use, scraped from the nodes and served as `metrics.k8s.io/v1beta1` by an aggregated API server.
//!
//! **Invariant:** knows usage from the nodes only, and keeps two scrapes of each, no more.
//!
//! It stands where the metrics-server of the Kubernetes project stands and answers as that one does: a rate of CPU needs two
//! scrapes, a pod is shown when all its containers have one. Nodes are reached through the API server's proxy, which leads to
//! the port of every node, simulated ones included. Users come by the front proxy's certificate or with a bearer token, and
//! the API server is asked whether they may.
#![forbid(unsafe_code)]

mod access;
mod answers;
mod document;
mod exposition;
mod scrape;
mod server;
mod usage;

use std::sync::Arc;

use clock::{Clock, Random};
use supervision::{Restart, Supervisor};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use access::Access;
use usage::Store;

/// The port of the server, upstream's.
pub const PORT: u16 = 10250;

/// Why the server cannot be.
#[derive(Debug, thiserror::Error)]
pub enum MetricsServerError {
    /// A certificate of its own.
    #[error("make the serving certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
    /// Which front proxy is to be believed.
    #[error("read kube-system/extension-apiserver-authentication")]
    FrontProxy(#[source] kube::Error),
    /// What that ConfigMap holds is unusable.
    #[error("front proxy's authority in kube-system/extension-apiserver-authentication: {0}")]
    Authority(String),
    /// The port.
    #[error("listen on port {PORT}")]
    Listen(#[source] std::io::Error),
}

/// A metrics server that scrapes. Clones are the same.
#[derive(Clone)]
pub struct MetricsServer(Arc<Shared>);

struct Shared {
    client: kube::Client,
    clock: Arc<dyn Clock>,
    usage: Arc<Store>,
    access: Access,
    acceptor: TlsAcceptor,
    tasks: Supervisor,
}

impl MetricsServer {
    /// Begins to scrape the cluster's nodes, until the supervisor is cancelled.
    ///
    /// # Errors
    /// When the API server does not say which front proxy to believe, or TLS cannot be set up.
    pub async fn start(
        client: kube::Client,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        tasks: Supervisor,
    ) -> Result<Self, MetricsServerError> {
        let access = Access::read(client.clone(), clock.clone()).await?;
        let acceptor = server::acceptor(&access, &random.uuid())?;
        let usage = Arc::new(Store::default());
        let shared = Arc::new(Shared {
            client,
            clock,
            usage,
            access,
            acceptor,
            tasks,
        });
        let scraping = shared.clone();
        shared
            .tasks
            .spawn_restarting("scrape nodes", Restart::always(), move || {
                scrape::keep(scraping.clone())
            });
        Ok(Self(shared))
    }

    /// Serves connections until the supervisor is cancelled.
    pub async fn serve(&self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.0.tasks.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => self.serve_connection(stream),
                Err(error) => tracing::warn!(%error, "accept a connection"),
            }
        }
    }

    /// Serves one connection in the background.
    pub fn serve_connection(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let shared = self.0.clone();
        self.0
            .tasks
            .spawn_until_cancelled("metrics connection", server::serve(shared, stream));
    }
}

/// Runs in a pod: on [`PORT`], with its service account.
///
/// # Errors
/// When it cannot start.
pub async fn run(
    client: kube::Client,
    clock: Arc<dyn Clock>,
    random: &dyn Random,
    supervisor: &Supervisor,
) -> Result<(), MetricsServerError> {
    let listener = TcpListener::bind(("0.0.0.0", PORT))
        .await
        .map_err(MetricsServerError::Listen)?;
    let server = MetricsServer::start(client, clock, random, supervisor.clone()).await?;
    server.serve(listener).await;
    Ok(())
}
