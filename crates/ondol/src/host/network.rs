//! How a cluster's VPC is there: as a fabric of the kernel's, or simulated, where nothing can be reached but the nodes' own ports.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use aws_api::host::{ControlPlaneSpec, HostError};
use futures::FutureExt;
use futures::future::BoxFuture;
use ipnet::Ipv4Net;
use kube_api::NodeDialer;
use network_agent::vpc::VpcOptions;
use node_agent::simulated::SimulatedNode;
use tokio::io::{AsyncRead, AsyncWrite};
use vpc_driver::{Fabric, FabricSpec};

use super::control_plane::{Cluster, DRAIN, nth};
use super::{LocalHost, failed, locked};

/// The port of a node's agent.
const AGENT: u16 = 10250;

/// A cluster's VPC. Clones are the same.
#[derive(Clone)]
pub(crate) enum Network {
    /// A network namespace.
    Vpc(Fabric),
    /// Nothing but the nodes of this process.
    Simulated(SimulatedNodes),
}

/// Simulated nodes by address.
pub(super) type SimulatedNodes = Arc<Mutex<BTreeMap<IpAddr, SimulatedNode>>>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Network {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Vpc(fabric) => Ok(Box::new(fabric.dial(to).await.map_err(io::Error::other)?)),
            Self::Simulated(nodes) => {
                let node = locked(nodes)
                    .get(&to.ip())
                    .filter(|_| to.port() == AGENT)
                    .and_then(SimulatedNode::connect);
                node.map(|stream| Box::new(stream) as Box<dyn Stream>)
                    .ok_or_else(|| io::Error::other("the nodes are simulated: no container runs that could answer"))
            }
        }
    }
}

impl NodeDialer for Network {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn kube_api::AsyncReadWrite>>> {
        async move { Ok(Box::new(self.connect(to).await?) as Box<dyn kube_api::AsyncReadWrite>) }.boxed()
    }
}

impl load_balancer::Dialer for Network {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn load_balancer::TargetStream>>> {
        async move { Ok(Box::new(self.connect(to).await?) as Box<dyn load_balancer::TargetStream>) }.boxed()
    }
}

impl LocalHost {
    pub(super) async fn network(&self, spec: &ControlPlaneSpec) -> Result<Network, HostError> {
        if self.simulated {
            return Ok(Network::Simulated(SimulatedNodes::default()));
        }
        self.fabric(spec).await.map(Network::Vpc)
    }

    /// The fabric of a cluster's VPC: one that runs, one that a machine kept open, or a new one.
    async fn fabric(&self, spec: &ControlPlaneSpec) -> Result<Fabric, HostError> {
        let mut fabrics = self.shared.fabrics.lock().await;
        if let Some((fabric, _)) = fabrics.get(&spec.vpc.id) {
            return Ok(fabric.clone());
        }
        let object = spec.vpc.id.to_string();
        let block: Ipv4Net = spec.vpc.cidr.parse().map_err(failed("read the block", &object))?;
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        let wanted = FabricSpec {
            vpc_id: object.clone(),
            cidrs: vec![block],
            local_addresses: vec![nth(block, 2), metadata],
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
            addresses: None,
        };
        let served = network_agent::vpc::serve(fabric.clone(), options, &supervisor).await;
        served.map_err(failed("serve the network", &object))?;
        fabrics.insert(spec.vpc.id.clone(), (fabric.clone(), supervisor));
        Ok(fabric)
    }

    /// The last cluster of a VPC takes its fabric along.
    pub(super) async fn forget_fabric(&self, removed: &Cluster) {
        let mut fabrics = self.shared.fabrics.lock().await;
        let vpc = &removed.spec.vpc.id;
        let is_used = locked(&self.shared.clusters)
            .values()
            .any(|other| other.spec.vpc.id == *vpc);
        if !is_used && let Some((_, supervisor)) = fabrics.remove(vpc) {
            supervisor.drain(DRAIN).await;
        }
    }
}
