//! Update strategies.

use kube_types::dynamic::Value;
use kube_types::int_or_string::percentage;

use crate::field::Errors;
use crate::tree::{Node, at, child, default, ensure, text};

/// Fills a strategy whose usual type is RollingUpdate.
pub(super) fn default_rolling(spec: &mut Node, field: &str, values: &[(&str, Value)]) {
    let strategy = ensure(spec, field);
    default(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = ensure(strategy, "rollingUpdate");
        for (name, value) in values {
            default(rolling, name, value.clone());
        }
    }
}

pub(super) fn deployment(spec: &Node, errors: &mut Errors) {
    let empty = Node::new();
    let strategy = child(spec, "strategy").unwrap_or(&empty);
    match text(strategy, "type") {
        "Recreate" => {
            if strategy.contains_key("rollingUpdate") {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                errors.forbidden("spec.strategy.rollingUpdate", detail);
            }
        }
        "RollingUpdate" => {
            let rolling = child(strategy, "rollingUpdate").unwrap_or(&empty);
            let path = "spec.strategy.rollingUpdate";
            let unavailable = share(rolling, "maxUnavailable", path, errors);
            let surge = share(rolling, "maxSurge", path, errors);
            if unavailable == Some(0) && surge == Some(0) {
                let zero = rolling.get("maxUnavailable").cloned().unwrap_or(Value::Null);
                errors.invalid(
                    format!("{path}.maxUnavailable"),
                    zero,
                    "may not be 0 when `maxSurge` is 0",
                );
            }
        }
        other => errors.not_supported("spec.strategy.type", other, &["Recreate", "RollingUpdate"]),
    }
}

pub(super) fn daemon_set(spec: &Node, errors: &mut Errors) {
    let empty = Node::new();
    let kind = at(spec, &["updateStrategy"]).map_or("", |strategy| text(strategy, "type"));
    match kind {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = at(spec, &["updateStrategy", "rollingUpdate"]).unwrap_or(&empty);
            let path = "spec.updateStrategy.rollingUpdate";
            let unavailable = share(rolling, "maxUnavailable", path, errors);
            let surge = share(rolling, "maxSurge", path, errors);
            match (unavailable, surge) {
                (Some(0), Some(0)) => {
                    errors.required(format!("{path}.maxUnavailable"), "cannot be 0 when maxSurge is 0");
                }
                (Some(u), Some(s)) if u > 0 && s > 0 => {
                    let shown = rolling.get("maxSurge").cloned().unwrap_or(Value::Null);
                    errors.invalid(
                        format!("{path}.maxSurge"),
                        shown,
                        "may not be set when maxUnavailable is non-zero",
                    );
                }
                _ => {}
            }
        }
        other => errors.not_supported("spec.updateStrategy.type", other, &["RollingUpdate", "OnDelete"]),
    }
}

pub(super) fn stateful_set(spec: &Node, errors: &mut Errors) {
    let kind = at(spec, &["updateStrategy"]).map_or("", |strategy| text(strategy, "type"));
    if !matches!(kind, "OnDelete" | "RollingUpdate") {
        let detail = format!("must be '{}' or '{}'", "RollingUpdate", "OnDelete");
        errors.invalid("spec.updateStrategy", kind, detail);
    }
    let policy = text(spec, "podManagementPolicy");
    if !matches!(policy, "OrderedReady" | "Parallel") {
        errors.invalid(
            "spec.podManagementPolicy",
            policy,
            "must be 'OrderedReady' or 'Parallel'",
        );
    }
}

/// A number or percentage that is not negative and, as a percentage, not above 100; its number.
pub(crate) fn share(node: &Node, field: &str, path: &str, errors: &mut Errors) -> Option<i64> {
    let at = format!("{path}.{field}");
    match node.get(field)? {
        Value::String(text) => match percentage(text) {
            Some(percent) if field == "maxUnavailable" && percent > 100 => {
                errors.invalid(at, text.as_str(), "must not be greater than 100%");
                None
            }
            Some(percent) => Some(percent.into()),
            None => {
                let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                errors.invalid(at, text.as_str(), detail);
                None
            }
        },
        value => {
            let number = value.as_i64().unwrap_or(0);
            if number < 0 {
                errors.invalid(at, number, "must be greater than or equal to 0");
            }
            Some(number)
        }
    }
}
