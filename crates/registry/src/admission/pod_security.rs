//! PodSecurity: pods keep to the standard that their namespace's labels name; workloads are warned of.

use access_rules::pod_security::{Policy, Standard};
use kube_types::ObjectKey;
use kube_types::api::core::v1::PodSpec;
use kube_types::dynamic::{Object, Value};
use serde::Deserialize;

use super::{Operation, Request};
use crate::columns::at;
use crate::status::StatusError;

/// Where the kinds that make pods keep the template.
const TEMPLATES: &[(&str, &str, &[&str])] = &[
    ("", "replicationcontrollers", &["spec", "template"]),
    ("", "podtemplates", &["template"]),
    ("apps", "replicasets", &["spec", "template"]),
    ("apps", "deployments", &["spec", "template"]),
    ("apps", "statefulsets", &["spec", "template"]),
    ("apps", "daemonsets", &["spec", "template"]),
    ("batch", "jobs", &["spec", "template"]),
    ("batch", "cronjobs", &["spec", "jobTemplate", "spec", "template"]),
];

pub(super) fn keep_to_standard(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    if !matches!(request.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    let kind = &request.resource.kind;
    let pod = kind.group.is_empty() && kind.plural == "pods";
    let template = TEMPLATES
        .iter()
        .find(|(group, plural, _)| kind.group == *group && kind.plural == *plural);
    let path: &[&str] = match (pod, template) {
        (true, _) if matches!(request.subresource, None | Some("ephemeralcontainers" | "resize")) => &[],
        (false, Some((_, _, path))) if request.subresource.is_none() => path,
        _ => return Ok(()),
    };
    let key = ObjectKey::cluster(object.namespace().unwrap_or_default());
    let Some(namespace) = request.registry.shared("", "namespaces", &key) else {
        return Ok(());
    };
    let policy = Policy::of_labels(&namespace.labels());
    let noted_for_audit = &request.context.annotations;
    if pod {
        noted_for_audit.add("pod-security.kubernetes.io/enforce-policy", || {
            policy.enforce.to_string()
        });
    }
    if policy.is_privileged() || request.old.is_some_and(|old| spec(old, path) == spec(object, path)) {
        return Ok(());
    }
    let Some(given) = spec(object, path) else {
        return Ok(());
    };
    let spec = PodSpec::deserialize(given).map_err(|error| StatusError::bad_request(error.to_string()))?;
    let annotations = match path {
        [] => object.annotations(),
        _ => std::collections::BTreeMap::new(),
    };
    let violates = |standard: &Standard| standard.violation(&annotations, &spec);
    if pod && let Some(violation) = violates(&policy.enforce) {
        return Err(request.forbidden(object, &format!("violates PodSecurity {violation}")));
    }
    if let Some(violation) = violates(&policy.audit) {
        let key = "pod-security.kubernetes.io/audit-violations";
        noted_for_audit.add(key, || format!("would violate PodSecurity {violation}"));
    }
    if let Some(violation) = violates(&policy.warn) {
        request
            .context
            .warnings
            .add(format!("would violate PodSecurity {violation}"));
    }
    Ok(())
}

/// The spec of the pod, or of the pods that the template makes.
fn spec<'o>(object: &'o Object, path: &[&str]) -> Option<&'o Value> {
    at(&object.0, &[path, &["spec"]].concat())
}
