//! What is wrong with a container.

use kube_types::quantity;

use super::{environment, probes};
use crate::field::Errors;
use crate::names;
use crate::tree::{Node, at, child, int, items, text};

/// Checks one container of a list; `volumes` are the names of the pod's volumes.
pub(super) fn validate(container: &Node, list: &str, path: &str, volumes: &[&str], errors: &mut Errors) {
    match text(container, "name") {
        "" => errors.required(format!("{path}.name"), ""),
        name => names::dns_label(name)
            .into_iter()
            .for_each(|p| errors.invalid(format!("{path}.name"), name, p)),
    }
    match text(container, "image") {
        "" => errors.required(format!("{path}.image"), ""),
        image if image.trim() != image => {
            errors.invalid(
                format!("{path}.image"),
                image,
                "must not have leading or trailing whitespace",
            );
        }
        _ => {}
    }
    for (field, supported) in [
        ("imagePullPolicy", &["Always", "IfNotPresent", "Never"][..]),
        ("terminationMessagePolicy", &["FallbackToLogsOnError", "File"][..]),
    ] {
        let value = text(container, field);
        if !supported.contains(&value) {
            if value.is_empty() {
                errors.required(format!("{path}.{field}"), "");
            } else {
                errors.not_supported(format!("{path}.{field}"), value, supported);
            }
        }
    }
    ports(container, path, errors);
    environment::validate(container, path, errors);
    mounts(container, path, volumes, errors);
    resources(container, path, errors);
    let sidecar = list == "initContainers" && text(container, "restartPolicy") == "Always";
    let probed = list == "containers" || sidecar;
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        match child(container, probe) {
            Some(_) if !probed && list == "initContainers" => {
                errors.forbidden(
                    format!("{path}.{probe}"),
                    "may not be set for init containers without restartPolicy=Always",
                );
            }
            Some(node) => probes::validate(node, probe, &format!("{path}.{probe}"), errors),
            None => {}
        }
    }
    probes::lifecycle(container, path, probed, errors);
}

fn ports(container: &Node, path: &str, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, port) in items(container, "ports").enumerate() {
        let at = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            for problem in names::port_name(name) {
                errors.invalid(format!("{at}.name"), name, problem);
            }
            if seen.contains(&name) {
                errors.duplicate(format!("{at}.name"), name);
            }
            seen.push(name);
        }
        match int(port, "containerPort").unwrap_or(0) {
            0 => errors.required(format!("{at}.containerPort"), ""),
            number => {
                for problem in names::port_number(number) {
                    errors.invalid(format!("{at}.containerPort"), number, problem);
                }
            }
        }
        if let Some(number) = int(port, "hostPort").filter(|number| *number != 0) {
            for problem in names::port_number(number) {
                errors.invalid(format!("{at}.hostPort"), number, problem);
            }
        }
        protocol(text(port, "protocol"), &format!("{at}.protocol"), errors);
    }
}

/// Checks a transport protocol.
pub(crate) fn protocol(protocol: &str, path: &str, errors: &mut Errors) {
    match protocol {
        "" => errors.required(path, ""),
        "TCP" | "UDP" | "SCTP" => {}
        other => errors.not_supported(path, other, &["SCTP", "TCP", "UDP"]),
    }
}

fn mounts(container: &Node, path: &str, volumes: &[&str], errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, mount) in items(container, "volumeMounts").enumerate() {
        let at = format!("{path}.volumeMounts[{index}]");
        let (name, target) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            errors.required(format!("{at}.name"), "");
        } else if !volumes.contains(&name) {
            errors.push(
                crate::field::Kind::NotFound,
                format!("{at}.name"),
                Some(name.into()),
                "",
            );
        }
        if target.is_empty() {
            errors.required(format!("{at}.mountPath"), "");
        } else if seen.contains(&target) {
            errors.invalid(format!("{at}.mountPath"), target, "must be unique");
        }
        seen.push(target);
        let inner = text(mount, "subPath");
        if inner.starts_with('/') {
            errors.invalid(format!("{at}.subPath"), inner, "must be a relative path");
        } else if inner.split('/').any(|part| part == "..") {
            errors.invalid(format!("{at}.subPath"), inner, "must not contain '..'");
        }
        if !inner.is_empty() && !text(mount, "subPathExpr").is_empty() {
            errors.invalid(
                format!("{at}.subPathExpr"),
                text(mount, "subPathExpr"),
                "subPathExpr and subPath are mutually exclusive",
            );
        }
    }
}

fn resources(container: &Node, path: &str, errors: &mut Errors) {
    let empty = Node::new();
    let limits = at(container, &["resources", "limits"]).unwrap_or(&empty);
    let requests = at(container, &["resources", "requests"]).unwrap_or(&empty);
    for (kind, amounts) in [("limits", limits), ("requests", requests)] {
        for (name, amount) in amounts {
            let field = format!("{path}.resources.{kind}[{name}]");
            let shown = amount.as_str().unwrap_or_default();
            let Ok(amount) = quantity::parse(shown) else { continue };
            if amount.sign() < 0 {
                errors.invalid(field.clone(), shown, "must be greater than or equal to 0");
            }
            let standard =
                matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
            if !standard && !name.contains('/') {
                errors.invalid(
                    format!("{path}.resources.{kind}"),
                    name.as_str(),
                    "must be a standard resource for containers",
                );
            } else if !standard && !amount.is_integer() {
                errors.invalid(field, shown, "must be an integer");
            }
        }
    }
    for (name, request) in requests {
        let shown = request.as_str().unwrap_or_default();
        let limit = limits.get(name).and_then(|limit| limit.as_str());
        let (Ok(request), Some(Ok(amount))) = (quantity::parse(shown), limit.map(quantity::parse)) else {
            continue;
        };
        if request > amount {
            let detail = format!(
                "must be less than or equal to {name} limit of {}",
                limit.unwrap_or_default()
            );
            errors.invalid(format!("{path}.resources.requests"), shown, detail);
        }
    }
}
