//! PodSecurity: pods keep to the standard that their namespace's labels name; whoever writes what makes pods is warned.
//!
//! Source: `k8s.io/pod-security-admission/admission`. Nobody is exempt: that is configured by a file, which EKS does not
//! let its users give.

mod namespaces;

use std::collections::BTreeMap;

use access_rules::pod_security::{LabelError, Policy, Violations, is_significant_update};
use kube_types::ObjectKey;
use kube_types::api::core::v1::PodSpec;
use kube_types::dynamic::{Map, Object, Value};
use object_rules::field::Errors;
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

/// Parts of a pod that say nothing of what it may do. A part that is not listed is looked at, so that a new one is not
/// forgotten.
const HARMLESS_PARTS: &[&str] = &[
    "exec",
    "attach",
    "binding",
    "eviction",
    "log",
    "portforward",
    "proxy",
    "status",
];

pub(super) fn keep_to_standard(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    if request.internal || !matches!(request.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    let kind = &request.resource.kind;
    match (&*kind.group, &*kind.plural, request.subresource) {
        ("", "namespaces", None) => namespaces::check(request, object),
        ("", "pods", part) if part.is_none_or(|part| !HARMLESS_PARTS.contains(&part)) => pod(request, object),
        (group, plural, None) => {
            let known = TEMPLATES.iter().find(|(of, name, _)| (*of, *name) == (group, plural));
            if let Some((_, _, path)) = known {
                template(request, object, path);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A pod is refused, noted and warned of.
fn pod(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    let Some((policy, errors)) = policy(request, object) else {
        let problem = format!("failed to lookup namespace {:?}", namespace(object));
        let error = StatusError::internal(problem);
        note(request, "error", || {
            format!("{}: {}", error.message(), not_found(object))
        });
        return Err(error);
    };
    if errors.is_empty() && policy.is_privileged() {
        note(request, "enforce-policy", || "privileged:latest".to_owned());
        return Ok(());
    }
    let read = |object| {
        spec(object, &[]).map_err(|error| {
            note(request, "error", || format!("failed to decode object: {error}"));
            StatusError::bad_request("failed to decode object")
        })
    };
    let Some(new) = read(object)? else {
        return Ok(());
    };
    let old = request.old.map(read).transpose()?.flatten();
    if old.is_some_and(|old| !is_significant_update(&old, &new)) {
        return Ok(());
    }
    note_errors(request, &errors);
    note(request, "enforce-policy", || policy.enforce.to_string());
    let annotations = object.annotations();
    let refused = policy.enforce.violations(&annotations, &new);
    note_violations(request, &policy, policy.audit.violations(&annotations, &new));
    if let Some(violations) = refused {
        let problem = format!("violates {}", policy.enforce.sentence(&violations));
        return Err(request.forbidden(object, &problem));
    }
    warn(request, &policy, policy.warn.violations(&annotations, &new));
    Ok(())
}

/// What makes pods is noted and warned of; its pods are refused when they come.
fn template(request: &Request<'_>, object: &Object, path: &[&str]) {
    let Some((policy, errors)) = policy(request, object) else {
        note(request, "error", || {
            format!(
                "failed to lookup namespace {:?}: {}",
                namespace(object),
                not_found(object)
            )
        });
        return;
    };
    if errors.is_empty() && policy.says_nothing() {
        return;
    }
    let spec = match spec(object, path) {
        Ok(Some(spec)) => spec,
        Ok(None) => return,
        Err(error) => {
            note(request, "error", || format!("failed to decode object: {error}"));
            return;
        }
    };
    let annotations = at(&object.0, &[path, &["metadata", "annotations"]].concat()).and_then(Value::as_object);
    let annotations = annotations.map(texts).unwrap_or_default();
    note_errors(request, &errors);
    note_violations(request, &policy, policy.audit.violations(&annotations, &spec));
    warn(request, &policy, policy.warn.violations(&annotations, &spec));
}

fn namespace(object: &Object) -> &str {
    object.namespace().unwrap_or_default()
}

fn not_found(object: &Object) -> String {
    format!("namespaces {:?} not found", namespace(object))
}

/// What the object's namespace asks for, and which of its labels are wrong.
fn policy(request: &Request<'_>, object: &Object) -> Option<(Policy, Vec<LabelError>)> {
    let key = ObjectKey::cluster(namespace(object));
    let namespace = request.registry.shared("", "namespaces", &key)?;
    Some(Policy::of_labels(&namespace.labels()))
}

/// The spec of the pod, or of the pods that the template makes.
fn spec(object: &Object, path: &[&str]) -> Result<Option<PodSpec>, serde_json::Error> {
    let given = at(&object.0, &[path, &["spec"]].concat());
    given.map(PodSpec::deserialize).transpose()
}

fn texts(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let texts = map
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    texts.collect()
}

/// The labels that are wrong, as validation tells of them.
fn field_errors(errors: &[LabelError]) -> Errors {
    let mut all = Errors::new();
    for error in errors {
        let field = format!("metadata.labels[{}]", error.label);
        all.invalid(field, error.value.as_str(), error.problem);
    }
    all
}

fn note(request: &Request<'_>, key: &str, value: impl FnOnce() -> String) {
    let annotations = &request.context.annotations;
    annotations.add(&format!("pod-security.kubernetes.io/{key}"), value);
}

fn note_errors(request: &Request<'_>, errors: &[LabelError]) {
    let texts: Vec<String> = field_errors(errors).iter().map(ToString::to_string).collect();
    match &*texts {
        [] => {}
        [one] => note(request, "error", || format!("Failed to parse policy: {one}")),
        several => note(request, "error", || {
            format!("Failed to parse policy: [{}]", several.join(", "))
        }),
    }
}

fn note_violations(request: &Request<'_>, policy: &Policy, violations: Option<Violations>) {
    if let Some(violations) = violations {
        note(request, "audit-violations", || {
            format!("would violate {}", policy.audit.sentence(&violations))
        });
    }
}

fn warn(request: &Request<'_>, policy: &Policy, violations: Option<Violations>) {
    if let Some(violations) = violations {
        let text = format!("would violate {}", policy.warn.sentence(&violations));
        request.context.warnings.add(text);
    }
}
