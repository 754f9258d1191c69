//! A host that does nothing but remember: control planes answer, machines run and nodes are Ready as soon as they are asked
//! for, unless the test says otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_api::host::*;
use aws_types::{InstanceId, VpcId};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use futures::{FutureExt, stream};
use service_routing::security_groups::SecurityGroups;
use tokio::sync::broadcast;

/// The world that the host changes. It outlives the region, as machines do.
#[derive(Default)]
pub struct World {
    pub control_planes: BTreeMap<ClusterRef, ControlPlaneSpec>,
    pub instances: BTreeMap<InstanceId, (InstanceSpec, InstanceState)>,
    pub drained: BTreeSet<InstanceId>,
    pub relabelled: Vec<NodeMetadataChange>,
    /// Control planes cannot be made: kind of the error.
    pub control_plane_error: Option<HostErrorKind>,
    /// Instances cannot be launched.
    pub launch_error: Option<HostErrorKind>,
    /// Add-ons whose objects are in a cluster.
    pub addons: BTreeSet<String>,
    /// Objects that somebody else has changed.
    pub conflicts: Vec<String>,
    /// Roles of nodes that EKS has mapped in `aws-auth`.
    pub node_roles: BTreeSet<String>,
    /// What `aws-auth` holds.
    pub aws_auth: BTreeMap<String, String>,
    /// Pods that Fargate profiles have taken.
    pub fargate_pods: Vec<FargatePod>,
    /// Fargate pods and their nodes, or why there is none.
    pub fargate_said: Vec<String>,
    /// What networks were told of security groups last.
    pub secured: BTreeMap<VpcId, SecurityGroups>,
    /// Instances that were launched before their network knew their groups.
    pub launched_unknown: BTreeSet<InstanceId>,
    /// Control planes are never ready while this is set.
    pub control_plane_hangs: bool,
}

pub struct FakeHost {
    world: Arc<Mutex<World>>,
    events: broadcast::Sender<ObservedInstance>,
}

impl FakeHost {
    pub fn new(world: Arc<Mutex<World>>) -> Arc<Self> {
        Arc::new(Self {
            world,
            events: broadcast::channel(64).0,
        })
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Kills a machine, as a power cut would.
    pub fn lose(&self, id: &InstanceId) {
        let mut world = self.world();
        let (spec, state) = world.instances.get_mut(id).expect("the instance runs");
        *state = InstanceState::Terminated;
        let instance = InstanceRef {
            cluster: spec.cluster.clone(),
            id: id.clone(),
        };
        let seen = ObservedInstance {
            instance,
            state: InstanceState::Terminated,
            reason: Some("killed by signal 9".to_owned()),
        };
        drop(world);
        self.events.send(seen).map_err(drop).ok();
    }
}

fn error(kind: HostErrorKind, step: &'static str, object: impl ToString) -> HostError {
    HostError {
        kind,
        step,
        object: object.to_string(),
        source: "the test says so".into(),
    }
}

impl ClusterHost for FakeHost {
    fn create_control_plane(&self, spec: ControlPlaneSpec) -> BoxFuture<'_, Result<ControlPlane, HostError>> {
        async move {
            let makes = async || {
                let hangs = self.world().control_plane_hangs;
                if hangs { Err("it hangs") } else { Ok(()) }
            };
            let made = supervision::wait_until("control planes are made", Duration::from_secs(600), makes);
            made.await
                .map_err(|_late| error(HostErrorKind::Transient, "start API server", &spec.cluster.name))?;
            let mut world = self.world();
            if let Some(kind) = world.control_plane_error {
                return Err(error(kind, "start API server", &spec.cluster.name));
            }
            world.control_planes.insert(spec.cluster.clone(), spec);
            Ok(ControlPlane {
                endpoint: "https://127.0.0.1:6443".to_owned(),
                certificate_authority_pem: "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n"
                    .to_owned(),
                issuer_keys: include_str!("issuer.json").to_owned(),
            })
        }
        .boxed()
    }

    fn delete_control_plane(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<(), HostError>> {
        self.world().control_planes.remove(&cluster);
        async { Ok(()) }.boxed()
    }

    fn launch_instance(&self, spec: InstanceSpec) -> BoxFuture<'_, Result<(), HostError>> {
        let mut world = self.world();
        let outcome = match (world.launch_error, world.instances.get(&spec.id)) {
            (Some(kind), _) => Err(error(kind, "launch", &spec.id)),
            (None, Some((_, InstanceState::Terminated))) => Err(error(HostErrorKind::InstanceLost, "launch", &spec.id)),
            (None, _) => {
                let known = world.secured.get(&spec.vpc);
                if known.is_none_or(|known| !known.members.contains_key(&spec.address)) {
                    world.launched_unknown.insert(spec.id.clone());
                }
                world.instances.insert(spec.id.clone(), (spec, InstanceState::Running));
                Ok(())
            }
        };
        async { outcome }.boxed()
    }

