//! Calls to the host that run beside a cluster's task: at most one for each thing, and after a failure not at once again.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_types::{InstanceId, NodegroupName, eks_version};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Instance, Nodegroup, NodegroupStatus, Phase};
use jiff::Timestamp;

use super::Driver;
use crate::allocation;
use crate::host::{ControlPlane, ControlPlaneSpec, HostError, InstanceRef, NodeMetadataChange};
use crate::region::Region;

/// How long pods have to leave when a group shrinks, and when it is deleted ("a few minutes" in EKS's guide).
const SHRINK_LIMIT: Duration = Duration::from_secs(15 * 60);
const DELETE_LIMIT: Duration = Duration::from_secs(60);
/// Pauses after failures: doubling from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a flight works on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The cluster's control plane.
    ControlPlane,
    /// New instances of a group: no flight, but it too backs off.
    Allocation(NodegroupName),
    /// An instance.
    Instance(InstanceId),
    /// The labels and taints of a group's nodes.
    Relabel(NodegroupName),
    /// An add-on.
    Addon(String),
    /// The node of a Fargate pod, by the pod's uid.
    Fargate(String),
}

/// What a flight came to.
pub enum Outcome {
    /// The control plane answers, or cannot be made; and the records of the changes that it was told of.
    ControlPlane(Result<ControlPlane, HostError>, Vec<String>),
    /// The control plane is gone, or cannot be removed.
    ControlPlaneGone(Result<(), HostError>),
    /// An instance was launched.
    Launched(NodegroupName, InstanceId, Result<(), HostError>),
    /// A node was emptied.
    Drained(NodegroupName, InstanceId, Result<(), HostError>),
    /// An instance was ended.
    Terminated(NodegroupName, InstanceId, Result<(), HostError>),
    /// Nodes carry the group's labels and taints.
    Relabelled(NodegroupName, Result<(), HostError>),
    /// A Fargate pod's node was launched or ended, or the pod was given to it.
    Fargate(String, Result<super::fargate::Step, HostError>),
    /// An add-on's objects are in the cluster, or conflict with others.
    AddonApplied(String, Result<Vec<String>, HostError>),
    /// An add-on's objects are gone.
    AddonGone(String, Result<(), HostError>),
}

impl Outcome {
    /// What the flight worked on.
    pub fn key(&self) -> Key {
        match self {
            Self::ControlPlane(..) | Self::ControlPlaneGone(_) => Key::ControlPlane,
            Self::Launched(_, id, _) | Self::Drained(_, id, _) | Self::Terminated(_, id, _) => {
                Key::Instance(id.clone())
            }
            Self::Relabelled(group, _) => Key::Relabel(group.clone()),
            Self::Fargate(uid, _) => Key::Fargate(uid.clone()),
            Self::AddonApplied(name, _) | Self::AddonGone(name, _) => Key::Addon(name.clone()),
        }
    }
}

/// What is in flight, and what must wait after failures.
#[derive(Default)]
pub struct Backoff {
    flying: BTreeSet<Key>,
    failed: BTreeMap<Key, (u32, Timestamp)>,
}

impl Backoff {
    /// Whether nothing works on it and no pause is left.
    pub fn is_due(&self, key: &Key, now: Timestamp) -> bool {
        !self.flying.contains(key) && self.failed.get(key).is_none_or(|(_, not_before)| *not_before <= now)
    }

    /// Notes one more failure and says how many there were in a row.
    pub fn failed(&mut self, key: &Key, now: Timestamp) -> u32 {
        let failures = self.failed.get(key).map_or(0, |(failures, _)| *failures) + 1;
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
        self.failed
            .insert(key.clone(), (failures, now.saturating_add(pause).unwrap_or(now)));
        failures
    }

    /// Notes a success.
    pub fn forget(&mut self, key: &Key) {
        self.failed.remove(key);
    }

    /// Nothing works on it any more.
    pub fn landed(&mut self, key: &Key) {
        self.flying.remove(key);
    }

    /// The usual pause, or the time until something that failed is due.
    pub fn pause(&self, now: Timestamp, usual: Duration) -> Duration {
        let waiting = self.failed.iter().filter(|(key, _)| !self.flying.contains(*key));
        let next = waiting
            .map(|(_, (_, not_before))| now.duration_until(*not_before))
            .filter(|left| left.is_positive())
            .min();
        next.map_or(usual, |left| left.unsigned_abs().min(usual))
    }
}

