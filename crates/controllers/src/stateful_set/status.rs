//! What a StatefulSet reports of its pods.

use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::api::core::v1::Pod;

use super::State;
use super::pods::revision_of;
use crate::pod;

/// The status that the observed pods make.
pub(super) fn of(state: &State<'_>) -> StatefulSetStatus {
    let old = state.set.status.clone().unwrap_or_default();
    let count = |holds: &dyn Fn(&Pod) -> bool| {
        let number = state.owned.iter().filter(|pod| holds(pod)).count();
        i32::try_from(number).unwrap_or(i32::MAX)
    };
    let is_ready = |pod: &Pod| pod::phase(pod) == "Running" && pod::is_ready(pod);
    let of = |pod: &Pod, revision: &str| !pod::is_deleting(pod) && revision_of(pod) == Some(revision);
    let replicas = count(&|_| true);
    let ready = count(&is_ready);
    let updated = count(&|pod| of(pod, &state.update.0));
    let mut status = StatefulSetStatus {
        replicas,
        ready_replicas: nonzero(ready),
        // Zero is written for this one, upstream leaves it out for all others.
        available_replicas: Some(count(&|pod| state.is_available(pod))),
        current_replicas: nonzero(count(&|pod| of(pod, &state.current.0))),
        updated_replicas: nonzero(updated),
        current_revision: Some(state.current.0.clone()),
        update_revision: Some(state.update.0.clone()),
        collision_count: Some(old.collision_count.unwrap_or(0)),
        observed_generation: state.set.metadata.generation,
        conditions: old.conditions,
    };
    if state.is_rolled_out(updated, ready, replicas) {
        status.current_replicas = status.updated_replicas;
        status.current_revision.clone_from(&status.update_revision);
    }
    status
}

fn nonzero(number: i32) -> Option<i32> {
    (number != 0).then_some(number)
}
