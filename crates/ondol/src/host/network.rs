//! How a cluster's VPC is there: as a fabric of the kernel's, or simulated, where nothing can be reached but the nodes' own ports.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};

use aws_api::host::{ControlPlaneSpec, HostError};
use aws_types::VpcId;
use clock::{Clock, Random};
use futures::FutureExt;
use futures::future::BoxFuture;
use ipnet::Ipv4Net;
use kube_api::NodeDialer;
use load_balancer::{NetworkBalancers, NetworkOptions};
use metrics_server::MetricsServer;
use network_agent::security_groups::SecurityFilter;
use network_agent::vpc::VpcOptions;
use node_agent::simulated::SimulatedNode;
use service_routing::network_balancers::{HealthState, VpcBalancers};
use service_routing::security_groups::SecurityGroups;
use supervision::Supervisor;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::UdpSocket;
use tokio::sync::OnceCell;
use vpc_driver::{Fabric, FabricSpec};

use super::control_plane::{Cluster, DRAIN, nth};
use super::{LocalHost, failed, locked};
use crate::vpc_services::ServiceNames;

/// The port of a node's agent, and of the metrics server.
const AGENT: u16 = 10250;

/// A VPC's fabric and what it is served by.
pub(crate) struct VpcNetwork {
    fabric: Fabric,
    filter: SecurityFilter,
    balancers: NetworkBalancers,
    /// The parent of what serves it.
    supervisor: Supervisor,
}

/// A cluster's VPC. Clones are the same.
#[derive(Clone)]
pub(crate) enum Network {
    /// A network namespace.
    Vpc(Fabric),
    /// Nothing but the nodes of this process.
    Simulated(Simulation),
}

/// What stands in for a VPC where nothing can be reached but what is in this process.
#[derive(Clone, Default)]
pub(crate) struct Simulation {
    /// Nodes by address.
    pub(super) nodes: Arc<Mutex<BTreeMap<IpAddr, SimulatedNode>>>,
    metrics: Arc<SimulatedMetrics>,
}

/// The metrics server, which is of this process too: its pod runs nothing. It begins when it is asked first.
#[derive(Default)]
struct SimulatedMetrics {
    given: OnceLock<MetricsOptions>,
    running: OnceCell<MetricsServer>,
}

/// What a simulated metrics server is given.
pub(super) struct MetricsOptions {
    pub(super) client: kube::Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) supervisor: Supervisor,
}

impl Simulation {
    /// Lets a metrics server answer at the address of its pod.
    pub(super) fn offer_metrics(&self, options: MetricsOptions) {
        self.metrics.given.get_or_init(|| options);
    }

    /// A connection to a node, or, at the metrics server's port of what is no node, to the metrics server: no other
    /// system pod serves there.
    async fn connect(&self, to: SocketAddr) -> io::Result<DuplexStream> {
        let nobody = || io::Error::other("the nodes are simulated: no container runs that could answer");
        if to.port() != AGENT {
            return Err(nobody());
        }
        if let Some(node) = locked(&self.nodes).get(&to.ip()) {
            return node.connect().ok_or_else(nobody);
        }
        let options = self.metrics.given.get().ok_or_else(nobody)?;
        let started = self.metrics.running.get_or_try_init(async || {
            let (client, clock) = (options.client.clone(), options.clock.clone());
            MetricsServer::start(client, clock, options.random.as_ref(), options.supervisor.clone()).await
        });
        let server = started.await.map_err(io::Error::other)?;
        let (near, far) = tokio::io::duplex(64 * 1024);
        server.serve_connection(far);
        Ok(near)
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The address that the region itself has in a VPC, the resolver's: it is in no security group.
fn own_address(fabric: &Fabric) -> Ipv4Addr {
    fabric
        .cidrs()
        .first()
        .map_or(Ipv4Addr::UNSPECIFIED, |block| nth(*block, 2))
}

impl Network {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Vpc(fabric) => Ok(Box::new(
                fabric
                    .dial_as(own_address(fabric), to)
                    .await
                    .map_err(io::Error::other)?,
            )),
            Self::Simulated(simulation) => Ok(Box::new(simulation.connect(to).await?)),
        }
    }
}

/// Connections of a cluster's control plane: they come from its interfaces, which are in its security groups.
pub(super) struct ControlPlaneDialer {
    network: Network,
    address: Option<Ipv4Addr>,
}

impl ControlPlaneDialer {
    pub(super) fn new(network: &Network, spec: &ControlPlaneSpec) -> Self {
        Self {
            network: network.clone(),
            address: spec.addresses.first().copied(),
        }
    }
}

impl NodeDialer for ControlPlaneDialer {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn kube_api::AsyncReadWrite>>> {
        async move {
            let stream: Box<dyn Stream> = match (&self.network, self.address) {
                (Network::Vpc(fabric), Some(own)) => Box::new(fabric.dial_as(own, to).await.map_err(io::Error::other)?),
                (network, _) => network.connect(to).await?,
            };
            Ok(Box::new(stream) as Box<dyn kube_api::AsyncReadWrite>)
        }
        .boxed()
    }
}

