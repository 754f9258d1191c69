//! What the scheduler believes: the snapshot with its own decisions in it, and who waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as TypedSelector;
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;
use plan::{Kind, Observation, World, controller_of};
use reconcile_loop::Listener;
use scheduling::{ClusterChange, Decision, PodInfo, Snapshot};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::queue::Queue;

/// The kinds that decisions depend on. Services and sets say which pods belong together.
pub const KINDS: [Kind; 8] = [
    Kind::Pod,
    Kind::Node,
    Kind::Namespace,
    Kind::PersistentVolumeClaim,
    Kind::PodDisruptionBudget,
    Kind::Service,
    Kind::ReplicaSet,
    Kind::StatefulSet,
];

/// The state, shared by what observes and what decides.
#[derive(Default)]
pub(crate) struct Cluster {
    state: Mutex<State>,
    changed: Notify,
}

/// Snapshot, queue, and the pods whose binding is under way.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) snapshot: Snapshot,
    pub(crate) queue: Queue,
    /// Uids of pods that were put on a node here and not yet seen there.
    pub(crate) assumed: BTreeSet<String>,
    /// Pods for which room is being made, by uid, and the node where.
    nominated: BTreeMap<String, (PodInfo, String)>,
}

impl Cluster {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it, so a poisoned state is still sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever decides.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Ends when something has changed since the last time, or at `due`.
    pub(crate) async fn changed(&self, due: Option<Instant>) {
        match due {
            // Either is a reason to look again.
            Some(due) => drop(tokio::time::timeout_at(due, self.changed.notified()).await),
            None => self.changed.notified().await,
        }
    }
}

impl Listener for Cluster {
    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::Pod,
            Kind::Node,
            Kind::Namespace,
            Kind::PersistentVolumeClaim,
            Kind::PodDisruptionBudget,
        ]
    }

    fn changed(&self, old: Option<Observation<'_>>, new: Option<Observation<'_>>, world: &World) {
        let mut state = self.state();
        let now = Instant::now();
        match (old, new) {
            (old, Some(Observation::Pod(new))) => state.pod_changed(pod_of(old), new, world, now),
            (Some(Observation::Pod(old)), None) => state.pod_gone(old, now),
            (old, Some(Observation::Node(new))) => state.node_changed(node_of(old), new, now),
            (Some(Observation::Node(old)), None) => state.snapshot.remove_node(name_of(&old.metadata.name)),
            (_, Some(Observation::Namespace(new))) => state.namespace_changed(new),
            (Some(Observation::Namespace(old)), None) => {
                state.snapshot.namespaces.remove(name_of(&old.metadata.name));
            }
            (_, Some(Observation::PersistentVolumeClaim(new))) => state.claim_changed(new, now),
            (Some(Observation::PersistentVolumeClaim(old)), None) => {
                state.snapshot.claims.remove(&ObjectKey::of(old));
            }
            (_, Some(Observation::PodDisruptionBudget(new))) => {
                state.snapshot.budgets.insert(ObjectKey::of(new), Arc::new(new.clone()));
            }
            (Some(Observation::PodDisruptionBudget(old)), None) => {
                state.snapshot.budgets.remove(&ObjectKey::of(old));
            }
            _ => {}
        }
        drop(state);
        self.wake();
    }
}

impl State {
    /// Decides on a pod. Room that is being made for pods as important as this one counts as taken.
    pub(crate) fn schedule(&self, pod: &PodInfo) -> Decision {
        let ahead = |(nominated, _): &&(PodInfo, String)| {
            nominated.uid() != pod.uid() && nominated.priority() >= pod.priority()
        };
        let mut ahead = self.nominated.values().filter(ahead).peekable();
        if ahead.peek().is_none() {
            return scheduling::schedule(pod, &self.snapshot);
        }
        let mut snapshot = self.snapshot.clone();
        ahead.for_each(|(nominated, node)| snapshot.put_pod(nominated.clone(), node));
        scheduling::schedule(pod, &snapshot)
    }

    /// Room is being made for the pod on the node.
    pub(crate) fn nominate(&mut self, pod: PodInfo, node: &str) {
        self.nominated.insert(pod.uid().to_owned(), (pod, node.to_owned()));
    }

    /// The pod has a node, is gone, or must look elsewhere.
    pub(crate) fn forget_nomination(&mut self, uid: &str) {
        self.nominated.remove(uid);
    }

    fn pod_changed(&mut self, old: Option<&Pod>, new: &Pod, world: &World, now: Instant) {
        let uid = name_of(&new.metadata.uid).to_owned();
        if old.is_some_and(|old| old.metadata.uid != new.metadata.uid) {
            // Deleted and made again under the same name between two looks.
            self.pod_gone(old.unwrap_or(new), now);
        }
        let info = PodInfo {
            spread_with: siblings(new, world),
            ..PodInfo::new(Arc::new(new.clone()))
        };
        match node_name(new) {
            Some(node) => self.placed(old, info, node, now),
            None if is_finished(new) || info.is_deleting() || !is_ours(new) => {
                self.queue.remove(&uid);
                self.forget_nomination(&uid);
            }
            // Its binding is under way; the API server will say so.
            None if self.assumed.contains(&uid) => {}
            None => match old {
                Some(old) if !matters(old, new) => {
                    self.queue.refresh(info);
                }
                Some(_) => self.queue.put(info, now),
                None => {
                    // An earlier scheduler may have begun to make room for it.
                    let nominated = new
                        .status
                        .as_ref()
                        .and_then(|status| status.nominated_node_name.clone());
                    if let Some(node) = nominated.filter(|node| !node.is_empty()) {
                        self.nominate(info.clone(), &node);
                    }
                    self.queue.put(info, now);
                }
            },
        }
    }

