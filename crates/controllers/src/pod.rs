//! What controllers ask of a pod: is it active, ready, available, and made from which template.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// Whether a pod has been ready for as long as its owner asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It has.
    Available,
    /// It is ready and will have been for long enough after this time.
    After(Duration),
    /// It is not ready.
    NotReady,
}

/// The pod's phase; empty when no status was written yet.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// Has the pod ended, well or badly?
pub(crate) fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Is the pod being deleted?
pub(crate) fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Does the pod count towards its owner's replicas?
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && !is_deleting(pod)
}

/// The condition of a type.
pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == kind)
}

/// Is the pod's Ready condition true?
pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Has the pod been ready for `min_ready_seconds`? Source of the rule: `IsPodAvailable`.
pub(crate) fn availability(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Availability {
    let Some(ready) = condition(pod, "Ready").filter(|ready| ready.status == "True") else {
        return Availability::NotReady;
    };
    let wanted = Duration::from_secs(u64::try_from(min_ready_seconds).unwrap_or(0));
    if wanted.is_zero() {
        return Availability::Available;
    }
    let Some(since) = &ready.last_transition_time else {
        return Availability::NotReady;
    };
    match wanted.checked_sub(plan::since(since, now)) {
        None | Some(Duration::ZERO) => Availability::Available,
        Some(rest) => Availability::After(rest),
    }
}

/// Name of the node the pod was placed on; empty while it has none.
pub(crate) fn node_name(pod: &Pod) -> &str {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .unwrap_or_default()
}

/// A pod made from `template` for `owner`; its name is the API server's choice, beginning with `name_prefix`.
pub(crate) fn from_template(
    template: &PodTemplateSpec,
    namespace: Option<&str>,
    name_prefix: &str,
    owner: OwnerReference,
) -> Pod {
    let from = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            namespace: namespace.map(str::to_owned),
            generate_name: Some(format!("{name_prefix}-")),
            labels: from.labels,
            annotations: from.annotations,
            finalizers: from.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Sum of the restarts of the pod's containers, the most restarted first when victims are chosen.
pub(crate) fn most_restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses
        .into_iter()
        .flatten()
        .map(|container| container.restart_count)
        .max()
        .unwrap_or(0)
}
