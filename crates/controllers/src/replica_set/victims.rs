//! Which pods go first when there are too many. Source of the order: `ActivePodsWithRanks`.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use plan::{World, controller_of};

use crate::pod;

/// Annotation by which a user says how much a pod is worth keeping.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `surplus` pods that are missed least; `rank` is the number of related pods on a pod's node.
pub(super) fn choose(
    active: &[Arc<Pod>],
    surplus: usize,
    rank: impl Fn(&Pod) -> usize,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    let mut ranked: Vec<(usize, Arc<Pod>)> = active.iter().map(|pod| (rank(pod), pod.clone())).collect();
    ranked.sort_by(|left, right| compare(left, right, now));
    ranked.truncate(surplus);
    ranked.into_iter().map(|(_, pod)| pod).collect()
}

/// How many active pods of `set` and of its siblings (sets of the same owner) stand on the pod's node.
pub(super) fn neighbours(set: &ReplicaSet, pod: &Pod, world: &World) -> usize {
    let node = pod::node_name(pod);
    if node.is_empty() {
        return 0;
    }
    let own = set.metadata.uid.as_deref().unwrap_or_default();
    let owner = controller_of(&set.metadata).map(|owner| owner.uid.as_str());
    let siblings = owner.into_iter().flat_map(|uid| world.replica_sets.controlled_by(uid));
    let mut uids: Vec<&str> = siblings.filter_map(|sibling| sibling.metadata.uid.as_deref()).collect();
    if uids.is_empty() {
        uids.push(own);
    }
    let on_node = world.pods.related(node).filter(|other| pod::is_active(other));
    on_node
        .filter(|other| controller_of(&other.metadata).is_some_and(|owner| uids.contains(&owner.uid.as_str())))
        .count()
}

fn compare((left_rank, left): &(usize, Arc<Pod>), (right_rank, right): &(usize, Arc<Pod>), now: Timestamp) -> Ordering {
    let assigned = |pod: &Pod| !pod::node_name(pod).is_empty();
    let phase = |pod: &Pod| match pod::phase(pod) {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    };
    // Pods ready for a longer time are kept; on a logarithmic scale, so that which of two old ones goes is left to chance
    // upstream and to the name here.
    let ready_for = |pod: &Pod| {
        let since = pod::condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
        since.map_or(0, |since| {
            plan::since(since, now)
                .as_secs()
                .checked_ilog2()
                .map_or(0, |log| log + 1)
        })
    };
    let age = |pod: &Pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        created.map_or(0, |created| {
            plan::since(created, now)
                .as_secs()
                .checked_ilog2()
                .map_or(0, |log| log + 1)
        })
    };
    assigned(left)
        .cmp(&assigned(right))
        .then_with(|| phase(left).cmp(&phase(right)))
        .then_with(|| pod::is_ready(left).cmp(&pod::is_ready(right)))
        .then_with(|| deletion_cost(left).cmp(&deletion_cost(right)))
        .then_with(|| right_rank.cmp(left_rank))
        .then_with(|| ready_for(left).cmp(&ready_for(right)))
        .then_with(|| Reverse(pod::most_restarts(left)).cmp(&Reverse(pod::most_restarts(right))))
        .then_with(|| age(left).cmp(&age(right)))
        .then_with(|| right.metadata.creation_timestamp.cmp(&left.metadata.creation_timestamp))
        .then_with(|| left.metadata.name.cmp(&right.metadata.name))
}

/// A cost that is no number counts as none: upstream's validation keeps such out.
fn deletion_cost(pod: &Pod) -> i32 {
    let annotation = pod
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(DELETION_COST));
    annotation.and_then(|cost| cost.parse().ok()).unwrap_or(0)
}
