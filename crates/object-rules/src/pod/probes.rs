//! What is wrong with probes and lifecycle hooks.

use kube_types::dynamic::Value;

use crate::field::Errors;
use crate::names;
use crate::tree::{Node, child, count, int, text};

const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];

/// Checks a probe; `kind` is its field.
pub(super) fn validate(probe: &Node, kind: &str, path: &str, errors: &mut Errors) {
    handler(probe, path, errors);
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        if let Some(number) = int(probe, field).filter(|number| *number < 0) {
            errors.invalid(format!("{path}.{field}"), number, "must be greater than or equal to 0");
        }
    }
    let successes = int(probe, "successThreshold").unwrap_or(1);
    if kind != "readinessProbe" && successes != 1 {
        errors.invalid(format!("{path}.successThreshold"), successes, "must be 1");
    }
}

fn handler(node: &Node, path: &str, errors: &mut Errors) {
    let given: Vec<&str> = HANDLERS
        .into_iter()
        .filter(|handler| child(node, handler).is_some())
        .collect();
    match given.as_slice() {
        [] => errors.required(path, "must specify a handler type"),
        [_] => {}
        [_, more @ ..] => {
            for handler in more {
                errors.forbidden(format!("{path}.{handler}"), "may not specify more than 1 handler type");
            }
        }
    }
    if child(node, "exec").is_some_and(|exec| count(exec, "command") == 0) {
        errors.required(format!("{path}.exec.command"), "");
    }
    for kind in ["httpGet", "tcpSocket", "grpc"] {
        if let Some(target) = child(node, kind) {
            port(target.get("port"), &format!("{path}.{kind}.port"), errors);
        }
    }
    if let Some(get) = child(node, "httpGet") {
        if text(get, "path").is_empty() {
            errors.required(format!("{path}.httpGet.path"), "");
        }
        let scheme = text(get, "scheme");
        if !matches!(scheme, "HTTP" | "HTTPS") {
            errors.not_supported(format!("{path}.httpGet.scheme"), scheme, &["HTTP", "HTTPS"]);
        }
    }
}

/// A port number or the name of a port.
pub(crate) fn port(port: Option<&Value>, path: &str, errors: &mut Errors) {
    match port {
        Some(Value::String(name)) => {
            for problem in names::port_name(name) {
                errors.invalid(path, name.as_str(), problem);
            }
        }
        other => {
            let number = other.and_then(Value::as_i64).unwrap_or(0);
            for problem in names::port_number(number) {
                errors.invalid(path, number, problem);
            }
        }
    }
}

/// Checks the hooks of a container.
pub(super) fn lifecycle(container: &Node, path: &str, allowed: bool, errors: &mut Errors) {
    let Some(lifecycle) = child(container, "lifecycle") else {
        return;
    };
    if !allowed {
        let detail = "may not be set for init containers without restartPolicy=Always";
        errors.forbidden(format!("{path}.lifecycle"), detail);
        return;
    }
    for name in ["postStart", "preStop"] {
        if let Some(hook) = child(lifecycle, name)
            && child(hook, "sleep").is_none()
        {
            handler(hook, &format!("{path}.lifecycle.{name}"), errors);
        }
    }
}
