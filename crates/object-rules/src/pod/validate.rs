//! What is wrong with a pod spec. Source: `pkg/apis/core/validation/validation.go`.

use kube_types::dynamic::{Object, Value};

use super::{CONTAINER_LISTS, affinity, containers, volumes};
use crate::field::Errors;
use crate::names;
use crate::tree::{Node, child, count, flag, int, items, text};

/// Checks a pod.
pub fn pod(pod: &Object, errors: &mut Errors) {
    let empty = Node::new();
    spec(child(&pod.0, "spec").unwrap_or(&empty), "spec", errors);
}

/// Checks a template: labels, annotations and spec.
pub fn template(template: &Node, path: &str, errors: &mut Errors) {
    let empty = Node::new();
    let metadata = child(template, "metadata").unwrap_or(&empty);
    crate::metadata::labels(metadata, "labels", &format!("{path}.labels"), errors);
    crate::metadata::annotations(metadata, &format!("{path}.annotations"), errors);
    spec(
        child(template, "spec").unwrap_or(&empty),
        &format!("{path}.spec"),
        errors,
    );
    if count(child(template, "spec").unwrap_or(&empty), "ephemeralContainers") > 0 {
        let detail = "ephemeral containers not allowed in pod template";
        errors.forbidden(format!("{path}.spec.ephemeralContainers"), detail);
    }
}

fn spec(spec: &Node, path: &str, errors: &mut Errors) {
    let known = volumes::validate(spec, path, errors);
    if count(spec, "containers") == 0 {
        errors.required(format!("{path}.containers"), "");
    }
    let mut seen: Vec<&str> = Vec::new();
    for list in CONTAINER_LISTS.iter().rev().chain(&["ephemeralContainers"]) {
        for (index, container) in items(spec, list).enumerate() {
            let at = format!("{path}.{list}[{index}]");
            containers::validate(container, list, &at, &known, errors);
            let name = text(container, "name");
            if !name.is_empty() {
                if seen.contains(&name) {
                    errors.duplicate(format!("{at}.name"), name);
                }
                seen.push(name);
            }
        }
    }
    host_ports(spec, path, errors);
    policies(spec, path, errors);
    placement(spec, path, errors);
    identity(spec, path, errors);
}

fn policies(spec: &Node, path: &str, errors: &mut Errors) {
    for (field, supported) in [
        ("restartPolicy", &["Always", "OnFailure", "Never"][..]),
        (
            "dnsPolicy",
            &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"][..],
        ),
        ("preemptionPolicy", &["Never", "PreemptLowerPriority"][..]),
    ] {
        let value = text(spec, field);
        if !value.is_empty() && !supported.contains(&value) {
            errors.not_supported(format!("{path}.{field}"), value, supported);
        }
    }
    if let Some(seconds) = int(spec, "activeDeadlineSeconds").filter(|s| !(1..=i64::from(i32::MAX)).contains(s)) {
        let detail = format!("must be between 1 and {}, inclusive", i32::MAX);
        errors.invalid(format!("{path}.activeDeadlineSeconds"), seconds, detail);
    }
    if text(spec, "dnsPolicy") == "None" && child(spec, "dnsConfig").is_none_or(|c| count(c, "nameservers") == 0) {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.required(format!("{path}.dnsConfig.nameservers"), detail);
    }
    for (index, gate) in items(spec, "readinessGates").enumerate() {
        for problem in names::qualified_name(text(gate, "conditionType")) {
            errors.invalid(
                format!("{path}.readinessGates[{index}].conditionType"),
                text(gate, "conditionType"),
                problem,
            );
        }
    }
}

