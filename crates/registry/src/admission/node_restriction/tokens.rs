//! Tokens that a node asks for: bound to one of its pods, for an audience that the pod names.

use access_rules::{Attributes, ResourceAttributes};
use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value};

use super::super::Request;
use crate::columns::{at, list, string};

pub(super) fn check(request: &Request<'_>, object: &Object, node: &str) -> Result<(), String> {
    let reference = at(&object.0, &["spec", "boundObjectRef"]).unwrap_or(&Value::Null);
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    if text("apiVersion") != "v1" || text("kind") != "Pod" || text("name").is_empty() {
        return Err("node requested token not bound to a pod".to_owned());
    }
    if text("uid").is_empty() {
        return Err("node requested token with a pod binding without a uid".to_owned());
    }
    let namespace = request.namespace(Some(object));
    let key = ObjectKey::namespaced(namespace, text("name"));
    let Some(pod) = request.registry.cached("", "pods", &key) else {
        return Err(format!("pods {:?} not found", text("name")));
    };
    if pod.uid() != Some(text("uid")) {
        return Err(format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
             deleted and then recreated",
            text("uid")
        ));
    }
    if string(&pod.0, &["spec", "nodeName"]) != node {
        return Err("node requested token bound to a pod scheduled on a different node".to_owned());
    }
    let audience = match list(&object.0, &["spec", "audiences"]) {
        [] => "",
        [audience] => audience.as_str().unwrap_or_default(),
        _ => return Err("node may only request 0 or 1 audiences".to_owned()),
    };
    if names_audience(request, &pod, namespace, audience) || may_ask(request, object, namespace, audience) {
        return Ok(());
    }
    Err(format!("audience {audience:?} not found in pod spec volume"))
}

/// In a projected volume, or through the driver of a volume.
fn names_audience(request: &Request<'_>, pod: &Object, namespace: &str, audience: &str) -> bool {
    list(&pod.0, &["spec", "volumes"]).iter().any(|volume| {
        let sources = volume["projected"]["sources"].as_array().into_iter().flatten();
        let projected = sources.filter_map(|source| source.get("serviceAccountToken"));
        let mut audiences = projected.map(|token| token["audience"].as_str().unwrap_or_default());
        if audiences.any(|named| named == audience) {
            return true;
        }
        let driver = match volume["csi"]["driver"].as_str() {
            Some(driver) => Some(driver.to_owned()),
            None => driver_of_claim(request, pod, namespace, volume),
        };
        driver.is_some_and(|driver| driver_asks(request, &driver, audience))
    })
}

fn driver_of_claim(request: &Request<'_>, pod: &Object, namespace: &str, volume: &Value) -> Option<String> {
    let name = match volume["persistentVolumeClaim"]["claimName"].as_str() {
        Some(name) => name.to_owned(),
        None if volume.get("ephemeral").is_some() => {
            format!("{}-{}", pod.name().unwrap_or_default(), volume["name"].as_str()?)
        }
        None => return None,
    };
    let cached = |plural: &str, key: ObjectKey| request.registry.cached("", plural, &key);
    let claim = cached("persistentvolumeclaims", ObjectKey::namespaced(namespace, name))?;
    let volume = cached(
        "persistentvolumes",
        ObjectKey::cluster(string(&claim.0, &["spec", "volumeName"])),
    )?;
    Some(string(&volume.0, &["spec", "csi", "driver"]).to_owned()).filter(|driver| !driver.is_empty())
}

fn driver_asks(request: &Request<'_>, driver: &str, audience: &str) -> bool {
    let driver = request
        .registry
        .cached("storage.k8s.io", "csidrivers", &ObjectKey::cluster(driver));
    let driver = driver.unwrap_or_else(|| Object(kube_types::dynamic::Map::new()));
    let mut asked = list(&driver.0, &["spec", "tokenRequests"]).iter();
    asked.any(|one| one["audience"].as_str().unwrap_or_default() == audience)
}

/// A role may let nodes ask for an audience that no pod names.
fn may_ask(request: &Request<'_>, object: &Object, namespace: &str, audience: &str) -> bool {
    let attributes = Attributes {
        user: &request.context.user,
        verb: "request-serviceaccounts-token-audience",
        resource: Some(ResourceAttributes {
            version: "*",
            resource: audience,
            namespace,
            name: request.name(Some(object)),
            ..ResourceAttributes::default()
        }),
        path: "",
    };
    request.registry.decide(&attributes).is_allowed()
}
