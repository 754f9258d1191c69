//! NodeRestriction: a node changes itself and its pods, and nothing else.
//!
//! Source: `plugin/pkg/admission/noderestriction`.

mod pods;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use kube_types::dynamic::{Map, Object, Value};

use super::{Operation, Request};
use crate::columns::{at, string};
use crate::status::StatusError;

/// Labels that only administrators give to nodes.
const RESTRICTED: &str = "node-restriction.kubernetes.io";
/// Labels of kubernetes.io and k8s.io that a kubelet gives itself. Source: `kubelet/pkg/apis/well_known_labels.go`.
const KUBELET_LABELS: &[&str] = &[
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
const KUBELET_LABEL_DOMAINS: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];
/// What a kubelet reports of a claim.
const REPORTED_OF_CLAIMS: &[&str] = &[
    "capacity",
    "conditions",
    "allocatedResourceStatuses",
    "allocatedResources",
];

pub(super) fn restrict(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    let Some(node) = request.context.user.node_name() else {
        return Ok(());
    };
    let kind = &request.resource.kind;
    let checked = match (&*kind.group, &*kind.plural, request.subresource) {
        // Marked by the registry itself, after the deletion or eviction was admitted.
        ("", "pods", _) if request.internal => Ok(()),
        ("", "pods", subresource) => pods::check(request, object, node, subresource),
        ("", "nodes", _) => of_node(request, object, node),
        ("", "persistentvolumeclaims", Some("status")) => of_claim(request, object, node),
        ("", "persistentvolumeclaims", _) => Err("may only update PVC status".to_owned()),
        ("", "serviceaccounts", Some("token")) => tokens::check(request, object, node),
        ("coordination.k8s.io", "leases", None) => of_lease(request, object, node),
        ("storage.k8s.io", "csinodes", None) if request.name(Some(object)) != node => {
            Err("can only access CSINode with the same name as the requesting node".to_owned())
        }
        ("resource.k8s.io", "resourceslices", None) => of_slice(request, object, node),
        _ => Ok(()),
    };
    checked.map_err(|problem| request.forbidden(object, &problem))
}

fn of_node(request: &Request<'_>, object: &Object, node: &str) -> Result<(), String> {
    let name = request.name(Some(object));
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    if request.operation == Operation::Delete {
        return Ok(());
    }
    let source = |object: &Object| at(&object.0, &["spec", "configSource"]).cloned();
    let old = request.old;
    match (source(object), old.map(source)) {
        (Some(_), None) => {
            return Err(format!(
                "node {node:?} is not allowed to create pods with a non-nil configSource"
            ));
        }
        (Some(new), Some(old)) if Some(&new) != old.as_ref() => {
            return Err(format!(
                "node {node:?} is not allowed to update configSource to a new non-nil configSource"
            ));
        }
        _ => {}
    }
    let taints = |object: &Object| at(&object.0, &["spec", "taints"]).cloned();
    if old.is_some_and(|old| taints(old) != taints(object)) {
        return Err(format!("node {node:?} is not allowed to modify taints"));
    }
    let forbidden = forbidden_labels(&object.labels(), &old.map(Object::labels).unwrap_or_default());
    if forbidden.is_empty() {
        return Ok(());
    }
    let forbidden = forbidden.into_iter().collect::<Vec<_>>().join(", ");
    Err(match old {
        None => format!("node {node:?} is not allowed to set the following labels: {forbidden}"),
        Some(_) => format!("is not allowed to modify labels: {forbidden}"),
    })
}

/// The labels that were added, changed or removed and are not a node's to give, sorted.
fn forbidden_labels(new: &BTreeMap<String, String>, old: &BTreeMap<String, String>) -> BTreeSet<String> {
    let keys = new.keys().chain(old.keys());
    keys.filter(|key| new.get(*key) != old.get(*key) && !is_for_nodes(key))
        .cloned()
        .collect()
}

fn is_for_nodes(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let within = |other: &str| domain == other || domain.strip_suffix(other).is_some_and(|head| head.ends_with('.'));
    if within(RESTRICTED) {
        return false;
    }
    if !within("kubernetes.io") && !within("k8s.io") {
        return true;
    }
    KUBELET_LABELS.contains(&label) || KUBELET_LABEL_DOMAINS.iter().any(|domain| within(domain))
}

/// The rest of a claim's status, and all of its metadata, is for others to change.
fn of_claim(request: &Request<'_>, object: &Object, node: &str) -> Result<(), String> {
    let Some(old) = request.old else {
        return Ok(());
    };
    let rest = |object: &Object| {
        let mut rest = object.clone();
        for field in ["resourceVersion", "managedFields"] {
            rest.metadata_mut().shift_remove(field);
        }
        let mut status = object
            .0
            .get("status")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        status.retain(|field, _| !REPORTED_OF_CLAIMS.contains(&field.as_str()));
        (rest.metadata_mut().clone(), rest.0.get("spec").cloned(), status)
    };
    let (new, old): ((Map<String, Value>, _, _), _) = (rest(object), rest(old));
    if new == old {
        return Ok(());
    }
    Err(format!(
        "node {node:?} is not allowed to update fields other than status.capacity and status.conditions"
    ))
}

fn of_lease(request: &Request<'_>, object: &Object, node: &str) -> Result<(), String> {
    if request.namespace(Some(object)) != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    if request.name(Some(object)) != node {
        return Err("can only access node lease with the same name as the requesting node".to_owned());
    }
    Ok(())
}

/// Changes are looked at by the authorizer, since the node of a slice never changes.
fn of_slice(request: &Request<'_>, object: &Object, node: &str) -> Result<(), String> {
    let verb = match request.operation {
        Operation::Create => "create",
        Operation::Delete => "delete",
        Operation::Update | Operation::Connect => return Ok(()),
    };
    let slice = request.old.unwrap_or(object);
    if string(&slice.0, &["spec", "nodeName"]) == node {
        return Ok(());
    }
    Err(format!(
        "can only {verb} ResourceSlice with the same NodeName as the requesting node"
    ))
}
