//! This machine as the place where clusters and instances are: the drivers and components behind EKS's operations.

mod access;
mod addons;
mod api_port;
mod balancers;
mod cluster_tokens;
mod components;
mod control_plane;
mod explain;
mod fargate;
mod instances;
mod logs;
mod network;
mod nodes;
mod settings;
mod simulated;
mod system_pods;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_api::host::{
    AddonSpec, ClusterHost, ClusterRef, ControlPlane, ControlPlaneSpec, FargateBinding, FargatePod, HostError,
    HostErrorKind, InstanceRef, InstanceSpec, LoadBalancer, NodeMetadataChange, ObservedInstance, ObservedNode,
    Process, Question,
};
use aws_types::{InstanceId, VpcId};
use clock::{Clock, Random};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use load_balancer::LoadBalancers;
use machine_driver::cgroup::Enforcement;
use service_routing::network_balancers::{HealthState, VpcBalancers};
use service_routing::security_groups::SecurityGroups;
use supervision::Supervisor;
use tokio::sync::broadcast;

pub(crate) use cluster_tokens::EksTokens;
pub(crate) use control_plane::Cluster;
pub(crate) use instances::{read_json, write_json};

use self::network::VpcNetwork;
use crate::home::Home;
use crate::processes;
use crate::vpc_services::VpcServices;

/// How long a step that only the kernel or a component of ours holds up may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a host is given.
#[derive(Clone)]
pub struct Settings {
    /// The state directory.
    pub home: Home,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The parent of every task.
    pub supervisor: Supervisor,
    /// The load balancers of all clusters.
    pub load_balancers: LoadBalancers,
    /// Checks EKS bearer tokens.
    pub tokens: Arc<dyn EksTokens>,
    /// What VPCs have of the region.
    pub services: Arc<VpcServices>,
    /// Names the control groups of this Ondol among those of others on the machine.
    pub tag: String,
    /// Whether nodes are simulated.
    pub simulated: bool,
    /// The etcd in which clusters keep their objects; none is this machine's disk.
    pub etcd: Option<store::EtcdLocation>,
}

/// The host. Cheap to clone; clones are the same host.
#[derive(Clone)]
pub struct LocalHost {
    home: Home,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    supervisor: Supervisor,
    load_balancers: LoadBalancers,
    tokens: Arc<dyn EksTokens>,
    services: Arc<VpcServices>,
    tag: String,
    simulated: bool,
    etcd: Option<store::EtcdLocation>,
    enforcement: Enforcement,
    events: broadcast::Sender<ObservedInstance>,
    fargate_events: broadcast::Sender<ClusterRef>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    clusters: Mutex<BTreeMap<ClusterRef, Arc<Cluster>>>,
    /// Networks by VPC. Held while one is made, so that two clusters of a VPC share it.
    networks: tokio::sync::Mutex<BTreeMap<VpcId, VpcNetwork>>,
    /// Instances whose end is waited for.
    watched: Mutex<BTreeSet<InstanceId>>,
}

/// Wraps a cause with the step and the object it is about. Trying again may help.
fn failed<E: Into<Box<dyn Error + Send + Sync>>>(step: &'static str, object: &str) -> impl FnOnce(E) -> HostError {
    let object = object.to_owned();
    move |source| HostError {
        kind: HostErrorKind::Transient,
        step,
        object,
        source: source.into(),
    }
}

/// Nothing here panics while holding a lock, so a poisoned one still holds sound data.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalHost {
    /// A host with nothing started: the region repeats what it wants to be there.
    pub fn new(settings: Settings) -> Self {
        let Settings {
            home,
            clock,
            random,
            supervisor,
            load_balancers,
            tokens,
            services,
            tag,
            simulated,
            etcd,
        } = settings;
        let (events, _) = broadcast::channel(1024);
        let (fargate_events, _) = broadcast::channel(64);
        let enforcement = Enforcement::here();
        Self {
            home,
            clock,
            random,
            supervisor,
            load_balancers,
            tokens,
            services,
            tag,
            simulated,
            etcd,
            enforcement,
            events,
            fargate_events,
            shared: Arc::default(),
        }
    }

    /// What of limits is enforced here.
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Whether nodes are simulated.
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    fn cluster(&self, cluster: &ClusterRef) -> Result<Arc<Cluster>, HostError> {
        let found = locked(&self.shared.clusters).get(cluster).cloned();
        found.ok_or_else(|| failed("find the control plane", cluster.name.as_str())("it does not run"))
    }

    fn watched(&self) -> MutexGuard<'_, BTreeSet<InstanceId>> {
        locked(&self.shared.watched)
    }

    fn own_processes(&self) -> Result<Vec<Process>, HostError> {
        let mut roots = self.machine_pids()?;
        roots.push(std::process::id());
        processes::below(&roots).map_err(failed("look at the processes", "/proc"))
    }
}

