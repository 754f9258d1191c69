//! TaintNodesByCondition: a new node gets the not-ready taint.

use kube_types::dynamic::{Object, Value, json};

use super::Request;
use crate::status::StatusError;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) fn taint_not_ready(request: &Request<'_>, node: &mut Object) -> Result<(), StatusError> {
    if !request.creates("", "nodes") {
        return Ok(());
    }
    let spec = node.0.entry("spec").or_insert_with(|| json!({}));
    let Some(taints) = spec
        .as_object_mut()
        .map(|spec| spec.entry("taints").or_insert_with(|| json!([])))
    else {
        return Ok(());
    };
    if let Value::Array(taints) = taints
        && !taints
            .iter()
            .any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule")
    {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
    Ok(())
}
