//! Pods, and the pod templates of workloads.

mod affinity;
mod containers;
pub mod defaults;
mod environment;
mod probes;
mod quality;
#[cfg(test)]
mod tests;
mod update;
pub mod validate;
mod volumes;

use kube_types::dynamic::{Object, json};

use crate::rules::{Grace, Rules};
use crate::tree::{Node, at, int, text};

/// Rules of the kind Pod.
pub(crate) static POD: Rules = Rules {
    defaults,
    prepare_create,
    prepare_update,
    prepare_status,
    validate: |pod, errors| validate::pod(pod, errors),
    validate_update: update::validate,
    generation: true,
    status: true,
    unconditional_update: true,
    grace,
    returns_deleted: true,
    ..Rules::NAMED
};

fn defaults(pod: &mut Object) {
    let spec = crate::tree::ensure(&mut pod.0, "spec");
    defaults::spec(spec);
    crate::tree::default(spec, "enableServiceLinks", true);
    defaults::requests_from_limits(spec);
}

/// A new pod is Pending and has its class of service. Source: `podStrategy.PrepareForCreate`.
fn prepare_create(pod: &mut Object) {
    let empty = Node::new();
    let class = quality::class(crate::tree::child(&pod.0, "spec").unwrap_or(&empty));
    let mut status = json!({"phase": "Pending", "qosClass": class});
    let gated = at(&pod.0, &["spec"]).is_some_and(|spec| crate::tree::count(spec, "schedulingGates") > 0);
    if gated {
        status["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates"}]);
    }
    pod.0.insert("status".to_owned(), status);
}

/// Ephemeral containers have their own subresource.
fn prepare_update(new: &mut Object, old: &Object) {
    let empty = Node::new();
    let before = crate::tree::child(&old.0, "spec").unwrap_or(&empty);
    if let Some(spec) = crate::tree::child_mut(&mut new.0, "spec") {
        crate::tree::copy(spec, before, "ephemeralContainers");
    }
}

/// The class of service never changes, and owners are not a matter of status.
fn prepare_status(new: &mut Object, old: &Object) {
    let class = at(&old.0, &["status"])
        .and_then(|status| status.get("qosClass"))
        .cloned();
    if let (Some(class), Some(status)) = (class, crate::tree::child_mut(&mut new.0, "status")) {
        crate::tree::default(status, "qosClass", class);
    }
    let empty = Node::new();
    crate::tree::copy(new.metadata_mut(), old.metadata().unwrap_or(&empty), "ownerReferences");
}

/// Source: `podStrategy.CheckGracefulDelete`.
fn grace(pod: &Object, asked: Option<i64>) -> Grace {
    let empty = Node::new();
    let spec = crate::tree::child(&pod.0, "spec").unwrap_or(&empty);
    let status = crate::tree::child(&pod.0, "status").unwrap_or(&empty);
    let seconds = asked
        .or_else(|| int(spec, "terminationGracePeriodSeconds"))
        .unwrap_or(0);
    if text(spec, "nodeName").is_empty() || matches!(text(status, "phase"), "Failed" | "Succeeded") {
        return Grace::Seconds(0);
    }
    Grace::Seconds(if seconds < 0 { 1 } else { seconds })
}

/// Rules of the kind PodTemplate.
pub(crate) static POD_TEMPLATE: Rules = Rules {
    defaults: |object| {
        if let Some(spec) = crate::tree::at_mut(&mut object.0, &["template", "spec"]) {
            defaults::spec(spec);
        }
    },
    validate: |object, errors| {
        let empty = Node::new();
        validate::template(
            crate::tree::child(&object.0, "template").unwrap_or(&empty),
            "template",
            errors,
        );
    },
    returns_deleted: true,
    ..Rules::NAMED
};

/// Number of containers' lists that are of the same form, and their names.
pub(crate) const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];
