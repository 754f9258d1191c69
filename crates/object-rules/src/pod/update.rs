//! What may change in the spec of a pod that exists. Source: `ValidatePodUpdate`.

use kube_types::dynamic::{Object, Value};

use super::CONTAINER_LISTS;
use crate::field::Errors;
use crate::tree::{Node, child, int, items, items_mut, text};

const ALLOWED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with a change (new, old).
pub(super) fn validate(new: &Object, old: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let (after, before) = (
        child(&new.0, "spec").unwrap_or(&empty),
        child(&old.0, "spec").unwrap_or(&empty),
    );
    if after == before {
        return;
    }
    deadline(after, before, errors);
    tolerations(after, before, errors);
    for list in CONTAINER_LISTS {
        if items(after, list).count() != items(before, list).count() {
            errors.forbidden(format!("spec.{list}"), "pod updates may not add or remove containers");
            return;
        }
    }
    // With all that may change made equal, nothing else may differ.
    let mut munged = after.clone();
    for list in CONTAINER_LISTS {
        for (container, old) in items_mut(&mut munged, list).zip(items(before, list)) {
            crate::tree::copy(container, old, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations"] {
        crate::tree::copy(&mut munged, before, field);
    }
    let was_negative = int(before, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0);
    if was_negative && int(after, "terminationGracePeriodSeconds") == Some(1) {
        crate::tree::copy(&mut munged, before, "terminationGracePeriodSeconds");
    }
    if !text(before, "nodeName").is_empty() || crate::tree::count(before, "schedulingGates") == 0 {
        compare(&munged, before, errors);
        return;
    }
    // A gated pod's placement may still be narrowed, and its gates taken away.
    for field in ["schedulingGates", "nodeSelector", "affinity"] {
        crate::tree::copy(&mut munged, before, field);
    }
    let known: Vec<&str> = items(before, "schedulingGates")
        .map(|gate| text(gate, "name"))
        .collect();
    if items(after, "schedulingGates").any(|gate| !known.contains(&text(gate, "name"))) {
        errors.forbidden(
            "spec.schedulingGates",
            "only deletion is allowed, but found new scheduling gate",
        );
    }
    compare(&munged, before, errors);
}

fn compare(after: &Node, before: &Node, errors: &mut Errors) {
    if after == before {
        return;
    }
    let changed: Vec<&str> = after
        .keys()
        .chain(before.keys().filter(|field| !after.contains_key(*field)))
        .filter(|field| after.get(*field) != before.get(*field))
        .map(String::as_str)
        .collect();
    errors.forbidden("spec", format!("{ALLOWED}\nchanged: {}", changed.join(", ")));
}

fn deadline(after: &Node, before: &Node, errors: &mut Errors) {
    let field = "spec.activeDeadlineSeconds";
    match (
        int(after, "activeDeadlineSeconds"),
        int(before, "activeDeadlineSeconds"),
    ) {
        (Some(new), Some(old)) if new > old => {
            errors.invalid(field, new, "must be less than or equal to previous value");
        }
        (None, Some(_)) => errors.invalid(
            field,
            Value::Null,
            "must not update from a positive integer to nil value",
        ),
        _ => {}
    }
}

fn tolerations(after: &Node, before: &Node, errors: &mut Errors) {
    let same = |a: &Node, b: &Node| {
        ["key", "operator", "value", "effect"]
            .iter()
            .all(|field| text(a, field) == text(b, field))
    };
    for old in items(before, "tolerations") {
        if !items(after, "tolerations").any(|new| same(new, old)) {
            errors.forbidden(
                "spec.tolerations",
                "existing toleration can not be modified except its tolerationSeconds",
            );
            return;
        }
    }
}