fn placement(spec: &Node, path: &str, errors: &mut Errors) {
    crate::metadata::labels(spec, "nodeSelector", &format!("{path}.nodeSelector"), errors);
    if let Some(given) = child(spec, "affinity") {
        affinity::validate(given, &format!("{path}.affinity"), errors);
    }
    for (index, toleration) in items(spec, "tolerations").enumerate() {
        self::toleration(toleration, &format!("{path}.tolerations[{index}]"), errors);
    }
    for (index, spread) in items(spec, "topologySpreadConstraints").enumerate() {
        let at = format!("{path}.topologySpreadConstraints[{index}]");
        match int(spread, "maxSkew") {
            Some(skew) if skew > 0 => {}
            skew => errors.invalid(format!("{at}.maxSkew"), skew.unwrap_or(0), "must be greater than zero"),
        }
        if text(spread, "topologyKey").is_empty() {
            errors.required(format!("{at}.topologyKey"), "can not be empty");
        }
        let action = text(spread, "whenUnsatisfiable");
        if !matches!(action, "DoNotSchedule" | "ScheduleAnyway") {
            errors.not_supported(
                format!("{at}.whenUnsatisfiable"),
                action,
                &["DoNotSchedule", "ScheduleAnyway"],
            );
        }
    }
}

fn toleration(toleration: &Node, path: &str, errors: &mut Errors) {
    let (key, operator, effect) = (
        text(toleration, "key"),
        text(toleration, "operator"),
        text(toleration, "effect"),
    );
    if !key.is_empty() {
        for problem in names::qualified_name(key) {
            errors.invalid(format!("{path}.key"), key, problem);
        }
    }
    if key.is_empty() && operator != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.invalid(format!("{path}.operator"), operator, detail);
    }
    if toleration.contains_key("tolerationSeconds") && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.invalid(format!("{path}.effect"), effect, detail);
    }
    match operator {
        "" | "Equal" => {
            for problem in names::label_value(text(toleration, "value")) {
                errors.invalid(format!("{path}.operator"), text(toleration, "value"), problem);
            }
        }
        "Exists" if !text(toleration, "value").is_empty() => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.invalid(format!("{path}.operator"), Value::Object(toleration.clone()), detail);
        }
        "Exists" => {}
        other => errors.not_supported(format!("{path}.operator"), other, &["Equal", "Exists"]),
    }
    if !matches!(effect, "" | "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        errors.not_supported(
            format!("{path}.effect"),
            effect,
            &["NoSchedule", "PreferNoSchedule", "NoExecute"],
        );
    }
}

fn identity(spec: &Node, path: &str, errors: &mut Errors) {
    for (field, rule) in [
        ("hostname", names::dns_label as fn(&str) -> names::Problems),
        ("subdomain", names::dns_label),
        ("serviceAccountName", names::dns_subdomain),
        ("nodeName", names::dns_subdomain),
        ("priorityClassName", names::dns_subdomain),
        ("runtimeClassName", names::dns_subdomain),
    ] {
        let value = text(spec, field);
        if !value.is_empty() {
            for problem in rule(value) {
                errors.invalid(format!("{path}.{field}"), value, problem);
            }
        }
    }
    for (index, alias) in items(spec, "hostAliases").enumerate() {
        for problem in names::ip_address(text(alias, "ip")) {
            errors.invalid(format!("{path}.hostAliases[{index}].ip"), text(alias, "ip"), problem);
        }
    }
    if let Some(context) = child(spec, "securityContext") {
        for field in ["runAsUser", "runAsGroup", "fsGroup"] {
            if let Some(id) = int(context, field).filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
                let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
                errors.invalid(format!("{path}.securityContext.{field}"), id, detail);
            }
        }
        if flag(spec, "hostPID") && flag(spec, "shareProcessNamespace") {
            let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
            errors.invalid(format!("{path}.securityContext.shareProcessNamespace"), true, detail);
        }
    }
}

/// Two containers of a pod cannot have the same port of the host.
fn host_ports(spec: &Node, path: &str, errors: &mut Errors) {
    let mut taken: Vec<String> = Vec::new();
    for list in ["containers"] {
        for (index, container) in items(spec, list).enumerate() {
            for (at, port) in items(container, "ports").enumerate() {
                let Some(number) = int(port, "hostPort").filter(|number| *number > 0) else {
                    continue;
                };
                let key = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
                if taken.contains(&key) {
                    errors.duplicate(format!("{path}.{list}[{index}].ports[{at}].hostPort"), key.as_str());
                }
                taken.push(key);
            }
        }
    }
}
