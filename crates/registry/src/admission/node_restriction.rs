//! NodeRestriction: a node changes itself and its pods, and nothing else.
//!
//! Source: `plugin/pkg/admission/noderestriction`. Taints and the labels of kubernetes.io that a node may not give itself
//! are not looked at yet.

use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value};

use super::{Operation, Request};
use crate::columns::{at, string};
use crate::status::StatusError;

/// Labels that only administrators give to nodes.
const RESTRICTED: &str = "node-restriction.kubernetes.io/";

pub(super) fn restrict(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    let Some(node) = request.context.user.node_name() else {
        return Ok(());
    };
    let kind = &request.resource.kind;
    let problem = match (&*kind.group, &*kind.plural, request.subresource) {
        ("", "nodes", _) => of_node(request, object, node),
        ("", "pods", subresource) => of_pod(request, object, node, subresource),
        ("", "serviceaccounts", Some("token")) => of_token(request, object, node),
        ("coordination.k8s.io", "leases", None) => of_lease(request, object, node),
        ("storage.k8s.io", "csinodes", None) if request.name(Some(object)) != node => {
            Some("can only access CSINode with the same name as the requesting node".to_owned())
        }
        _ => None,
    };
    problem.map_or(Ok(()), |problem| Err(request.forbidden(object, &problem)))
}

fn of_node(request: &Request<'_>, object: &Object, node: &str) -> Option<String> {
    let name = request.name(Some(object));
    if name != node {
        return Some(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    let labels = |object: &Object| -> Vec<(String, String)> {
        let labels = object.labels().into_iter();
        labels.filter(|(key, _)| key.starts_with(RESTRICTED)).collect()
    };
    let before = request.old.map(labels).unwrap_or_default();
    let changed: Vec<String> = labels(object)
        .into_iter()
        .filter(|label| !before.contains(label))
        .map(|(key, _)| key)
        .collect();
    let writes = request.operation != Operation::Delete && !changed.is_empty();
    writes.then(|| format!("node {node:?} is not allowed to modify labels: {}", changed.join(", ")))
}

fn of_pod(request: &Request<'_>, object: &Object, node: &str, subresource: Option<&str>) -> Option<String> {
    let host = |pod: &Object| string(&pod.0, &["spec", "nodeName"]).to_owned();
    match (request.operation, subresource) {
        (Operation::Create, None) => {
            if !object.annotations().contains_key("kubernetes.io/config.mirror") {
                return Some(format!(
                    "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create \
                     mirror pods"
                ));
            }
            (host(object) != node)
                .then(|| format!("node {node:?} can only create pods with spec.nodeName set to itself"))
        }
        (Operation::Delete, None) | (Operation::Update, Some("status")) => {
            let pod = request.old.unwrap_or(object);
            let verb = if subresource.is_some() {
                "update pod status for"
            } else {
                "delete"
            };
            (host(pod) != node).then(|| format!("node {node:?} can only {verb} pods with spec.nodeName set to itself"))
        }
        (Operation::Create, Some("eviction")) => {
            let key = ObjectKey::namespaced(request.namespace(Some(object)), request.name(Some(object)));
            let pod = request.registry.cached("", "pods", &key);
            let own = pod.is_some_and(|pod| host(&pod) == node);
            (!own).then(|| format!("node {node:?} can only evict pods with spec.nodeName set to itself"))
        }
        _ => None,
    }
}

/// A node gets tokens for its pods only.
fn of_token(request: &Request<'_>, object: &Object, node: &str) -> Option<String> {
    let reference = at(&object.0, &["spec", "boundObjectRef"]).unwrap_or(&Value::Null);
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    if text("kind") != "Pod" || text("name").is_empty() {
        return Some("node requested token not bound to a pod".to_owned());
    }
    if text("uid").is_empty() {
        return Some("node requested token with a pod binding without a uid".to_owned());
    }
    let key = ObjectKey::namespaced(request.namespace(Some(object)), text("name"));
    let Some(pod) = request.registry.cached("", "pods", &key) else {
        return Some(format!("pod {:?} not found", text("name")));
    };
    if pod.uid() != Some(text("uid")) {
        let (given, found) = (text("uid"), pod.uid().unwrap_or_default());
        return Some(format!(
            "the UID in the bound object reference ({given}) does not match the UID in record. The object might have \
             been deleted and then recreated: {found}"
        ));
    }
    let elsewhere = string(&pod.0, &["spec", "nodeName"]) != node;
    elsewhere.then(|| "node requested token bound to a pod scheduled on a different node".to_owned())
}

fn of_lease(request: &Request<'_>, object: &Object, node: &str) -> Option<String> {
    if request.namespace(Some(object)) != "kube-node-lease" {
        return Some("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    let other = request.name(Some(object)) != node;
    other.then(|| "can only access node lease with the same name as the requesting node".to_owned())
}
