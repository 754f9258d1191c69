//! What a namespace's own labels may say, and what is said of its pods when they change.

use access_rules::pod_security::{ExistingPod, MOST_EXISTING_PODS, Policy, Standard, one_of_each_controller_first};
use kube_types::dynamic::{Object, Value};

use super::{Request, field_errors, spec};
use crate::columns::{list, string, truth};
use crate::status::{StatusError, Subject};

/// Labels that are wrong are refused when they come; those that are there already stay until they are mended.
pub(super) fn check(request: &Request<'_>, namespace: &Object) -> Result<(), StatusError> {
    let (policy, errors) = Policy::of_labels(&namespace.labels());
    let old = request.old.map(|old| Policy::of_labels(&old.labels()));
    let known = old.as_ref().is_some_and(|(_, known)| *known == errors);
    let name = namespace.name().unwrap_or_default();
    if !errors.is_empty() && !known {
        let subject = Subject::kind(&request.resource.kind);
        return Err(StatusError::invalid(&subject, name, &field_errors(&errors)));
    }
    if let Some((old, _)) = old
        && policy.enforce.asks_more_than(&old.enforce)
    {
        for warning in warnings(request, name, policy.enforce) {
            request.context.warnings.add(warning);
        }
    }
    Ok(())
}

/// What is said of the pods that are there.
fn warnings(request: &Request<'_>, namespace: &str, enforce: Standard) -> Vec<String> {
    let unknown = || vec!["failed to list pods while checking new PodSecurity enforce level".to_owned()];
    let Ok(pods) = request.registry.built_in("", "pods") else {
        return unknown();
    };
    let (items, _) = pods.cache.select(&format!("{namespace}/"), None, |_| true, usize::MAX);
    let total = items.len();
    let pods = items.iter().map(|item| item.shared()).collect();
    let mut pods = one_of_each_controller_first(pods, |pod| controller(pod));
    pods.truncate(MOST_EXISTING_PODS);
    let read = |pod: &Object| {
        Some(ExistingPod {
            name: pod.name()?.to_owned(),
            annotations: pod.annotations(),
            spec: spec(pod, &[]).ok()??,
        })
    };
    let read: Option<Vec<ExistingPod>> = pods.iter().map(|pod| read(pod)).collect();
    read.map_or_else(unknown, |pods| enforce.warnings_of_existing(namespace, &pods, total))
}

/// The uid of the controller that made a pod.
fn controller(pod: &Object) -> Option<String> {
    let owners = list(&pod.0, &["metadata", "ownerReferences"]);
    let mut owners = owners.iter().filter_map(Value::as_object);
    let controller = owners.find(|owner| truth(owner, &["controller"]))?;
    Some(string(controller, &["uid"]).to_owned())
}
