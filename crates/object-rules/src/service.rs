//! Services. Addresses and node ports are chosen by the registry, in the transaction that writes the service.

use kube_types::dynamic::{Object, Value, json};

use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{Node, at, child, count, default, ensure, int, items, items_mut, text};

#[cfg(test)]
mod tests;

pub(crate) static SERVICE: Rules = Rules {
    name: |name, prefix| names::with_prefix(names::dns1035_label, name, prefix),
    defaults,
    validate,
    validate_update,
    status: true,
    create_on_update: true,
    returns_deleted: true,
    ..Rules::NAMED
};

/// Seconds that a client stays with its endpoint.
const AFFINITY_SECONDS: i64 = 10_800;

fn defaults(service: &mut Object) {
    let spec = ensure(&mut service.0, "spec");
    default(spec, "sessionAffinity", "None");
    if text(spec, "sessionAffinity") == "ClientIP" {
        default(
            ensure(ensure(spec, "sessionAffinityConfig"), "clientIP"),
            "timeoutSeconds",
            AFFINITY_SECONDS,
        );
    } else {
        spec.remove("sessionAffinityConfig");
    }
    default(spec, "type", "ClusterIP");
    for port in items_mut(spec, "ports") {
        default(port, "protocol", "TCP");
        let unset = port.get("targetPort").is_none_or(|target| target == 0 || target == "");
        if unset {
            let number = port.get("port").cloned().unwrap_or(Value::Null);
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn validate(service: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let spec = child(&service.0, "spec").unwrap_or(&empty);
    let kind = text(spec, "type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        errors.not_supported("spec.type", kind, &kinds);
    }
    let headless = text(spec, "clusterIP") == "None";
    if count(spec, "ports") == 0 && !headless && kind != "ExternalName" {
        errors.required("spec.ports", "");
    }
    if kind == "LoadBalancer" && headless {
        errors.invalid(
            "spec.clusterIPs[0]",
            "None",
            "may not be set to 'None' for LoadBalancer services",
        );
    }
    if kind == "NodePort" && headless {
        errors.invalid(
            "spec.clusterIPs[0]",
            "None",
            "may not be set to 'None' for NodePort services",
        );
    }
    external_name(spec, kind, errors);
    ports(spec, kind, errors);
    crate::metadata::labels(spec, "selector", "spec.selector", errors);
    policies(spec, kind, errors);
    addresses(spec, errors);
}

fn external_name(spec: &Node, kind: &str, errors: &mut Errors) {
    if kind != "ExternalName" {
        return;
    }
    for field in ["clusterIPs", "ipFamilies"] {
        if count(spec, field) > 0 {
            errors.forbidden(format!("spec.{field}"), "may not be set when `type` is 'ExternalName'");
        }
    }
    match text(spec, "externalName").trim_end_matches('.') {
        "" => errors.required("spec.externalName", ""),
        name => names::dns_subdomain(name)
            .into_iter()
            .for_each(|p| errors.invalid("spec.externalName", name, p)),
    }
}

fn ports(spec: &Node, kind: &str, errors: &mut Errors) {
    let several = count(spec, "ports") > 1;
    let mut seen_names: Vec<&str> = Vec::new();
    let mut seen: Vec<(i64, &str)> = Vec::new();
    for (index, port) in items(spec, "ports").enumerate() {
        let path = format!("spec.ports[{index}]");
        match text(port, "name") {
            "" if several => errors.required(format!("{path}.name"), ""),
            "" => {}
            name => {
                for problem in names::dns_label(name) {
                    errors.invalid(format!("{path}.name"), name, problem);
                }
                if seen_names.contains(&name) {
                    errors.duplicate(format!("{path}.name"), name);
                }
                seen_names.push(name);
            }
        }
        let number = int(port, "port").unwrap_or(0);
        for problem in names::port_number(number) {
            errors.invalid(format!("{path}.port"), number, problem);
        }
        let protocol = text(port, "protocol");
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            errors.not_supported(format!("{path}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
        match port.get("targetPort") {
            Some(Value::String(name)) => {
                for problem in names::port_name(name) {
                    errors.invalid(format!("{path}.targetPort"), name.as_str(), problem);
                }
            }
            other => {
                let target = other.and_then(Value::as_i64).unwrap_or(0);
                for problem in names::port_number(target) {
                    errors.invalid(format!("{path}.targetPort"), target, problem);
                }
            }
        }
        let node_port = int(port, "nodePort").unwrap_or(0);
        if node_port != 0 && matches!(kind, "ClusterIP" | "ExternalName") {
            errors.forbidden(
                format!("{path}.nodePort"),
                format!("may not be used when `type` is '{kind}'"),
            );
        }
        if seen.contains(&(number, protocol)) {
            errors.duplicate(path, json!({"port": number, "protocol": protocol}));
        }
        seen.push((number, protocol));
    }
}

fn policies(spec: &Node, kind: &str, errors: &mut Errors) {
    let affinity = text(spec, "sessionAffinity");
    if !matches!(affinity, "ClientIP" | "None") {
        errors.not_supported("spec.sessionAffinity", affinity, &["ClientIP", "None"]);
    }
    let seconds = at(spec, &["sessionAffinityConfig", "clientIP"]).and_then(|client| int(client, "timeoutSeconds"));
    if let Some(seconds) = seconds.filter(|seconds| !(1..=86_400).contains(seconds)) {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        errors.invalid(field, seconds, "must be greater than 0 and less than 86400");
    }
    let external = text(spec, "externalTrafficPolicy");
    let outside = matches!(kind, "NodePort" | "LoadBalancer") || count(spec, "externalIPs") > 0;
    match external {
        "" => {}
        _ if !outside => {
            errors.invalid(
                "spec.externalTrafficPolicy",
                external,
                "may only be set for externally-accessible services",
            );
        }
        "Cluster" | "Local" => {}
        other => errors.not_supported("spec.externalTrafficPolicy", other, &["Cluster", "Local"]),
    }
    let internal = text(spec, "internalTrafficPolicy");
    if kind != "ExternalName" && !matches!(internal, "Cluster" | "Local") {
        errors.not_supported("spec.internalTrafficPolicy", internal, &["Cluster", "Local"]);
    }
    if kind != "LoadBalancer" {
        for field in [
            "loadBalancerSourceRanges",
            "loadBalancerClass",
            "allocateLoadBalancerNodePorts",
        ] {
            if spec.contains_key(field) {
                errors.forbidden(
                    format!("spec.{field}"),
                    "may only be used when `type` is 'LoadBalancer'",
                );
            }
        }
    }
}

fn addresses(spec: &Node, errors: &mut Errors) {
    let address = text(spec, "clusterIP");
    if !matches!(address, "" | "None") {
        for problem in names::ip_address(address) {
            errors.invalid("spec.clusterIPs[0]", address, problem);
        }
    }
    let first = crate::tree::texts(spec, "clusterIPs").next().unwrap_or_default();
    if !first.is_empty() && first != address {
        errors.invalid(
            "spec.clusterIPs",
            spec["clusterIPs"].clone(),
            "first value must match `clusterIP`",
        );
    }
    for (index, address) in crate::tree::texts(spec, "externalIPs").enumerate() {
        for problem in names::ip_address(address) {
            errors.invalid(format!("spec.externalIPs[{index}]"), address, problem);
        }
    }
}

/// The primary address never changes as long as the service needs one.
fn validate_update(new: &Object, old: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let (after, before) = (
        child(&new.0, "spec").unwrap_or(&empty),
        child(&old.0, "spec").unwrap_or(&empty),
    );
    if text(after, "type") == "ExternalName" || text(before, "type") == "ExternalName" {
        return;
    }
    let address = text(before, "clusterIP");
    if !address.is_empty() && text(after, "clusterIP") != address {
        let shown = after.get("clusterIPs").cloned().unwrap_or(Value::Null);
        errors.invalid("spec.clusterIPs[0]", shown, "may not change once set");
    }
    let families = |spec: &Node| crate::tree::texts(spec, "ipFamilies").next().map(str::to_owned);
    if families(before).is_some() && families(after) != families(before) {
        errors.invalid(
            "spec.ipFamilies[0]",
            after.get("ipFamilies").cloned().unwrap_or(Value::Null),
            "may not change once set",
        );
    }
    if text(before, "type") == "LoadBalancer"
        && text(after, "type") == "LoadBalancer"
        && after.get("loadBalancerClass") != before.get("loadBalancerClass")
    {
        let shown = after.get("loadBalancerClass").cloned().unwrap_or(Value::Null);
        errors.invalid("spec.loadBalancerClass", shown, "may not change once set");
    }
}
