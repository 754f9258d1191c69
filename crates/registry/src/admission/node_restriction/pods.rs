//! Pods of a node: those that stand for what it runs by itself, and the status of all that run on it.

use access_rules::node::{Referred, referred};
use k8s_openapi::api::core::v1::Pod;
use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value};

use super::super::{Operation, Request};
use crate::columns::{at, list, string};

const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn check(
    request: &Request<'_>,
    object: &Object,
    node: &str,
    subresource: Option<&str>,
) -> Result<(), String> {
    match (subresource, request.operation) {
        (None, Operation::Create) => created(request, object, node),
        (None, Operation::Delete) => {
            if host(request.old.unwrap_or(object)) == node {
                return Ok(());
            }
            Err(format!(
                "node {node:?} can only delete pods with spec.nodeName set to itself"
            ))
        }
        (None, operation) => {
            let operation = operation.name();
            Err(format!(
                "unexpected operation {operation:?}, node {node:?} can only create and delete mirror pods"
            ))
        }
        (Some("status"), Operation::Update) => status(request, object, node),
        (Some("eviction"), Operation::Create) => evicted(request, object, node),
        (Some("status" | "eviction"), operation) => Err(format!("unexpected operation {:?}", operation.name())),
        (Some(other), _) => Err(format!(
            "unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"
        )),
    }
}

fn host(pod: &Object) -> &str {
    string(&pod.0, &["spec", "nodeName"])
}

/// A node makes pods only to show what it runs anyway, and these must give it nothing that it does not have.
fn created(request: &Request<'_>, pod: &Object, node: &str) -> Result<(), String> {
    if !pod.annotations().contains_key(MIRROR) {
        return Err(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if host(pod) != node {
        return Err(format!(
            "node {node:?} can only create pods with spec.nodeName set to itself"
        ));
    }
    owned(request, pod, node)?;
    let typed: Pod = pod.to_typed().map_err(|error| error.to_string())?;
    let refers = |kinds: &str| Err(format!("node {node:?} can not create pods that reference {kinds}"));
    if !string(&pod.0, &["spec", "serviceAccountName"]).is_empty() {
        return refers("a service account");
    }
    let references = referred(&typed);
    let names = |wanted: Referred| references.iter().any(|(kind, _)| *kind == wanted);
    if names(Referred::Secret) {
        return refers("secrets");
    }
    if names(Referred::ConfigMap) {
        return refers("configmaps");
    }
    let projected = list(&pod.0, &["spec", "volumes"]).iter();
    let mut sources = projected
        .filter_map(|volume| volume["projected"]["sources"].as_array())
        .flatten();
    if sources.any(|source| source.get("clusterTrustBundle").is_some()) {
        return refers("clustertrustbundles");
    }
    if names(Referred::Claim) {
        return refers("persistentvolumeclaims");
    }
    Ok(())
}

/// It goes with its node.
fn owned(request: &Request<'_>, pod: &Object, node: &str) -> Result<(), String> {
    let only = |what: &str| Err(format!("node {node:?} can only create pods with {what} set to itself"));
    let owner = match list(&pod.0, &["metadata", "ownerReferences"]) {
        [] => return only("an owner reference"),
        [owner] => owner,
        _ => return only("a single owner reference"),
    };
    let of = |field: &str| owner[field].as_str().unwrap_or_default();
    if of("apiVersion") != "v1" || of("kind") != "Node" || of("name") != node {
        return only("an owner reference");
    }
    if owner["controller"] != true {
        return only("a controller owner reference");
    }
    if owner["blockOwnerDeletion"] == true {
        return Err(format!(
            "node {node:?} must not set blockOwnerDeletion on an owner reference"
        ));
    }
    let found = request.registry.cached("", "nodes", &ObjectKey::cluster(node));
    let Some(found) = found else {
        return Err(format!(
            "error looking up node {node} to verify uid: node {node:?} not found"
        ));
    };
    let (wanted, uid) = (of("uid"), found.uid().unwrap_or_default());
    if wanted != uid {
        return Err(format!("node {node} UID mismatch: expected {wanted} got {uid}"));
    }
    Ok(())
}

fn status(request: &Request<'_>, pod: &Object, node: &str) -> Result<(), String> {
    let old = request.old.unwrap_or(pod);
    if host(old) != node {
        return Err(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    if old.labels() != pod.labels() {
        return Err(format!("node {node:?} cannot update labels through pod status"));
    }
    let claims = |pod: &Object| -> Vec<(Value, Value)> {
        let claims = at(&pod.0, &["status", "resourceClaimStatuses"]).and_then(Value::as_array);
        let claims = claims.into_iter().flatten();
        claims
            .map(|claim| (claim["name"].clone(), claim["resourceClaimName"].clone()))
            .collect()
    };
    let extended = |pod: &Object| at(&pod.0, &["status", "extendedResourceClaimStatus"]).cloned();
    if claims(old) != claims(pod) {
        return Err(format!("node {node:?} cannot update resource claim statues"));
    }
    if extended(old) != extended(pod) {
        return Err(format!("node {node:?} cannot update extended resource claim status"));
    }
    Ok(())
}

fn evicted(request: &Request<'_>, object: &Object, node: &str) -> Result<(), String> {
    let key = ObjectKey::namespaced(request.namespace(Some(object)), request.name(Some(object)));
    // A pod that is gone is told by the eviction itself.
    let pod = request.registry.cached("", "pods", &key);
    if pod.is_none_or(|pod| host(&pod) == node) {
        return Ok(());
    }
    Err(format!(
        "node {node} can only evict pods with spec.nodeName set to itself"
    ))
}
