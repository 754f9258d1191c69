//! What EKS's pod identity webhook does: pods of a service account with a role get what AWS's SDKs look for.
//!
//! Built in rather than called, so that a new cluster needs no endpoint for it; the rules are those of amazon-eks-pod-identity-webhook.

use std::sync::Arc;

use kube_types::ObjectKey;
use kube_types::dynamic::{Map, Object, Value, json};

use super::Request;
use crate::columns::list;
use crate::registry::Registry;
use crate::status::StatusError;

#[cfg(test)]
mod tests;

/// A label by which a pod asks to be left alone.
const SKIP_LABEL: &str = "eks.amazonaws.com/skip-pod-identity-webhook";
const ROLE: &str = "eks.amazonaws.com/role-arn";
const AUDIENCE: &str = "eks.amazonaws.com/audience";
const REGIONAL: &str = "eks.amazonaws.com/sts-regional-endpoints";
const EXPIRATION: &str = "eks.amazonaws.com/token-expiration";
const SKIP_CONTAINERS: &str = "eks.amazonaws.com/skip-containers";
/// Seconds that a token lives unless somebody says otherwise; below it, the least that the API server issues.
const DEFAULT_SECONDS: i64 = 86_400;
const LEAST_SECONDS: i64 = 600;
/// Tokens of pod identity live up to this much shorter, so that not all of a cluster's are renewed at once.
const JITTER_SECONDS: u64 = 7_200;

/// What the webhook knows that is not in the cluster: the region that the cluster is in.
pub trait PodIdentities: Send + Sync {
    /// The region's name.
    fn region(&self) -> &str;
    /// Where pods reach the region's services, for SDKs that are not told otherwise; `None` where AWS's own names lead there.
    fn endpoint(&self) -> Option<&str>;
    /// Whether the service account has an EKS Pod Identity association.
    fn is_associated(&self, namespace: &str, service_account: &str) -> bool;
}

impl Registry {
    /// Gives pods the identities that their service accounts have in AWS. The first call counts.
    pub fn set_pod_identities(&self, identities: Arc<dyn PodIdentities>) {
        self.pod_identities.get_or_init(|| identities);
    }
}

