//! What is wrong with a pod's affinity. Source: `pkg/apis/core/validation/validation.go`, `validateAffinity`.

use kube_types::dynamic::Value;

use crate::field::Errors;
use crate::names;
use crate::tree::{Node, child, count, int, items, text, texts};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Checks `affinity` of a pod spec.
pub(super) fn validate(affinity: &Node, path: &str, errors: &mut Errors) {
    if let Some(node) = child(affinity, "nodeAffinity") {
        let path = format!("{path}.nodeAffinity");
        if let Some(selector) = child(node, REQUIRED) {
            let terms = format!("{path}.{REQUIRED}.nodeSelectorTerms");
            if count(selector, "nodeSelectorTerms") == 0 {
                errors.required(terms.as_str(), "must have at least one node selector term");
            }
            for (index, term) in items(selector, "nodeSelectorTerms").enumerate() {
                node_term(term, &format!("{terms}[{index}]"), errors);
            }
        }
        for (index, preferred) in items(node, PREFERRED).enumerate() {
            let at = format!("{path}.{PREFERRED}[{index}]");
            weight(preferred, &at, errors);
            if let Some(term) = child(preferred, "preference") {
                node_term(term, &format!("{at}.preference"), errors);
            }
        }
    }
    for field in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = child(affinity, field) else { continue };
        for (index, term) in items(pods, REQUIRED).enumerate() {
            pod_term(term, &format!("{path}.{field}.{REQUIRED}[{index}]"), errors);
        }
        for (index, preferred) in items(pods, PREFERRED).enumerate() {
            let at = format!("{path}.{field}.{PREFERRED}[{index}]");
            weight(preferred, &at, errors);
            if let Some(term) = child(preferred, "podAffinityTerm") {
                pod_term(term, &format!("{at}.podAffinityTerm"), errors);
            }
        }
    }
}

fn weight(preferred: &Node, path: &str, errors: &mut Errors) {
    let weight = int(preferred, "weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.invalid(format!("{path}.weight"), weight, "must be in the range 1-100");
    }
}

fn node_term(term: &Node, path: &str, errors: &mut Errors) {
    for (index, requirement) in items(term, "matchExpressions").enumerate() {
        expression(requirement, &format!("{path}.matchExpressions[{index}]"), errors);
    }
    for (index, requirement) in items(term, "matchFields").enumerate() {
        field(requirement, &format!("{path}.matchFields[{index}]"), errors);
    }
}

/// A requirement on the labels of a node.
pub(super) fn expression(requirement: &Node, path: &str, errors: &mut Errors) {
    let (operator, values) = (text(requirement, "operator"), count(requirement, "values"));
    let at = format!("{path}.values");
    match operator {
        "In" | "NotIn" if values == 0 => {
            errors.required(at, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if values > 0 => {
            errors.forbidden(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values != 1 => {
            errors.required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid(format!("{path}.operator"), other, "not a valid selector operator"),
    }
    let key = text(requirement, "key");
    for problem in names::qualified_name(key) {
        errors.invalid(format!("{path}.key"), key, problem);
    }
    for (index, value) in texts(requirement, "values").enumerate() {
        for problem in names::label_value(value) {
            errors.invalid(format!("{path}.values[{index}]"), value, problem);
        }
    }
}

/// A requirement on the node itself: only its name can be asked for.
fn field(requirement: &Node, path: &str, errors: &mut Errors) {
    match text(requirement, "operator") {
        "In" | "NotIn" => {
            if count(requirement, "values") != 1 {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(format!("{path}.values"), detail);
            }
        }
        other => errors.invalid(format!("{path}.operator"), other, "not a valid selector operator"),
    }
    let key = text(requirement, "key");
    if key != "metadata.name" {
        errors.invalid(format!("{path}.key"), key, "not a valid field selector key");
    }
    for (index, value) in texts(requirement, "values").enumerate() {
        for problem in names::dns_subdomain(value) {
            errors.invalid(format!("{path}.values[{index}]"), value, problem);
        }
    }
}

fn pod_term(term: &Node, path: &str, errors: &mut Errors) {
    for selector in ["labelSelector", "namespaceSelector"] {
        crate::workload::selector(
            term.get(selector).filter(|value| !Value::is_null(value)),
            &format!("{path}.{selector}"),
            errors,
        );
    }
    for (index, namespace) in texts(term, "namespaces").enumerate() {
        for problem in names::dns_label(namespace) {
            errors.invalid(format!("{path}.namespaces[{index}]"), namespace, problem);
        }
    }
    let key = text(term, "topologyKey");
    if key.is_empty() {
        errors.required(format!("{path}.topologyKey"), "can not be empty");
        return;
    }
    for problem in names::qualified_name(key) {
        errors.invalid(format!("{path}.topologyKey"), key, problem);
    }
}