    fn networks(&self) -> BoxFuture<'_, Vec<VpcId>> {
        let vpcs: BTreeSet<VpcId> = self
            .world()
            .control_planes
            .values()
            .map(|spec| spec.vpc.id.clone())
            .collect();
        async move { vpcs.into_iter().collect() }.boxed()
    }

    fn secure_network(&self, vpc: VpcId, groups: SecurityGroups) -> BoxFuture<'_, Result<(), HostError>> {
        self.world().secured.insert(vpc, groups);
        async { Ok(()) }.boxed()
    }

    fn terminate_instance(&self, instance: InstanceRef) -> BoxFuture<'_, Result<(), HostError>> {
        self.world().instances.remove(&instance.id);
        async { Ok(()) }.boxed()
    }

    fn running(&self, instances: BTreeSet<InstanceId>) -> BoxFuture<'_, Result<BTreeSet<InstanceId>, HostError>> {
        let world = self.world();
        let runs = |id: &InstanceId| {
            let known = world.instances.get(id);
            known.is_some_and(|(_, state)| *state != InstanceState::Terminated)
        };
        let seen = instances.into_iter().filter(runs).collect();
        drop(world);
        async { Ok(seen) }.boxed()
    }

    fn instance_events(&self) -> BoxStream<'static, ObservedInstance> {
        let receiver = self.events.subscribe();
        stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.ok().map(|event| (event, receiver))
        })
        .boxed()
    }

    fn nodes(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<Vec<ObservedNode>, HostError>> {
        let world = self.world();
        let own = world
            .instances
            .values()
            .filter(|(spec, state)| spec.cluster == cluster && *state == InstanceState::Running);
        let nodes = own.map(|(spec, _)| ObservedNode {
            name: spec.node_name.clone(),
            instance: Some(spec.id.clone()),
            nodegroup: spec.nodegroup.clone(),
            ready: true,
            unschedulable: world.drained.contains(&spec.id),
        });
        let nodes: Vec<ObservedNode> = nodes.collect();
        drop(world);
        async { Ok(nodes) }.boxed()
    }

    fn drain_node(&self, instance: InstanceRef, _limit: Duration) -> BoxFuture<'_, Result<(), HostError>> {
        self.world().drained.insert(instance.id);
        async { Ok(()) }.boxed()
    }

    fn relabel_nodes(&self, change: NodeMetadataChange) -> BoxFuture<'_, Result<(), HostError>> {
        self.world().relabelled.push(change);
        async { Ok(()) }.boxed()
    }

    fn explain(&self, question: Question) -> BoxFuture<'_, Result<String, HostError>> {
        async move { Ok(format!("{} {}/{}", question.kind, question.namespace, question.name)) }.boxed()
    }

    fn apply_addon(&self, addon: AddonSpec) -> BoxFuture<'_, Result<Vec<String>, HostError>> {
        let mut world = self.world();
        let conflicts = world.conflicts.clone();
        let refused = addon.resolve_conflicts == "NONE" && !conflicts.is_empty();
        if !refused {
            world.addons.insert(addon.name);
        }
        async move { Ok(if refused { conflicts } else { Vec::new() }) }.boxed()
    }

    fn remove_addon(&self, addon: AddonSpec) -> BoxFuture<'_, Result<(), HostError>> {
        self.world().addons.remove(&addon.name);
        async { Ok(()) }.boxed()
    }

    fn lacking_workloads(
        &self,
        _cluster: ClusterRef,
    ) -> BoxFuture<'_, Result<BTreeMap<String, Vec<String>>, HostError>> {
        async { Ok(BTreeMap::new()) }.boxed()
    }

    fn identity_mappings(&self, _cluster: ClusterRef) -> BoxFuture<'_, Result<BTreeMap<String, String>, HostError>> {
        let data = self.world().aws_auth.clone();
        async { Ok(data) }.boxed()
    }

    fn map_node_role(&self, _cluster: ClusterRef, role: String) -> BoxFuture<'_, Result<(), HostError>> {
        self.world().node_roles.insert(role);
        async { Ok(()) }.boxed()
    }

    fn fargate_pods(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<Vec<FargatePod>, HostError>> {
        let pods = self.world().fargate_pods.clone();
        let own = pods.into_iter().filter(|pod| pod.cluster == cluster).collect();
        async { Ok(own) }.boxed()
    }

    fn fargate_events(&self) -> BoxStream<'static, ClusterRef> {
        stream::pending().boxed()
    }

    fn bind_fargate_pod(&self, binding: FargateBinding) -> BoxFuture<'_, Result<(), HostError>> {
        let mut world = self.world();
        world.fargate_said.push(format!(
            "{} on {} with {}",
            binding.pod.name, binding.node, binding.capacity
        ));
        let bound = world.fargate_pods.iter_mut().filter(|pod| pod.uid == binding.pod.uid);
        bound.for_each(|pod| pod.waits = false);
        async { Ok(()) }.boxed()
    }

    fn refuse_fargate_pod(&self, pod: FargatePod, message: String) -> BoxFuture<'_, Result<(), HostError>> {
        self.world().fargate_said.push(format!("{}: {message}", pod.name));
        async { Ok(()) }.boxed()
    }

    fn load_balancers(&self) -> BoxFuture<'_, Result<Vec<LoadBalancer>, HostError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn processes(&self) -> BoxFuture<'_, Result<Vec<Process>, HostError>> {
        async {
            Ok(vec![Process {
                pid: 1,
                role: "region".to_owned(),
                of: String::new(),
                memory_bytes: 1 << 20,
            }])
        }
        .boxed()
    }
}
