//! The nodes of Fargate's pods: one for each, made when a profile has taken the pod and ended with it.

use std::collections::BTreeSet;

use aws_types::{EniId, InstanceId, SubnetId};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::fargate::{COMPUTE_TYPE, FargateNode, FargateProfile, Size};
use cluster_lifecycle::nodegroup::{Instance, Phase};

use super::Driver;
use super::flight::{Key, Outcome};
use crate::allocation::{AllocationError, node_name, random_id};
use crate::error::ApiError;
use crate::host::{FargateBinding, FargatePod, HostError, HostErrorKind, InstanceRef, InstanceSpec, Taint};
use crate::ledger::{Change, State};
use crate::region::Region;

/// What EKS's scheduler says of a pod that asks for more than the largest node.
const TOO_LARGE: &str = "Your pod's cpu/memory requirements exceed the max Fargate configuration";

/// What a flight for a pod's node came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its machine runs.
    Launched,
    /// The pod is on it.
    Bound,
    /// It is gone.
    Ended,
    /// The pod knows why it waits.
    Refused,
}

impl Driver {
    /// One look at the pods that profiles have taken, and at their nodes; says whether a node is about to join.
    pub(super) async fn work_on_fargate(&mut self, cluster: &Cluster) -> Result<bool, ApiError> {
        let (profiles, nodes) = self.fargate_snapshot();
        if !self.ensured || (profiles.is_empty() && nodes.is_empty()) {
            return Ok(false);
        }
        let pods = match self.region.host.fargate_pods(self.region.cluster_ref(&self.name)).await {
            Ok(pods) => pods,
            Err(error) => {
                self.report(&error);
                return Ok(false);
            }
        };
        self.end_nodes(&profiles, &nodes, &pods).await?;
        for pod in pods.iter().filter(|pod| pod.waits) {
            let known = profiles
                .iter()
                .any(|profile| profile.name == pod.profile && !profile.deleting);
            if known && !nodes.iter().any(|node| node.uid == pod.uid) {
                self.accept(cluster, pod).await?;
            }
        }
        let (profiles, nodes) = self.fargate_snapshot();
        let joining = nodes.iter().any(|node| node.instance.phase == Phase::Joining);
        let ready = if joining {
            self.ready().await.unwrap_or_default()
        } else {
            BTreeSet::new()
        };
        for node in &nodes {
            let pod = pods.iter().find(|pod| pod.uid == node.uid);
            self.fly_fargate(cluster, node, pod, ready.contains(&node.instance.id));
        }
        self.remove_profiles(&profiles, &nodes).await?;
        Ok(nodes
            .iter()
            .any(|node| matches!(node.instance.phase, Phase::Launching | Phase::Joining)))
    }

    fn fargate_snapshot(&self) -> (Vec<FargateProfile>, Vec<FargateNode>) {
        self.region.ledger.read(|state| {
            let profiles = state.fargate_profiles_of(&self.name).cloned().collect();
            (profiles, state.fargate_nodes_of(&self.name).cloned().collect())
        })
    }

    /// Marks nodes whose pod, profile or machine is gone: they end.
    async fn end_nodes(
        &self,
        profiles: &[FargateProfile],
        nodes: &[FargateNode],
        pods: &[FargatePod],
    ) -> Result<(), ApiError> {
        let launched = |node: &FargateNode| matches!(node.instance.phase, Phase::Joining | Phase::InService);
        let running = if nodes.iter().any(launched) {
            let instances = nodes.iter().map(|node| node.instance.id.clone()).collect();
            self.running(instances).await
        } else {
            None
        };
        for node in nodes.iter().filter(|node| node.instance.phase != Phase::Terminating) {
            let has_pod = pods.iter().any(|pod| pod.uid == node.uid);
            let has_profile = profiles
                .iter()
                .any(|profile| profile.name == node.profile && !profile.deleting);
            let is_lost = launched(node)
                && running
                    .as_ref()
                    .is_some_and(|running| !running.contains(&node.instance.id));
            if !has_pod || !has_profile || is_lost {
                self.put_phase(&node.uid, Phase::Terminating).await?;
            }
        }
        Ok(())
    }