    /// A pod that has a node came or changed.
    fn placed(&mut self, old: Option<&Pod>, info: PodInfo, node: &str, now: Instant) {
        let uid = info.uid().to_owned();
        let was_assumed = self.assumed.remove(&uid);
        self.queue.remove(&uid);
        self.forget_nomination(&uid);
        let pod = Arc::clone(&info.pod);
        let before = old.filter(|old| node_name(old).is_some());
        if is_finished(&pod) {
            self.snapshot.remove_pod(&uid);
            if before.is_some_and(|before| !is_finished(before)) {
                self.queue.wake(ClusterChange::PodRemoved, now);
            }
            return;
        }
        let requests = info.requests.clone();
        self.snapshot.put_pod(info, node);
        match before {
            None if !was_assumed => self.queue.wake(ClusterChange::PodAssigned, now),
            None => {}
            Some(before) => {
                if before.metadata.labels != pod.metadata.labels {
                    self.queue.wake(ClusterChange::PodAssigned, now);
                }
                let began_ending = before.metadata.deletion_timestamp != pod.metadata.deletion_timestamp;
                if began_ending || PodInfo::new(Arc::new(before.clone())).requests != requests {
                    self.queue.wake(ClusterChange::PodRemoved, now);
                }
            }
        }
    }

    fn pod_gone(&mut self, pod: &Pod, now: Instant) {
        let uid = name_of(&pod.metadata.uid);
        self.queue.remove(uid);
        self.forget_nomination(uid);
        let was_assumed = self.assumed.remove(uid);
        self.snapshot.remove_pod(uid);
        if was_assumed || node_name(pod).is_some() {
            self.queue.wake(ClusterChange::PodRemoved, now);
        }
    }

    fn node_changed(&mut self, old: Option<&Node>, new: &Node, now: Instant) {
        self.snapshot.put_node(Arc::new(new.clone()));
        let Some(old) = old else {
            return self.queue.wake(ClusterChange::NodeAdded, now);
        };
        let allocatable = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
        let taints = |node: &Node| node.spec.as_ref().map(|spec| (spec.taints.clone(), spec.unschedulable));
        if allocatable(old) != allocatable(new) {
            self.queue.wake(ClusterChange::NodeAllocatable, now);
        }
        if old.metadata.labels != new.metadata.labels {
            self.queue.wake(ClusterChange::NodeLabels, now);
        }
        if taints(old) != taints(new) {
            self.queue.wake(ClusterChange::NodeTaints, now);
        }
    }

    fn namespace_changed(&mut self, new: &Namespace) {
        let labels = new.metadata.labels.clone().unwrap_or_default();
        self.snapshot
            .namespaces
            .insert(name_of(&new.metadata.name).to_owned(), labels);
    }

    fn claim_changed(&mut self, new: &PersistentVolumeClaim, now: Instant) {
        self.snapshot.claims.insert(ObjectKey::of(new), Arc::new(new.clone()));
        self.queue.wake(ClusterChange::Claim, now);
    }
}

fn pod_of(observation: Option<Observation<'_>>) -> Option<&Pod> {
    match observation {
        Some(Observation::Pod(pod)) => Some(pod),
        _ => None,
    }
}

fn node_of(observation: Option<Observation<'_>>) -> Option<&Node> {
    match observation {
        Some(Observation::Node(node)) => Some(node),
        _ => None,
    }
}

fn name_of(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or_default()
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn is_ours(pod: &Pod) -> bool {
    let name = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.scheduler_name.as_deref())
        .unwrap_or_default();
    name.is_empty() || name == crate::NAME
}

/// Whether a change of a pod without a node may change where it fits.
fn matters(old: &Pod, new: &Pod) -> bool {
    old.spec != new.spec || old.metadata.labels != new.metadata.labels
}

/// The pods among which this one is spread by default: those that its services and its set select. Source of the
/// rule: upstream's `helper.DefaultSelector`.
fn siblings(pod: &Pod, world: &World) -> Option<LabelSelector> {
    let namespace = pod.metadata.namespace.as_deref()?;
    let empty = BTreeMap::new();
    let labels = pod.metadata.labels.as_ref().unwrap_or(&empty);
    let mut selector = TypedSelector::default();
    for service in world.services.in_namespace(namespace) {
        let wanted = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref())
            .filter(|wanted| !wanted.is_empty());
        if let Some(wanted) = wanted.filter(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value))) {
            selector.match_labels.get_or_insert_default().extend(wanted.clone());
        }
    }
    let owner = controller_of(&pod.metadata);
    let set = owner.and_then(|owner| match owner.kind.as_str() {
        "ReplicaSet" => world
            .replica_sets
            .named(namespace, &owner.name)?
            .spec
            .as_ref()
            .map(|spec| &spec.selector),
        "StatefulSet" => world
            .stateful_sets
            .named(namespace, &owner.name)?
            .spec
            .as_ref()
            .map(|spec| &spec.selector),
        _ => None,
    });
    if let Some(set) = set {
        selector
            .match_labels
            .get_or_insert_default()
            .extend(set.match_labels.clone().unwrap_or_default());
        selector.match_expressions = set.match_expressions.clone();
    }
    if selector.match_labels.is_none() && selector.match_expressions.is_none() {
        return None;
    }
    match LabelSelector::from_typed(&selector) {
        Ok(selector) => Some(selector),
        Err(error) => {
            tracing::debug!(error = %supervision::error_chain(&error), "selector of a pod's set not understood");
            None
        }
    }
}
