//! ServiceAccount: every pod has an account, and its token, the cluster's CA and the namespace as files.

use kube_types::ObjectKey;
use kube_types::dynamic::{Map, Object, Value, json};

use super::Request;
use crate::columns::{list, string};
use crate::status::StatusError;

/// Where programs look for the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// Seconds a mounted token lives; upstream adds seven so that it can tell its own from others.
const TOKEN_SECONDS: i64 = 3607;
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn mount_token(request: &Request<'_>, pod: &mut Object) -> Result<(), StatusError> {
    if !request.creates("", "pods") {
        return Ok(());
    }
    if pod.annotations().contains_key(MIRROR) {
        return mirror(request, pod);
    }
    let Some(spec) = pod.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    if string(spec, &["serviceAccountName"]).is_empty() {
        spec.insert("serviceAccountName".to_owned(), "default".into());
        spec.insert("serviceAccount".to_owned(), "default".into());
    }
    let name = string(spec, &["serviceAccountName"]).to_owned();
    let namespace = pod.namespace().unwrap_or_default().to_owned();
    let key = ObjectKey::namespaced(namespace.as_str(), name.as_str());
    let Some(account) = request.registry.shared("", "serviceaccounts", &key) else {
        let problem =
            format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
        return Err(request.forbidden(pod, &problem));
    };
    let Some(spec) = pod.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    if wants_token(spec, &account) {
        let suffix = request.registry.random.name_suffix(5);
        mount(spec, &format!("{VOLUME_PREFIX}{suffix}"));
    }
    let secrets = list(&account.0, &["imagePullSecrets"]);
    if list(spec, &["imagePullSecrets"]).is_empty() && !secrets.is_empty() {
        spec.insert("imagePullSecrets".to_owned(), secrets.to_vec().into());
    }
    Ok(())
}

/// A pod that a node runs by itself cannot have an account.
fn mirror(request: &Request<'_>, pod: &Object) -> Result<(), StatusError> {
    if !string(&pod.0, &["spec", "serviceAccountName"]).is_empty() {
        return Err(request.forbidden(pod, "a mirror pod may not reference service accounts"));
    }
    Ok(())
}

/// The pod decides, then the account, else yes.
fn wants_token(spec: &Map<String, Value>, account: &Object) -> bool {
    let of = |map: &Map<String, Value>| map.get("automountServiceAccountToken").and_then(Value::as_bool);
    of(spec).or_else(|| of(&account.0)).unwrap_or(true)
}

fn mount(spec: &mut Map<String, Value>, fresh: &str) {
    let existing = list(spec, &["volumes"]).iter().find_map(|volume| {
        let name = volume["name"].as_str()?;
        name.starts_with(VOLUME_PREFIX).then(|| name.to_owned())
    });
    let name = existing.clone().unwrap_or_else(|| fresh.to_owned());
    let mut mounted = false;
    for field in ["initContainers", "containers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            let has = list(container, &["volumeMounts"])
                .iter()
                .any(|mount| mount["mountPath"] == MOUNT_PATH);
            if has {
                continue;
            }
            mounted = true;
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            if let Value::Array(mounts) = mounts {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            }
        }
    }
    if mounted && existing.is_none() {
        let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
        if let Value::Array(volumes) = volumes {
            volumes.push(volume(&name));
        }
    }
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}
    ]}})
}
