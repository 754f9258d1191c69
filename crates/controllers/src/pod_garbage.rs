//! Removes pods that nobody will look after: those of nodes that are gone, and ended ones beyond a number.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube_types::ObjectKey;
use plan::{Change, Controller, Kind, Observation, Plan, Target, World, set_condition, since, whole_seconds};

use crate::pod;

/// Ended pods that are kept (upstream's `--terminated-pod-gc-threshold`).
const KEPT: usize = 12_500;

/// A pod placed this recently may be seen before its node is: it is no orphan yet. Upstream waits 40 s, because its view of nodes and that of pods come from
/// different servers; here both are of one store, and a lost machine's pods are to be back soon.
const SETTLING: Duration = Duration::from_secs(10);

/// The pod garbage collector.
pub struct PodGarbage;

impl Controller for PodGarbage {
    type Root = Pod;
    const NAME: &'static str = "pod-garbage-collector-controller";
    const WATCHES: &'static [Kind] = &[Kind::Node];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        let name = changed.metadata().name.as_deref().unwrap_or_default();
        // Only the removal of a node can make orphans.
        if world.nodes.cluster(name).is_some() {
            return Vec::new();
        }
        world
            .pods
            .related(name)
            .map(|pod| ObjectKey::of(pod.as_ref()))
            .collect()
    }

    fn plan(&self, pod: &Pod, world: &World, now: Timestamp) -> Plan {
        let node = pod::node_name(pod);
        if node.is_empty() {
            // Nobody but the scheduler knows the pod, so nobody else can end it.
            return if pod::is_deleting(pod) {
                force(pod).into()
            } else {
                excess(pod, world)
            };
        }
        if world.nodes.cluster(node).is_some() {
            return excess(pod, world);
        }
        let placed = pod::condition(pod, "PodScheduled").and_then(|condition| condition.last_transition_time.as_ref());
        let placed = placed.or(pod.metadata.creation_timestamp.as_ref());
        match placed.and_then(|placed| SETTLING.checked_sub(since(placed, now))) {
            Some(left) if !left.is_zero() => Plan {
                look_again_in: Some(left),
                ..Plan::default()
            },
            _ => orphan(pod, now),
        }
    }
}

fn orphan(pod: &Pod, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    if !pod::is_terminal(pod) {
        let mut told = pod.clone();
        let status = told.status.get_or_insert_default();
        status.phase = Some("Failed".to_owned());
        set_condition(
            status.conditions.get_or_insert_default(),
            PodCondition {
                type_: "DisruptionTarget".to_owned(),
                status: "True".to_owned(),
                reason: Some("DeletionByPodGC".to_owned()),
                message: Some("PodGC: node no longer exists".to_owned()),
                last_transition_time: Some(whole_seconds(now)),
                ..PodCondition::default()
            },
        );
        plan.then(Change::update_status(told));
    }
    plan.then(force(pod));
    plan
}

/// Ended pods beyond the number kept go, the oldest first.
fn excess(pod: &Pod, world: &World) -> Plan {
    if world.pods.len() <= KEPT || !pod::is_terminal(pod) || pod::is_deleting(pod) {
        return Plan::nothing();
    }
    let younger = world
        .pods
        .all()
        .filter(|other| pod::is_terminal(other) && other.metadata.creation_timestamp > pod.metadata.creation_timestamp);
    if younger.count() < KEPT {
        Plan::nothing()
    } else {
        force(pod).into()
    }
}

fn force(pod: &Pod) -> Change {
    Change::Delete {
        target: Target::of(pod),
        propagation: None,
        grace_seconds: Some(0),
    }
}
