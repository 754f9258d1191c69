//! coredns: the names of the cluster, and everybody else's through the VPC's resolver.
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::StatusCode;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube_client::{Cache, Selection, kube};
use service_routing::endpoints::SliceIndex;
use service_routing::names::{Answer, CLUSTER_DOMAIN, ClusterNames, RecordKind};
use supervision::Supervisor;
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use crate::health;

mod answers;
mod forward;
mod server;

pub use forward::Forwarder;
pub use server::{Counters, Listeners, Zones, serve};

/// How long a question for readiness waits for it: a first probe that is refused costs its whole period, while the names are there in a moment. Less
/// than the second that a probe waits by default.
const READY_SOON: Duration = Duration::from_millis(800);

/// What coredns is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's domain.
    pub domain: String,
    /// Where names are asked for, by UDP and TCP.
    pub address: SocketAddr,
    /// Where `/health` answers.
    pub health_address: SocketAddr,
    /// Where `/ready` answers.
    pub ready_address: SocketAddr,
    /// Where `/metrics` answers.
    pub metrics_address: SocketAddr,
    /// The file that names the resolvers of other names.
    pub resolv_conf: PathBuf,
}

impl Config {
    /// CoreDNS's own ports; the domain from `CLUSTER_DOMAIN`, else `cluster.local`.
    #[must_use]
    pub fn from_environment() -> Self {
        let everywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            domain: std::env::var("CLUSTER_DOMAIN").unwrap_or_else(|_unset| CLUSTER_DOMAIN.to_owned()),
            address: everywhere(53),
            health_address: everywhere(8080),
            ready_address: everywhere(8181),
            metrics_address: everywhere(9153),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
        }
    }
}

/// Why coredns cannot start.
#[derive(Debug, Error)]
pub enum DnsError {
    /// A port is taken or not permitted.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Answers until the supervisor is cancelled. Questions that come before the cluster is known wait for it; readiness
/// is told from then on.
///
/// # Errors
/// When a port is taken.
pub async fn run(config: Config, client: kube::Client, supervisor: &Supervisor) -> Result<(), DnsError> {
    let listen_error = |address| move |source| DnsError::Listen { address, source };
    let (ready, readiness) = watch::channel(false);
    let ok = || Some((StatusCode::OK, "OK".to_owned()));
    let health = health::serve(config.health_address, supervisor, move |path| {
        (path == "/health").then(ok).flatten()
    });
    health.await.map_err(listen_error(config.health_address))?;
    let awaited = readiness.clone();
    let wait = move || {
        let mut awaited = awaited.clone();
        async move {
            // Either way the page says how it is.
            drop(tokio::time::timeout(READY_SOON, awaited.wait_for(|ready| *ready)).await);
        }
    };
    let page = move |path: &str| match (path, *readiness.borrow()) {
        ("/ready", true) => Some((StatusCode::OK, "OK".to_owned())),
        ("/ready", false) => Some((StatusCode::SERVICE_UNAVAILABLE, "kubernetes".to_owned())),
        _ => None,
    };
    health::serve_after(config.ready_address, supervisor, wait, page)
        .await
        .map_err(listen_error(config.ready_address))?;

    let sources = Sources {
        services: Cache::start(Api::all(client.clone()), Selection::default(), supervisor),
        slices: Cache::start(Api::all(client.clone()), Selection::default(), supervisor),
        namespaces: Cache::start(Api::all(client), Selection::default(), supervisor),
    };
    let zone = Arc::new(ClusterZone {
        names: ArcSwap::default(),
        domain: config.domain.clone(),
    });
    let listeners = Listeners {
        udp: UdpSocket::bind(config.address)
            .await
            .map_err(listen_error(config.address))?,
        tcp: TcpListener::bind(config.address)
            .await
            .map_err(listen_error(config.address))?,
    };
    let cancelled = supervisor.cancelled();
    let work = async {
        sources.synced().await;
        zone.names.store(Arc::new(sources.names(&zone.domain)));
        let forwarder = Forwarder::of_file(config.resolv_conf);
        let counters = serve(listeners, Arc::clone(&zone) as Arc<dyn Zones>, forwarder, supervisor);
        let metrics = health::serve(config.metrics_address, supervisor, move |path| {
            (path == "/metrics").then(|| (StatusCode::OK, counters.text()))
        });
        metrics.await.map_err(listen_error(config.metrics_address))?;
        ready.send_replace(true);
        tracing::info!(address = %config.address, domain = zone.domain, "names are answered");
        sources.follow(&zone).await;
        Ok(())
    };
    tokio::select! {
        outcome = work => outcome,
        () = cancelled => Ok(()),
    }
}

struct Sources {
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    namespaces: Cache<Namespace>,
}

impl Sources {
    async fn synced(&self) {
        self.services.synced().await;
        self.slices.synced().await;
        self.namespaces.synced().await;
    }

    fn names(&self, domain: &str) -> ClusterNames {
        let (services, slices) = (self.services.snapshot(), self.slices.snapshot());
        let index = SliceIndex::new(slices.values().map(AsRef::as_ref));
        let namespaces = self.namespaces.snapshot();
        let namespaces = namespaces.keys().map(|key| key.name.clone());
        ClusterNames::build(domain, services.values().map(AsRef::as_ref), &index, namespaces)
    }

    async fn follow(&self, zone: &ClusterZone) {
        let mut services = self.services.changes();
        let (mut slices, mut namespaces) = (self.slices.changes(), self.namespaces.changes());
        loop {
            tokio::select! {
                _ = services.next() => {}
                _ = slices.next() => {}
                _ = namespaces.next() => {}
            }
            zone.names.store(Arc::new(self.names(&zone.domain)));
        }
    }
}

struct ClusterZone {
    names: ArcSwap<ClusterNames>,
    domain: String,
}

impl Zones for ClusterZone {
    fn answer(&self, name: &str, kind: RecordKind) -> Answer {
        self.names.load().answer(name, kind)
    }

    fn domain(&self) -> &str {
        &self.domain
    }
}