impl load_balancer::Dialer for Network {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn load_balancer::TargetStream>>> {
        async move { Ok(Box::new(self.connect(to).await?) as Box<dyn load_balancer::TargetStream>) }.boxed()
    }

    fn datagrams(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<UdpSocket>> {
        async move {
            let Self::Vpc(fabric) = self else {
                return Err(io::ErrorKind::Unsupported.into());
            };
            let socket = fabric.bind_udp(SocketAddr::from((own_address(fabric), 0))).await?;
            socket.connect(to).await?;
            Ok(socket)
        }
        .boxed()
    }
}

impl LocalHost {
    pub(super) async fn network(&self, spec: &ControlPlaneSpec) -> Result<Network, HostError> {
        if self.simulated {
            return Ok(Network::Simulated(Simulation::default()));
        }
        self.fabric(spec).await.map(Network::Vpc)
    }

    /// The fabric of a cluster's VPC: one that runs, one that a machine kept open, or a new one.
    async fn fabric(&self, spec: &ControlPlaneSpec) -> Result<Fabric, HostError> {
        let mut networks = self.shared.networks.lock().await;
        if let Some(network) = networks.get(&spec.vpc.id) {
            return Ok(network.fabric.clone());
        }
        let object = spec.vpc.id.to_string();
        let block: Ipv4Net = spec.vpc.cidr.parse().map_err(failed("read the block", &object))?;
        let further = spec.vpc.further.iter().map(|text| text.parse::<Ipv4Net>());
        let further: Vec<Ipv4Net> = further
            .collect::<Result<_, _>>()
            .map_err(failed("read the blocks", &object))?;
        let wanted = FabricSpec {
            vpc_id: object.clone(),
            cidrs: std::iter::once(block).chain(further).collect(),
            local_addresses: vec![nth(block, 2)],
        };
        let holders: Vec<i32> = self
            .machine_pids()?
            .into_iter()
            .filter_map(|pid| i32::try_from(pid).ok())
            .collect();
        let fabric = Fabric::reopen_or_create(wanted, &holders)
            .await
            .map_err(failed("make the network", &object))?;
        let supervisor = self.supervisor.child(object.clone());
        let options = VpcOptions {
            region: spec.cluster.region.to_string(),
            addresses: Some(Arc::new(ServiceNames)),
        };
        let served = network_agent::vpc::serve(fabric.clone(), options, &supervisor).await;
        served.map_err(failed("serve the network", &object))?;
        let offered = self
            .services
            .serve(&fabric, (&spec.cluster, &spec.vpc.id), &supervisor)
            .await;
        offered.map_err(failed("offer the region's services in the network", &object))?;
        let network = VpcNetwork {
            fabric: fabric.clone(),
            filter: SecurityFilter::new(fabric.clone()),
            balancers: self.load_balancers.add_network(NetworkOptions {
                vpc: object,
                dialer: Arc::new(Network::Vpc(fabric.clone())),
                supervisor: supervisor.child("load balancers"),
            }),
            supervisor,
        };
        networks.insert(spec.vpc.id.clone(), network);
        Ok(fabric)
    }

    /// The last cluster of a VPC takes its fabric along.
    pub(super) async fn forget_fabric(&self, removed: &Cluster) {
        let mut networks = self.shared.networks.lock().await;
        let vpc = &removed.spec.vpc.id;
        let is_used = locked(&self.shared.clusters)
            .values()
            .any(|other| other.spec.vpc.id == *vpc);
        if !is_used && let Some(network) = networks.remove(vpc) {
            network.supervisor.drain(DRAIN).await;
        }
    }

    pub(super) async fn known_networks(&self) -> Vec<VpcId> {
        self.shared.networks.lock().await.keys().cloned().collect()
    }

    /// Lets a VPC's network load balancers be these.
    pub(super) async fn set_balancers(&self, vpc: VpcId, wanted: VpcBalancers) {
        if let Some(network) = self.shared.networks.lock().await.get(&vpc) {
            network.balancers.set(wanted);
        }
    }

    /// How the targets of a group of a VPC are.
    pub(super) async fn health_of_targets(
        &self,
        vpc: VpcId,
        group: String,
    ) -> Option<BTreeMap<(String, u16), HealthState>> {
        let networks = self.shared.networks.lock().await;
        networks.get(&vpc).map(|network| network.balancers.health(&group))
    }

    /// Lets pass in a VPC what its security groups allow.
    pub(super) async fn secure(&self, vpc: VpcId, groups: SecurityGroups) -> Result<(), HostError> {
        let filter = self
            .shared
            .networks
            .lock()
            .await
            .get(&vpc)
            .map(|network| network.filter.clone());
        match filter {
            Some(filter) => filter
                .apply(groups)
                .await
                .map_err(failed("set the security groups", vpc.as_str())),
            None => Ok(()),
        }
    }
}