    async fn put_phase(&self, uid: &str, phase: Phase) -> Result<(), ApiError> {
        let key = (self.name.clone(), uid.to_owned());
        let changed = self.region.ledger.change(|state| {
            let Some(before) = state.fargate_nodes.get(&key) else {
                return Ok(((), Vec::new()));
            };
            let mut after = before.clone();
            after.instance.phase = phase;
            Ok::<_, ApiError>(((), vec![Change::put(after)]))
        });
        changed.await
    }

    /// Decides and writes down the node of a pod that waits, or says on the pod why there is none.
    async fn accept(&mut self, cluster: &Cluster, pod: &FargatePod) -> Result<(), ApiError> {
        let size = Size::of(pod.millicpus, pod.memory_bytes);
        let refusal = pod
            .unsupported
            .clone()
            .or_else(|| size.is_none().then(|| TOO_LARGE.to_owned()));
        let (Some(size), None) = (size, &refusal) else {
            self.refuse(pod, refusal.unwrap_or_default());
            return Ok(());
        };
        let region = std::sync::Arc::clone(&self.region);
        let decided = self.region.ledger.change(|state| {
            let decided = node(state, &region, cluster, pod, size);
            Ok::<_, ApiError>(match decided {
                Ok(changes) => (None, changes),
                Err(error) => (Some(error), Vec::new()),
            })
        });
        if let Some(error) = decided.await? {
            self.refuse(pod, error.to_string());
        }
        Ok(())
    }

    fn refuse(&mut self, pod: &FargatePod, message: String) {
        let (uid, pod) = (pod.uid.clone(), pod.clone());
        self.fly(Key::Fargate(uid.clone()), |region| async move {
            let said = region.host.refuse_fargate_pod(pod, message).await;
            Outcome::Fargate(uid, said.map(|()| Step::Refused))
        });
    }

    /// What the phase of a pod's node asks for.
    fn fly_fargate(&mut self, cluster: &Cluster, node: &FargateNode, pod: Option<&FargatePod>, is_ready: bool) {
        let uid = node.uid.clone();
        let key = Key::Fargate(uid.clone());
        match node.instance.phase {
            Phase::Launching => {
                let spec = self
                    .region
                    .ledger
                    .read(|state| spec(state, &self.region, cluster, node));
                let Some(spec) = spec else {
                    tracing::error!(pod = node.pod, subnet = %node.instance.subnet, "the subnet of a Fargate node is gone");
                    return;
                };
                self.fly(key, |region| async move {
                    let launched = region.launch(spec).await;
                    Outcome::Fargate(uid, launched.map(|()| Step::Launched))
                });
            }
            Phase::Joining if is_ready => {
                let Some(pod) = pod.cloned() else { return };
                let binding = FargateBinding {
                    pod,
                    node: node.instance.node_name.clone(),
                    capacity: node.size.shown(),
                };
                self.fly(key, |region| async move {
                    let bound = region.host.bind_fargate_pod(binding).await;
                    Outcome::Fargate(uid, bound.map(|()| Step::Bound))
                });
            }
            Phase::Terminating => {
                let which = InstanceRef {
                    cluster: self.region.cluster_ref(&self.name),
                    id: node.instance.id.clone(),
                };
                self.fly(key, |region| async move {
                    let ended = region.host.terminate_instance(which).await;
                    Outcome::Fargate(uid, ended.map(|()| Step::Ended))
                });
            }
            Phase::Joining | Phase::InService | Phase::Draining => {}
        }
    }

    /// Takes in what a flight came to.
    pub(super) async fn fargate_landed(
        &mut self,
        uid: String,
        result: Result<Step, HostError>,
    ) -> Result<(), ApiError> {
        let key = Key::Fargate(uid.clone());
        let now = self.region.clock.now();
        let step = match result {
            Ok(step) => step,
            Err(error) => {
                self.report(&error);
                self.backoff.failed(&key, now);
                // A machine that ran and is gone is never started again: the pod goes with it.
                return if error.kind == HostErrorKind::InstanceLost {
                    self.put_phase(&uid, Phase::Terminating).await
                } else {
                    Ok(())
                };
            }
        };
        // A refusal is said again only after a pause that grows.
        if step == Step::Refused {
            self.backoff.failed(&key, now);
            return Ok(());
        }
        self.backoff.forget(&key);
        match step {
            Step::Launched => self.put_phase(&uid, Phase::Joining).await,
            Step::Bound => self.put_phase(&uid, Phase::InService).await,
            Step::Ended | Step::Refused => {
                let key = (self.name.clone(), uid);
                let gone = self
                    .region
                    .ledger
                    .change(|_| Ok::<_, ApiError>(((), vec![Change::remove::<FargateNode>(key)])));
                gone.await
            }
        }
    }