/// What is told from now on. A listener that fell behind looks again by itself, so what it missed is skipped.
fn heard<T: Clone + Send + 'static>(receiver: broadcast::Receiver<T>) -> BoxStream<'static, T> {
    let stream = futures::stream::unfold(receiver, async |mut receiver| {
        loop {
            match receiver.recv().await {
                Ok(event) => return Some((event, receiver)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    stream.boxed()
}

impl ClusterHost for LocalHost {
    fn create_control_plane(&self, spec: ControlPlaneSpec) -> BoxFuture<'_, Result<ControlPlane, HostError>> {
        self.start_cluster(spec).boxed()
    }

    fn delete_control_plane(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<(), HostError>> {
        self.remove_cluster(cluster).boxed()
    }

    fn launch_instance(&self, spec: InstanceSpec) -> BoxFuture<'_, Result<(), HostError>> {
        self.launch(spec).boxed()
    }

    fn networks(&self) -> BoxFuture<'_, Vec<VpcId>> {
        self.known_networks().boxed()
    }

    fn secure_network(&self, vpc: VpcId, groups: SecurityGroups) -> BoxFuture<'_, Result<(), HostError>> {
        self.secure(vpc, groups).boxed()
    }

    fn balance(&self, vpc: VpcId, wanted: VpcBalancers) -> BoxFuture<'_, Result<(), HostError>> {
        self.set_balancers(vpc, wanted).map(Ok).boxed()
    }

    fn target_health(&self, vpc: VpcId, group: String) -> BoxFuture<'_, Option<BTreeMap<(String, u16), HealthState>>> {
        self.health_of_targets(vpc, group).boxed()
    }

    fn terminate_instance(&self, instance: InstanceRef) -> BoxFuture<'_, Result<(), HostError>> {
        self.terminate(instance).boxed()
    }

    fn running(&self, instances: BTreeSet<InstanceId>) -> BoxFuture<'_, Result<BTreeSet<InstanceId>, HostError>> {
        std::future::ready(self.running_of(instances)).boxed()
    }

    fn instance_events(&self) -> BoxStream<'static, ObservedInstance> {
        heard(self.events.subscribe())
    }

    fn nodes(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<Vec<ObservedNode>, HostError>> {
        async move {
            self.cluster(&cluster)?
                .observed_nodes()
                .await
                .map_err(failed("list the nodes", cluster.name.as_str()))
        }
        .boxed()
    }

    fn drain_node(&self, instance: InstanceRef, limit: Duration) -> BoxFuture<'_, Result<(), HostError>> {
        self.drain(instance, limit).boxed()
    }

    fn relabel_nodes(&self, change: NodeMetadataChange) -> BoxFuture<'_, Result<(), HostError>> {
        self.relabel(change).boxed()
    }

    fn explain(&self, question: Question) -> BoxFuture<'_, Result<String, HostError>> {
        std::future::ready(self.explained(&question)).boxed()
    }

    fn apply_addon(&self, addon: AddonSpec) -> BoxFuture<'_, Result<Vec<String>, HostError>> {
        self.put_addon(addon).boxed()
    }

    fn remove_addon(&self, addon: AddonSpec) -> BoxFuture<'_, Result<(), HostError>> {
        self.take_addon(addon).boxed()
    }

    fn lacking_workloads(
        &self,
        cluster: ClusterRef,
    ) -> BoxFuture<'_, Result<BTreeMap<String, Vec<String>>, HostError>> {
        self.lacking_of(cluster).boxed()
    }

    fn identity_mappings(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<BTreeMap<String, String>, HostError>> {
        self.mappings_of(cluster).boxed()
    }

    fn map_node_role(&self, cluster: ClusterRef, role: String) -> BoxFuture<'_, Result<(), HostError>> {
        self.let_nodes_in(cluster, role).boxed()
    }

    fn fargate_pods(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<Vec<FargatePod>, HostError>> {
        self.fargate_pods_of(cluster).boxed()
    }

    fn fargate_events(&self) -> BoxStream<'static, ClusterRef> {
        heard(self.fargate_events.subscribe())
    }

    fn bind_fargate_pod(&self, binding: FargateBinding) -> BoxFuture<'_, Result<(), HostError>> {
        self.bind_to_fargate(binding).boxed()
    }

    fn refuse_fargate_pod(&self, pod: FargatePod, message: String) -> BoxFuture<'_, Result<(), HostError>> {
        self.refuse_on_fargate(pod, message).boxed()
    }

    fn load_balancers(&self) -> BoxFuture<'_, Result<Vec<LoadBalancer>, HostError>> {
        std::future::ready(Ok(self.serving_balancers())).boxed()
    }

    fn processes(&self) -> BoxFuture<'_, Result<Vec<Process>, HostError>> {
        std::future::ready(self.own_processes()).boxed()
    }
}