/// A token as a file, and the variables that lead an SDK to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Injection {
    volume: &'static str,
    directory: &'static str,
    file: &'static str,
    audience: String,
    seconds: i64,
    /// `AWS_STS_REGIONAL_ENDPOINTS=regional`.
    regional: bool,
    /// What only this identity sets.
    variables: [(&'static str, String); 2],
}

/// Adds to a new pod what its service account's role needs. A pod whose account is unknown or has no role stays as it is.
pub(super) fn inject(request: &Request<'_>, pod: &mut Object) -> Result<(), StatusError> {
    let Some(identities) = request.registry.pod_identities.get() else {
        return Ok(());
    };
    if !request.creates("", "pods") || pod.labels().contains_key(SKIP_LABEL) {
        return Ok(());
    }
    let namespace = pod.namespace().unwrap_or_default().to_owned();
    let account = pod.0.get("spec").and_then(|spec| spec["serviceAccountName"].as_str());
    let account = account.unwrap_or("default").to_owned();
    let key = ObjectKey::namespaced(namespace.as_str(), account.as_str());
    let Some(found) = request.registry.shared("", "serviceaccounts", &key) else {
        return Ok(());
    };
    let jitter = i64::try_from(request.registry.random.below(JITTER_SECONDS)).unwrap_or(0);
    let associated = identities.is_associated(&namespace, &account);
    if let Some(injection) = wanted(associated, jitter, &found, pod) {
        apply(pod, &injection, identities.region(), identities.endpoint());
    }
    Ok(())
}

/// What a pod of this account gets. An association goes before a role in the account's annotations.
fn wanted(associated: bool, jitter: i64, account: &Object, pod: &Object) -> Option<Injection> {
    let annotations = account.annotations();
    // What is no number is as if it were not there.
    let seconds = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
    let asked = seconds(pod.annotations().get(EXPIRATION)).or_else(|| seconds(annotations.get(EXPIRATION)));
    let at_least = |seconds: i64| seconds.max(LEAST_SECONDS);
    if associated {
        let directory = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";
        return Some(Injection {
            volume: "eks-pod-identity-token",
            directory,
            file: "eks-pod-identity-token",
            audience: "pods.eks.amazonaws.com".to_owned(),
            seconds: asked.map_or(DEFAULT_SECONDS - jitter, at_least),
            regional: true,
            variables: [
                (
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    "http://169.254.170.23/v1/credentials".to_owned(),
                ),
                (
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                    format!("{directory}/eks-pod-identity-token"),
                ),
            ],
        });
    }
    let role = annotations.get(ROLE)?;
    let directory = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
    Some(Injection {
        volume: "aws-iam-token",
        directory,
        file: "token",
        audience: annotations
            .get(AUDIENCE)
            .cloned()
            .unwrap_or_else(|| "sts.amazonaws.com".to_owned()),
        seconds: asked.map_or(DEFAULT_SECONDS, at_least),
        // EKS starts its webhook so that regional endpoints are the default.
        regional: annotations.get(REGIONAL).is_none_or(|text| text == "true"),
        variables: [
            ("AWS_ROLE_ARN", role.clone()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", format!("{directory}/token")),
        ],
    })
}

/// A pod that has the volume already is complete, or its author's own.
fn apply(pod: &mut Object, injection: &Injection, region: &str, endpoint: Option<&str>) {
    let skipped = pod.annotations().get(SKIP_CONTAINERS).cloned().unwrap_or_default();
    let skipped: Vec<String> = skipped.split(',').map(|name| name.trim().to_owned()).collect();
    let Some(spec) = pod.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    if list(spec, &["volumes"])
        .iter()
        .any(|volume| volume["name"] == injection.volume)
    {
        return;
    }
    for field in ["initContainers", "containers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            let is_skipped = |name: &Value| name.as_str().is_some_and(|name| skipped.iter().any(|own| own == name));
            if !container.get("name").is_some_and(is_skipped) {
                fill(container, injection, region, endpoint);
            }
        }
    }
    if let Value::Array(volumes) = spec.entry("volumes").or_insert_with(|| json!([])) {
        volumes.insert(0, volume(injection));
    }
}

/// Variables that a container has are never changed, and one of a group stands for the group.
fn fill(container: &mut Map<String, Value>, injection: &Injection, region: &str, endpoint: Option<&str>) {
    let has = |name: &str| {
        list(container, &["env"])
            .iter()
            .any(|variable| variable["name"] == name)
    };
    let mut added = Vec::new();
    if injection.regional && !has("AWS_STS_REGIONAL_ENDPOINTS") {
        added.push(("AWS_STS_REGIONAL_ENDPOINTS", "regional".to_owned()));
    }
    if !has("AWS_REGION") && !has("AWS_DEFAULT_REGION") {
        added.extend(["AWS_DEFAULT_REGION", "AWS_REGION"].map(|name| (name, region.to_owned())));
    }
    if !injection.variables.iter().any(|(name, _)| has(name)) {
        added.extend(injection.variables.clone());
    }
    if let Some(endpoint) = endpoint.filter(|_| !has("AWS_ENDPOINT_URL")) {
        added.push(("AWS_ENDPOINT_URL", endpoint.to_owned()));
    }
    let mounted = list(container, &["volumeMounts"])
        .iter()
        .any(|mount| mount["name"] == injection.volume);
    let variables = added
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    if let Value::Array(own) = container.entry("env").or_insert_with(|| json!([])) {
        own.extend(variables);
    }
    if mounted {
        return;
    }
    if let Value::Array(mounts) = container.entry("volumeMounts").or_insert_with(|| json!([])) {
        mounts.push(json!({"name": injection.volume, "readOnly": true, "mountPath": injection.directory}));
    }
}

fn volume(injection: &Injection) -> Value {
    json!({"name": injection.volume, "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {
        "audience": injection.audience, "expirationSeconds": injection.seconds, "path": injection.file}}]}})
}
