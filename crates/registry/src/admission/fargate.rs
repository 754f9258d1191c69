//! What EKS's Fargate webhook does: a pod that a profile selects is labelled with it and left to Fargate's scheduler.
//!
//! Built in rather than called, so that a new cluster needs no endpoint for it. Pods of DaemonSets stay as they are: they
//! belong to nodes, and Fargate's have one pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube_types::dynamic::{Object, Value};

use super::Request;
use crate::registry::Registry;
use crate::status::StatusError;

/// The label that says which profile a pod runs under.
const PROFILE_LABEL: &str = "eks.amazonaws.com/fargate-profile";
/// Who gives such pods their node.
const SCHEDULER: &str = "fargate-scheduler";
/// What Fargate's pods are worth: each is the only one of its node.
const PRIORITY: (&str, i64) = ("system-node-critical", 2_000_001_000);

/// The cluster's Fargate profiles, which are not in the cluster.
pub trait FargateProfiles: Send + Sync {
    /// The profile that takes a pod of these labels, if one does.
    fn profile_for(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Option<String>;
}

impl Registry {
    /// Gives pods to the cluster's Fargate profiles. The first call counts.
    pub fn set_fargate_profiles(&self, profiles: Arc<dyn FargateProfiles>) {
        self.fargate_profiles.get_or_init(|| profiles);
    }
}

/// Gives a new pod to the profile that selects it.
pub(super) fn assign(request: &Request<'_>, pod: &mut Object) -> Result<(), StatusError> {
    let Some(profiles) = request.registry.fargate_profiles.get() else {
        return Ok(());
    };
    if !request.creates("", "pods") || is_of_daemon_set(pod) {
        return Ok(());
    }
    let scheduler = pod.0.get("spec").and_then(|spec| spec["schedulerName"].as_str());
    let is_free = scheduler.is_none_or(|name| matches!(name, "default-scheduler" | "" | SCHEDULER));
    let has_node = pod
        .0
        .get("spec")
        .is_some_and(|spec| spec.get("nodeName").is_some_and(|name| !name.is_null()));
    if !is_free || has_node {
        return Ok(());
    }
    let namespace = pod.namespace().unwrap_or_default().to_owned();
    let Some(profile) = profiles.profile_for(&namespace, &pod.labels()) else {
        return Ok(());
    };
    let labels = pod
        .metadata_mut()
        .entry("labels")
        .or_insert_with(|| Value::Object(Default::default()));
    if let Value::Object(labels) = labels {
        labels.insert(PROFILE_LABEL.to_owned(), Value::from(profile));
    }
    if let Some(spec) = pod.0.get_mut("spec").and_then(Value::as_object_mut) {
        let (class, value) = PRIORITY;
        spec.insert("schedulerName".to_owned(), Value::from(SCHEDULER));
        spec.insert("priorityClassName".to_owned(), Value::from(class));
        spec.insert("priority".to_owned(), Value::from(value));
    }
    Ok(())
}

fn is_of_daemon_set(pod: &Object) -> bool {
    let owners = pod.metadata().and_then(|metadata| metadata.get("ownerReferences"));
    let owners = owners.and_then(Value::as_array).into_iter().flatten();
    owners.into_iter().any(|owner| owner["kind"] == "DaemonSet")
}