impl Driver {
    /// Starts a call unless one works on the same thing or must still wait.
    pub(super) fn fly<F>(&mut self, key: Key, call: impl FnOnce(Arc<Region>) -> F)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        if !self.backoff.is_due(&key, self.region.clock.now()) {
            return;
        }
        let call = call(Arc::clone(&self.region));
        let sender = self.sender.clone();
        let task = format!("eks {} {key:?}", self.name);
        self.backoff.flying.insert(key);
        self.region.supervisor().spawn_until_cancelled(task, async move {
            let outcome = call.await;
            if sender.send(outcome).is_err() {
                tracing::debug!("a cluster's task ended before its flight");
            }
        });
    }

    /// Makes the control plane run.
    pub(super) fn ensure_control_plane(&mut self, cluster: &Cluster) {
        let Some(vpc) = self.region.ledger.read(|state| state.vpc_spec(&cluster.network.vpc_id)) else {
            tracing::error!(cluster = %cluster.name, vpc = %cluster.network.vpc_id, "the cluster's VPC is gone");
            return;
        };
        let git_version = eks_version::find(&cluster.version)
            .map(eks_version::EksVersion::git_version)
            .unwrap_or_default();
        // Before what it is told of is read: nothing must count as told that is not.
        let told = self.unapplied(cluster);
        let spec = ControlPlaneSpec {
            cluster: self.region.cluster_ref(&cluster.name),
            version: cluster.version.clone(),
            git_version,
            vpc,
            addresses: cluster.network.addresses.clone(),
            service_cidr: cluster.network.service_cidr.clone(),
            oidc_issuer: cluster.network.oidc_issuer.clone(),
            creator_arn: cluster.creator_arn.clone(),
            bootstrap_addons: cluster.bootstrap_addons,
            encryption_key: cluster.encryption_key.clone(),
            identity_providers: self.identity_providers(cluster),
        };

        self.fly(Key::ControlPlane, |region| async move {
            let made = region.host.create_control_plane(spec).await;
            // This process may see its network for the first time.
            region.ledger.look_again();
            Outcome::ControlPlane(made, told)
        });
    }

    /// Makes the control plane not be.
    pub(super) fn remove_control_plane(&mut self) {
        let cluster = self.region.cluster_ref(&self.name);
        self.fly(Key::ControlPlane, |region| async move {
            Outcome::ControlPlaneGone(region.host.delete_control_plane(cluster).await)
        });
    }

    /// What each instance's phase asks for, and the labels that an update asks for.
    pub(super) fn start_flights(&mut self, cluster: &Cluster, group: &Nodegroup) {
        for instance in &group.instances {
            match instance.phase {
                Phase::Launching if self.ensured => self.launch(cluster, group, instance),
                Phase::Draining => self.drain(group, instance),
                Phase::Terminating => self.terminate(group, instance),
                Phase::Launching | Phase::Joining | Phase::InService => {}
            }
        }
        if let Some(before) = group.update.as_ref().and_then(|update| update.relabel.as_ref()) {
            let change = NodeMetadataChange {
                cluster: self.region.cluster_ref(&self.name),
                nodegroup: group.name.clone(),
                labels_before: before.labels.clone(),
                labels_after: group.labels.clone(),
                taints_before: allocation::taints(&before.taints),
                taints_after: allocation::taints(&group.taints),
            };
            let name = group.name.clone();
            self.fly(Key::Relabel(name.clone()), |region| async move {
                Outcome::Relabelled(name, region.host.relabel_nodes(change).await)
            });
        }
    }

    fn launch(&mut self, cluster: &Cluster, group: &Nodegroup, instance: &Instance) {
        let region = Arc::clone(&self.region);
        let spec = self
            .region
            .ledger
            .read(|state| allocation::spec(state, &region, cluster, group, instance));
        let Some(spec) = spec else {
            tracing::error!(instance = %instance.id, subnet = %instance.subnet, "the instance's subnet or type is gone");
            return;
        };
        let (name, id) = (group.name.clone(), instance.id.clone());
        // A cluster that goes by `aws-auth` knows the nodes of a new group by it.
        let is_new = group.status == NodegroupStatus::Creating && cluster.authentication_mode != "API";
        let mapped = is_new.then(|| (self.region.cluster_ref(&self.name), group.node_role.clone()));
        self.fly(Key::Instance(id.clone()), |region| async move {
            if let Some((cluster, role)) = mapped
                && let Err(error) = region.host.map_node_role(cluster, role).await
            {
                return Outcome::Launched(name, id, Err(error));
            }
            Outcome::Launched(name, id, region.launch(spec).await)
        });
    }

    fn drain(&mut self, group: &Nodegroup, instance: &Instance) {
        let limit = if group.status == NodegroupStatus::Deleting {
            DELETE_LIMIT
        } else {
            SHRINK_LIMIT
        };
        let (name, id, which) = (group.name.clone(), instance.id.clone(), self.instance_ref(&instance.id));
        self.fly(Key::Instance(id.clone()), |region| async move {
            Outcome::Drained(name, id, region.host.drain_node(which, limit).await)
        });
    }

    fn terminate(&mut self, group: &Nodegroup, instance: &Instance) {
        let (name, id, which) = (group.name.clone(), instance.id.clone(), self.instance_ref(&instance.id));
        self.fly(Key::Instance(id.clone()), |region| async move {
            Outcome::Terminated(name, id, region.host.terminate_instance(which).await)
        });
    }

    fn instance_ref(&self, id: &InstanceId) -> InstanceRef {
        InstanceRef {
            cluster: self.region.cluster_ref(&self.name),
            id: id.clone(),
        }
    }
}
