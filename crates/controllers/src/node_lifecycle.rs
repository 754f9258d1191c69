//! Says when a node has fallen silent, and taints it for its conditions.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, PodCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_types::ObjectKey;
use plan::{
    Change, Controller, EventRecord, Kind, Observation, Plan, Step, World, object_reference, set_condition,
    whole_seconds,
};

use crate::pod;

/// How long a node may be silent before its state is unknown.
const GRACE: Duration = Duration::from_secs(40);

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Conditions that a silent node no longer vouches for.
const VOUCHED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// Conditions that keep new pods away while they are true, with their taints.
const TROUBLES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

/// The node lifecycle controller.
pub struct NodeLifecycle {
    /// When this controller began to watch: silence before that was its own. Without it, a restart after a pause would
    /// take every node for lost.
    pub watching_since: Timestamp,
}

impl Controller for NodeLifecycle {
    type Root = Node;
    const NAME: &'static str = "node-controller";
    const WATCHES: &'static [Kind] = &[Kind::Lease, Kind::Pod];

    fn roots_of(&self, changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        match changed {
            // A node's lease has its name.
            Observation::Lease(lease) => lease.metadata.name.iter().map(ObjectKey::cluster).collect(),
            _ => Vec::new(),
        }
    }

    fn plan(&self, node: &Node, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::nothing();
        let silent_for = plan::since(&Time(self.last_sign(node, world)), now);
        match GRACE.checked_sub(silent_for) {
            Some(left) if !left.is_zero() => plan.look_again(left),
            _ => {
                if let Some(unknown) = with_unknown_conditions(node, now) {
                    plan.then(
                        Step::from(Change::update_status(unknown)).succeeding_with(EventRecord::normal(
                            object_reference(node),
                            "NodeNotReady",
                            format!(
                                "Node {} status is now: NodeNotReady",
                                node.metadata.name.as_deref().unwrap_or_default()
                            ),
                        )),
                    );
                    // Taints follow from the conditions once they are written.
                    return plan;
                }
            }
        }
        if let Some(tainted) = with_taints(node, now) {
            plan.then(Change::update(tainted));
        }
        if condition(node, "Ready").is_some_and(|ready| ready.status != "True") {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let pods = world.pods.related(name);
            pods.filter_map(|pod| not_ready(pod, now))
                .for_each(|pod| plan.then(Change::update_status(pod)));
        }
        plan
    }
}

impl NodeLifecycle {
    /// The last time the node was heard of.
    fn last_sign(&self, node: &Node, world: &World) -> Timestamp {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let lease = world.leases.named("kube-node-lease", name);
        let renewed = lease
            .and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref())
            .map(|time| time.0);
        let reported = condition(node, "Ready")
            .and_then(|ready| ready.last_heartbeat_time.as_ref())
            .map(|time| time.0);
        let created = node.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let signs = [renewed, reported, created, Some(self.watching_since)];
        signs.into_iter().flatten().max().unwrap_or(self.watching_since)
    }
}

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == kind)
}

/// The node with the conditions that its silence makes unknown; nothing when they are already.
fn with_unknown_conditions(node: &Node, now: Timestamp) -> Option<Node> {
    let mut changed = node.clone();
    let conditions = changed
        .status
        .get_or_insert_default()
        .conditions
        .get_or_insert_default();
    let mut differs = false;
    for kind in VOUCHED {
        let present = conditions.iter().find(|condition| condition.type_ == kind);
        if present.is_some_and(|condition| condition.status == "Unknown") {
            continue;
        }
        let (reason, message) = if present.is_some() {
            ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        } else {
            ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
        };
        let heartbeat = present.and_then(|condition| condition.last_heartbeat_time.clone());
        set_condition(
            conditions,
            NodeCondition {
                type_: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(message.to_owned()),
                last_heartbeat_time: heartbeat.or_else(|| node.metadata.creation_timestamp.clone()),
                last_transition_time: Some(whole_seconds(now)),
            },
        );
        differs = true;
    }
    differs.then_some(changed)
}

/// The node with the taints that follow from its conditions; nothing when it has them already.
fn with_taints(node: &Node, now: Timestamp) -> Option<Node> {
    let ready = condition(node, "Ready").map(|ready| ready.status.as_str());
    let is_cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let holds = |kind: &str| condition(node, kind).is_some_and(|condition| condition.status == "True");
    // A node that has never said anything is not ready; one that has fallen silent is unreachable.
    let mut wanted = vec![
        (NOT_READY, "NoSchedule", matches!(ready, Some("False") | None)),
        (NOT_READY, "NoExecute", matches!(ready, Some("False") | None)),
        (UNREACHABLE, "NoSchedule", ready == Some("Unknown")),
        (UNREACHABLE, "NoExecute", ready == Some("Unknown")),
        (UNSCHEDULABLE, "NoSchedule", is_cordoned),
    ];
    wanted.extend(TROUBLES.map(|(kind, key)| (key, "NoSchedule", holds(kind))));
    let present = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    let mut taints = present.clone();
    for (key, effect, holds) in wanted {
        let has = taints.iter().any(|taint| taint.key == key && taint.effect == effect);
        if holds && !has {
            let time_added = (effect == "NoExecute").then(|| whole_seconds(now));
            taints.push(Taint {
                key: key.to_owned(),
                effect: effect.to_owned(),
                value: None,
                time_added,
            });
        } else if !holds {
            taints.retain(|taint| taint.key != key || taint.effect != effect);
        }
    }
    if taints == present {
        return None;
    }
    let mut changed = node.clone();
    changed.spec.get_or_insert_default().taints = (!taints.is_empty()).then_some(taints);
    Some(changed)
}

/// The pod with a Ready condition that says it is not, so that it gets no traffic; nothing when it says so already.
fn not_ready(pod: &Pod, now: Timestamp) -> Option<Pod> {
    let ready = pod::condition(pod, "Ready").filter(|ready| ready.status == "True")?;
    let mut changed = pod.clone();
    let conditions = changed
        .status
        .get_or_insert_default()
        .conditions
        .get_or_insert_default();
    let told = PodCondition {
        status: "False".to_owned(),
        reason: Some("NodeNotReady".to_owned()),
        last_transition_time: Some(whole_seconds(now)),
        ..ready.clone()
    };
    if let Some(slot) = conditions.iter_mut().find(|condition| condition.type_ == "Ready") {
        *slot = told;
    }
    Some(changed)
}

#[cfg(test)]
mod tests;