    /// Profiles that are to go do when none of their nodes is left.
    async fn remove_profiles(&self, profiles: &[FargateProfile], nodes: &[FargateNode]) -> Result<(), ApiError> {
        for profile in profiles.iter().filter(|profile| profile.deleting) {
            if nodes.iter().any(|node| node.profile == profile.name) {
                continue;
            }
            let key = (profile.cluster.clone(), profile.name.clone());
            let removed = self
                .region
                .ledger
                .change(|_| Ok::<_, ApiError>(((), vec![Change::remove::<FargateProfile>(key)])));
            removed.await?;
        }
        Ok(())
    }
}

/// The node that a pod is to get, and what its subnet remembers: the profile's subnet that has the fewest of its nodes.
fn node(
    state: &State,
    region: &Region,
    cluster: &Cluster,
    pod: &FargatePod,
    size: Size,
) -> Result<Vec<Change>, AllocationError> {
    let profile = state.fargate_profiles.get(&(cluster.name.clone(), pod.profile.clone()));
    let subnets = profile.map(|profile| profile.subnets.clone()).unwrap_or_default();
    let used = |id: &SubnetId| {
        let nodes = state.fargate_nodes_of(&cluster.name);
        nodes.filter(|node| node.instance.subnet == *id).count()
    };
    let chosen = subnets.iter().min_by_key(|id| used(id));
    let no_subnet =
        || AllocationError::NoSubnet(chosen.cloned().unwrap_or_else(|| cluster.network.subnet_ids[0].clone()));
    let subnet = chosen.and_then(|id| state.subnets.get(id)).ok_or_else(no_subnet)?;
    let mut free = state.addresses(subnet);
    let mut taken = free.take(2)?;
    let address = taken.remove(0);
    let instance = Instance {
        id: InstanceId::new(random_id(&*region.random, "i-"))?,
        eni: EniId::new(random_id(&*region.random, "eni-"))?,
        instance_type: String::new(),
        subnet: subnet.id.clone(),
        zone: subnet.zone.clone(),
        address,
        node_name: format!("fargate-{}", node_name(address, region.name.as_str())),
        pod_addresses: taken,
        launched_at: region.clock.now(),
        phase: Phase::Launching,
        release: String::new(),
        security_groups: Vec::new(),
    };
    let node = FargateNode {
        cluster: cluster.name.clone(),
        profile: pod.profile.clone(),
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        size,
        instance,
    };
    Ok(vec![Change::put(node), subnet.after(&free)])
}

/// What the host must know to launch a pod's node; `None` when its subnet is gone.
fn spec(state: &State, region: &Region, cluster: &Cluster, node: &FargateNode) -> Option<InstanceSpec> {
    let instance = &node.instance;
    let (key, value) = COMPUTE_TYPE;
    let taint = Taint {
        key: key.to_owned(),
        value: value.to_owned(),
        effect: "NoSchedule".to_owned(),
    };
    Some(InstanceSpec {
        kubernetes_version: String::new(),
        tags: [("eks:cluster-name".to_owned(), cluster.name.to_string())].into(),
        cluster: region.cluster_ref(&cluster.name),
        nodegroup: None,
        id: instance.id.clone(),
        eni: instance.eni.clone(),
        instance_type: instance.instance_type.clone(),
        max_pods: 1,
        vpc: cluster.network.vpc_id.clone(),
        subnet: state.subnets.get(&instance.subnet)?.spec(),
        address: instance.address,
        node_name: instance.node_name.clone(),
        pod_addresses: instance.pod_addresses.clone(),
        labels: [(key.to_owned(), value.to_owned())].into(),
        taints: vec![taint],
        size: Some(node.size),
    })
}
