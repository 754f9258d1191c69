//! What is wrong with a container's environment.

use crate::field::Errors;
use crate::names;
use crate::tree::{Node, child, items, text};

const SOURCES: [&str; 4] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"];

/// Checks `env` and `envFrom`.
pub(super) fn validate(container: &Node, path: &str, errors: &mut Errors) {
    for (index, variable) in items(container, "env").enumerate() {
        let at = format!("{path}.env[{index}]");
        match text(variable, "name") {
            "" => errors.required(format!("{at}.name"), ""),
            name => {
                for problem in names::environment_name(name) {
                    errors.invalid(format!("{at}.name"), name, problem);
                }
            }
        }
        if let Some(from) = child(variable, "valueFrom") {
            source(variable, from, &at, errors);
        }
    }
    for (index, from) in items(container, "envFrom").enumerate() {
        let at = format!("{path}.envFrom[{index}]");
        let prefix = text(from, "prefix");
        if !prefix.is_empty() {
            for problem in names::environment_name(prefix) {
                errors.invalid(format!("{at}.prefix"), prefix, problem);
            }
        }
        let given: Vec<&str> = ["configMapRef", "secretRef"]
            .into_iter()
            .filter(|s| child(from, s).is_some())
            .collect();
        match given.as_slice() {
            [] => errors.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"),
            [one] => {
                if child(from, one).is_some_and(|reference| text(reference, "name").is_empty()) {
                    errors.required(format!("{at}.{one}.name"), "");
                }
            }
            _ => errors.invalid(at, "", "may not have more than one field specified at a time"),
        }
    }
}

fn source(variable: &Node, from: &Node, path: &str, errors: &mut Errors) {
    let given: Vec<&str> = SOURCES
        .into_iter()
        .filter(|source| child(from, source).is_some())
        .collect();
    let at = format!("{path}.valueFrom");
    if given.is_empty() {
        errors.invalid(
            at.clone(),
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        );
    } else if !text(variable, "value").is_empty() {
        errors.invalid(at.clone(), "", "may not be specified when `value` is not empty");
    } else if given.len() > 1 {
        errors.invalid(at.clone(), "", "may not have more than one field specified at a time");
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = child(from, name) {
            match text(reference, "key") {
                "" => errors.required(format!("{at}.{name}.key"), ""),
                key => names::config_key(key)
                    .into_iter()
                    .for_each(|problem| errors.invalid(format!("{at}.{name}.key"), key, problem)),
            }
        }
    }
    if let Some(field) = child(from, "fieldRef")
        && text(field, "fieldPath").is_empty()
    {
        errors.required(format!("{at}.fieldRef.fieldPath"), "");
    }
    if let Some(field) = child(from, "resourceFieldRef")
        && text(field, "resource").is_empty()
    {
        errors.required(format!("{at}.resourceFieldRef.resource"), "");
    }
}
