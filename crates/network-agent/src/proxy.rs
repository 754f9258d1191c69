//! kube-proxy: makes Services reachable from its node by packet rules in the node's namespace.
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube_client::{Cache, Selection, kube};
use packet_filter::{PacketFilter, PacketFilterError};
use service_routing::endpoints::{NodeView, SliceIndex};
use service_routing::ruleset::Table;
use service_routing::service_rules::{self, stale_flows};
use supervision::Supervisor;
use thiserror::Error;

use crate::health;

/// How long after a refusal the rules are tried again without any change in the cluster.
const RETRY: Duration = Duration::from_secs(1);

/// The zone of a node.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// What kube-proxy is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node whose namespace this is.
    pub node_name: String,
    /// Where `/healthz` and `/livez` answer.
    pub health_address: SocketAddr,
    /// Where `/metrics` answers.
    pub metrics_address: SocketAddr,
}

impl Config {
    /// The node's name from `NODE_NAME`, kube-proxy's own ports.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            node_name: std::env::var("NODE_NAME").unwrap_or_default(),
            health_address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 10256)),
            metrics_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 10249)),
        }
    }
}

/// Why kube-proxy cannot start.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// The node's name is needed to tell local endpoints.
    #[error("the node's name is not known: set NODE_NAME")]
    NodeName,
    /// No access to the packet filter.
    #[error("packet filter of the node")]
    PacketFilter(#[from] PacketFilterError),
    /// A port is taken.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

#[derive(Default)]
struct State {
    synced: AtomicBool,
    syncs: AtomicU64,
    failures: AtomicU64,
}

/// Sets the rules of all Services and keeps them so, until the supervisor is cancelled. The rules stay afterwards: a
/// restart of kube-proxy interrupts nobody.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config, client: kube::Client, supervisor: &Supervisor) -> Result<(), ProxyError> {
    if config.node_name.is_empty() {
        return Err(ProxyError::NodeName);
    }
    let filter = PacketFilter::open()?;
    let state = Arc::new(State::default());
    listen(&config, &state, supervisor).await?;
    let sources = Sources {
        services: Cache::start(Api::all(client.clone()), Selection::default(), supervisor),
        slices: Cache::start(Api::all(client.clone()), Selection::default(), supervisor),
        node: Cache::start(
            Api::all(client),
            Selection::fields(format!("metadata.name={}", config.node_name)),
            supervisor,
        ),
        node_name: config.node_name,
    };
    let cancelled = supervisor.cancelled();
    tokio::select! {
        () = follow(sources, filter, &state) => {}
        () = cancelled => {}
    }
    Ok(())
}

async fn listen(config: &Config, state: &Arc<State>, supervisor: &Supervisor) -> Result<(), ProxyError> {
    let health = Arc::clone(state);
    let served = health::serve(config.health_address, supervisor, move |path| {
        let healthy = health.synced.load(Ordering::Relaxed);
        let status = if healthy {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        matches!(path, "/healthz" | "/livez")
            .then(|| (status, format!("{{\"nodeEligible\": true, \"synced\": {healthy}}}")))
    });
    served.await.map_err(|source| ProxyError::Listen {
        address: config.health_address,
        source,
    })?;
    let metrics = Arc::clone(state);
    let served = health::serve(config.metrics_address, supervisor, move |path| {
        let text = format!(
            "kubeproxy_sync_proxy_rules_total {}\nkubeproxy_sync_proxy_rules_failures_total {}\n",
            metrics.syncs.load(Ordering::Relaxed),
            metrics.failures.load(Ordering::Relaxed)
        );
        match path {
            "/metrics" => Some((StatusCode::OK, text)),
            "/proxyMode" => Some((StatusCode::OK, "nftables".to_owned())),
            _ => None,
        }
    });
    served.await.map_err(|source| ProxyError::Listen {
        address: config.metrics_address,
        source,
    })?;
    Ok(())
}

/// What the rules are made of.
struct Sources {
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    node: Cache<Node>,
    node_name: String,
}

impl Sources {
    fn table(&self) -> Table {
        let (services, slices) = (self.services.snapshot(), self.slices.snapshot());
        let index = SliceIndex::new(slices.values().map(AsRef::as_ref));
        let node = self.node.snapshot().values().next().cloned();
        let labels = node.and_then(|node| node.metadata.labels.clone()).unwrap_or_default();
        let view = NodeView {
            name: self.node_name.clone(),
            zone: labels.get(ZONE_LABEL).cloned(),
        };
        service_rules::service_table(services.values().map(AsRef::as_ref), &index, &view)
    }
}

async fn follow(sources: Sources, mut filter: PacketFilter, state: &State) {
    let (mut services, mut slices, mut node) = (
        sources.services.changes(),
        sources.slices.changes(),
        sources.node.changes(),
    );
    sources.services.synced().await;
    sources.slices.synced().await;
    loop {
        let applied = set_rules(&sources, &mut filter, state);
        // A refusal is tried again soon; success waits for a change.
        let retry = async {
            if applied {
                std::future::pending::<()>().await;
            }
            supervision::sleep(RETRY).await;
        };
        tokio::select! {
            _ = services.next() => {}
            _ = slices.next() => {}
            _ = node.next() => {}
            () = retry => {}
        }
    }
}

/// Brings the rules into the state that the cluster asks for; says whether that succeeded.
fn set_rules(sources: &Sources, filter: &mut PacketFilter, state: &State) -> bool {
    let wanted = sources.table();
    let stale = filter
        .applied()
        .map(|before| stale_flows(before, &wanted))
        .unwrap_or_default();
    state.syncs.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = filter.apply(wanted) {
        state.failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!(error = supervision::error_chain(&error), "service rules are not set");
        return false;
    }
    match packet_filter::forget_flows(&stale) {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "forgot UDP flows of endpoints that are gone"),
        Err(error) => tracing::warn!(error = supervision::error_chain(&error), "stale UDP flows are left"),
    }
    if !state.synced.swap(true, Ordering::Relaxed) {
        tracing::info!(node = sources.node_name, "service rules are set");
    }
    true
}
