//! APIServices: a name made of version and group, priorities within their bounds, and trust that fits the backend.
//!
//! Source: `kube-aggregator/pkg/apis/apiregistration/{v1/defaults.go,validation}` and `registry/apiservice/strategy.go`.

use kube_types::dynamic::{Object, Value, json};

use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{Node, child, child_mut, default, flag, int, items, text};

/// Bounds that upstream's messages call "less than", and which are allowed.
const HIGHEST_GROUP_PRIORITY: i64 = 20_000;
const HIGHEST_VERSION_PRIORITY: i64 = 1_000;

pub(crate) static RULES: Rules = Rules {
    name: names::path_segment,
    defaults: |service| {
        if let Some(backend) = child_mut(&mut service.0, "spec").and_then(|spec| child_mut(spec, "service")) {
            default(backend, "port", 443);
        }
    },
    prepare_create: local_is_available,
    validate,
    validate_status: |new, _, errors| check_conditions(new, errors),
    status: true,
    ..Rules::NAMED
};

/// What this server answers itself is there as soon as it is said to be.
fn local_is_available(service: &mut Object) {
    if child(&service.0, "spec").is_some_and(|spec| child(spec, "service").is_some()) {
        return;
    }
    let since = service.metadata_text("creationTimestamp").unwrap_or_default();
    let condition = json!({"type": "Available", "status": "True", "lastTransitionTime": since,
        "reason": "Local", "message": "Local APIServices are always available"});
    service
        .0
        .insert("status".to_owned(), json!({"conditions": [condition]}));
}

fn validate(service: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let spec = child(&service.0, "spec").unwrap_or(&empty);
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let name = service.name().unwrap_or_default();
    let required = format!("{version}.{group}");
    if name != required {
        let detail = format!("must be `spec.version+\".\"+spec.group`: \"{required}\"");
        errors.invalid("metadata.name", name, detail);
    }
    if group.is_empty() && version != "v1" {
        errors.required(
            "spec.group",
            "only v1 may have an empty group and it better be legacy kube",
        );
    }
    if !group.is_empty() {
        for problem in names::dns_subdomain(group) {
            errors.invalid("spec.group", group, problem);
        }
    }
    for problem in names::dns1035_label(version) {
        errors.invalid("spec.version", version, problem);
    }
    for (field, highest) in [
        ("groupPriorityMinimum", HIGHEST_GROUP_PRIORITY),
        ("versionPriority", HIGHEST_VERSION_PRIORITY),
    ] {
        let priority = int(spec, field).unwrap_or(0);
        if priority <= 0 || priority > highest {
            let detail = format!("must be positive and less than {highest}");
            errors.invalid(format!("spec.{field}"), priority, detail);
        }
    }
    check_trust(spec, errors);
}

fn check_trust(spec: &Node, errors: &mut Errors) {
    let (bundle, insecure) = (text(spec, "caBundle"), flag(spec, "insecureSkipTLSVerify"));
    let Some(backend) = child(spec, "service") else {
        if !bundle.is_empty() {
            let shown = format!("{} bytes", decoded_length(bundle));
            errors.invalid("spec.caBundle", shown, "local APIServices may not have a caBundle");
        }
        if insecure {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.invalid("spec.insecureSkipTLSVerify", true, detail);
        }
        return;
    };
    for field in ["namespace", "name"] {
        if text(backend, field).is_empty() {
            errors.required(format!("spec.service.{field}"), "");
        }
    }
    if insecure && !bundle.is_empty() {
        let detail = "may not be true if caBundle is present";
        errors.invalid("spec.insecureSkipTLSVerify", true, detail);
    }
}

/// Number of bytes behind a base64 text.
fn decoded_length(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

fn check_conditions(service: &Object, errors: &mut Errors) {
    let Some(status) = child(&service.0, "status") else {
        return;
    };
    for (index, condition) in items(status, "conditions").enumerate() {
        let value = text(condition, "status");
        if !["True", "False", "Unknown"].contains(&value) {
            let field = format!("status.conditions[{index}].status");
            errors.not_supported(field, Value::from(value), &["True", "False", "Unknown"]);
        }
    }
}

#[cfg(test)]
mod tests;
