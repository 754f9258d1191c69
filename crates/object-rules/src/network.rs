//! Endpoints, slices, ingresses, network policies and their like.

use kube_types::dynamic::{Object, Value, json};

use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{Node, child, child_mut, count, default, ensure, int, items, items_mut, text, texts};

#[cfg(test)]
mod tests;

pub(crate) static ENDPOINTS: Rules = Rules {
    defaults: |endpoints| {
        for subset in items_mut(&mut endpoints.0, "subsets") {
            for port in items_mut(subset, "ports") {
                default(port, "protocol", "TCP");
            }
        }
    },
    warnings: |_| vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()],
    create_on_update: true,
    ..Rules::NAMED
};

pub(crate) static ENDPOINT_SLICE: Rules = Rules {
    defaults: |slice| {
        for port in items_mut(&mut slice.0, "ports") {
            port.entry("name").or_insert_with(|| "".into());
            default(port, "protocol", "TCP");
        }
    },
    validate: |slice, errors| {
        let kind = text(&slice.0, "addressType");
        match kind {
            "" => errors.required("addressType", ""),
            "IPv4" | "IPv6" | "FQDN" => {}
            other => errors.not_supported("addressType", other, &["FQDN", "IPv4", "IPv6"]),
        }
        if count(&slice.0, "endpoints") > 1000 {
            errors.too_many("endpoints", count(&slice.0, "endpoints"), 1000);
        }
        for (index, endpoint) in items(&slice.0, "endpoints").enumerate() {
            if count(endpoint, "addresses") == 0 {
                errors.required(
                    format!("endpoints[{index}].addresses"),
                    "must contain at least 1 address",
                );
            }
            for (at, address) in texts(endpoint, "addresses").enumerate() {
                let problems = if kind == "FQDN" {
                    names::dns_subdomain(address)
                } else {
                    names::ip_address(address)
                };
                for problem in problems {
                    errors.invalid(format!("endpoints[{index}].addresses[{at}]"), address, problem);
                }
            }
        }
    },
    validate_update: |new, old, errors| {
        if text(&new.0, "addressType") != text(&old.0, "addressType") {
            errors.invalid("addressType", text(&new.0, "addressType"), "field is immutable");
        }
    },
    ..Rules::NAMED
};

pub(crate) static INGRESS: Rules = Rules {
    validate: |ingress, errors| {
        let empty = Node::new();
        let spec = child(&ingress.0, "spec").unwrap_or(&empty);
        if count(spec, "rules") == 0 && !spec.contains_key("defaultBackend") {
            errors.invalid(
                "spec",
                Value::Object(spec.clone()),
                "either `defaultBackend` or `rules` must be specified",
            );
        }
        if let Some(default) = child(spec, "defaultBackend") {
            backend(default, "spec.defaultBackend", errors);
        }
        for (index, rule) in items(spec, "rules").enumerate() {
            ingress_rule(rule, &format!("spec.rules[{index}]"), errors);
        }
    },
    generation: true,
    status: true,
    ..Rules::NAMED
};

fn ingress_rule(rule: &Node, path: &str, errors: &mut Errors) {
    let host = text(rule, "host");
    if !host.is_empty() {
        let plain = host.strip_prefix("*.").unwrap_or(host);
        for problem in names::dns_subdomain(plain) {
            errors.invalid(format!("{path}.host"), host, problem);
        }
    }
    let Some(http) = child(rule, "http") else { return };
    if count(http, "paths") == 0 {
        errors.required(format!("{path}.http.paths"), "");
    }
    for (index, entry) in items(http, "paths").enumerate() {
        let at = format!("{path}.http.paths[{index}]");
        let kind = text(entry, "pathType");
        match kind {
            "" => errors.required(format!("{at}.pathType"), "pathType must be specified"),
            "Exact" | "Prefix" => {
                if !text(entry, "path").starts_with('/') {
                    errors.invalid(format!("{at}.path"), text(entry, "path"), "must be an absolute path");
                }
            }
            "ImplementationSpecific" => {}
            other => {
                let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
                errors.not_supported(format!("{at}.pathType"), other, &kinds);
            }
        }
        let empty = Node::new();
        backend(
            child(entry, "backend").unwrap_or(&empty),
            &format!("{at}.backend"),
            errors,
        );
    }
}

/// Where the traffic of a path, or of no path, goes: to a port of a service, or to a resource.
fn backend(backend: &Node, path: &str, errors: &mut Errors) {
    let (service, resource) = (child(backend, "service"), child(backend, "resource"));
    let service = match (service, resource) {
        (Some(_), Some(_)) => return errors.invalid(path, "", "cannot set both resource and service backends"),
        (None, None) => return errors.invalid(path, "", "resource or service backend is required"),
        (None, Some(resource)) => {
            for field in ["kind", "name"] {
                if text(resource, field).is_empty() {
                    errors.required(format!("{path}.resource.{field}"), "");
                }
            }
            return;
        }
        (Some(service), None) => service,
    };
    match text(service, "name") {
        "" => errors.required(format!("{path}.service.name"), ""),
        name => {
            for problem in names::dns1035_label(name) {
                errors.invalid(format!("{path}.service.name"), name, problem);
            }
        }
    }
    let empty = Node::new();
    let port = child(service, "port").unwrap_or(&empty);
    match (text(port, "name"), int(port, "number").unwrap_or(0)) {
        ("", 0) => errors.required(path, "port name or number is required"),
        ("", number) => {
            for problem in names::port_number(number) {
                errors.invalid(format!("{path}.service.port.number"), number, problem);
            }
        }
        (name, 0) => {
            for problem in names::port_name(name) {
                errors.invalid(format!("{path}.service.port.name"), name, problem);
            }
        }
        _ => errors.invalid(path, "", "cannot set both port name & port number"),
    }
}

pub(crate) static INGRESS_CLASS: Rules = Rules {
    defaults: |class| {
        if let Some(parameters) = child_mut(&mut class.0, "spec").and_then(|spec| child_mut(spec, "parameters")) {
            default(parameters, "scope", "Cluster");
        }
    },
    generation: true,
    ..Rules::NAMED
};

pub(crate) static IP_ADDRESS: Rules = Rules {
    name: |name, _| names::ip_address(name),
    ..Rules::NAMED
};

pub(crate) static SERVICE_CIDR: Rules = Rules {
    status: true,
    ..Rules::NAMED
};

pub(crate) static NETWORK_POLICY: Rules = Rules {
    defaults: |policy| {
        let spec = ensure(&mut policy.0, "spec");
        if count(spec, "policyTypes") == 0 {
            let types = if count(spec, "egress") > 0 {
                json!(["Ingress", "Egress"])
            } else {
                json!(["Ingress"])
            };
            spec.insert("policyTypes".to_owned(), types);
        }
        for direction in ["ingress", "egress"] {
            for rule in items_mut(spec, direction) {
                for port in items_mut(rule, "ports") {
                    default(port, "protocol", "TCP");
                }
            }
        }
    },
    validate: network_policy,
    generation: true,
    ..Rules::NAMED
};

fn network_policy(policy: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let spec = child(&policy.0, "spec").unwrap_or(&empty);
    crate::workload::selector(spec.get("podSelector"), "spec.podSelector", errors);
    for (index, kind) in texts(spec, "policyTypes").enumerate() {
        if !matches!(kind, "Ingress" | "Egress") {
            errors.not_supported(format!("spec.policyTypes[{index}]"), kind, &["Egress", "Ingress"]);
        }
    }
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(spec, direction).enumerate() {
            for (at, port) in items(rule, "ports").enumerate() {
                policy_port(port, &format!("spec.{direction}[{index}].ports[{at}]"), errors);
            }
            for (at, peer) in items(rule, peers).enumerate() {
                let path = format!("spec.{direction}[{index}].{peers}[{at}]");
                self::peer(peer, &path, errors);
            }
        }
    }
}

fn policy_port(port: &Node, path: &str, errors: &mut Errors) {
    let protocol = text(port, "protocol");
    let protocols = ["TCP", "UDP", "SCTP"];
    if !protocols.contains(&protocol) {
        errors.not_supported(format!("{path}.protocol"), protocol, &protocols);
    }
    let end = int(port, "endPort");
    match (port.get("port"), end) {
        (Some(Value::Number(_)), _) => {
            let number = int(port, "port").unwrap_or(0);
            for problem in names::port_number(number) {
                errors.invalid(format!("{path}.port"), number, problem);
            }
            if let Some(end) = end.filter(|end| *end < number) {
                errors.invalid(
                    format!("{path}.endPort"),
                    end,
                    "must be greater than or equal to `port`",
                );
            }
            for problem in end.into_iter().flat_map(names::port_number) {
                errors.invalid(format!("{path}.endPort"), end.unwrap_or(0), problem);
            }
        }
        (Some(name), end) => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is non-numeric";
                errors.invalid(format!("{path}.endPort"), end, detail);
            }
            let name = name.as_str().unwrap_or_default();
            for problem in names::port_name(name) {
                errors.invalid(format!("{path}.port"), name, problem);
            }
        }
        (None, Some(end)) => {
            let detail = "may not be specified when `port` is not specified";
            errors.invalid(format!("{path}.endPort"), end, detail);
        }
        (None, None) => {}
    }
}

fn peer(peer: &Node, path: &str, errors: &mut Errors) {
    let selects = peer.contains_key("podSelector") || peer.contains_key("namespaceSelector");
    let block = child(peer, "ipBlock");
    if !selects && block.is_none() {
        errors.required(path, "must specify a peer");
    }
    if selects && block.is_some() {
        errors.forbidden(path, "may not specify both ipBlock and another peer");
    }
    for field in ["podSelector", "namespaceSelector"] {
        crate::workload::selector(peer.get(field), &format!("{path}.{field}"), errors);
    }
    if let Some(block) = block {
        let range = text(block, "cidr");
        let sound = range.split_once('/').is_some_and(|(address, length)| {
            names::ip_address(address).is_empty() && length.parse::<u8>().is_ok_and(|length| length <= 128)
        });
        if range.is_empty() {
            errors.required(format!("{path}.ipBlock.cidr"), "");
        } else if !sound {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.invalid(format!("{path}.ipBlock.cidr"), range, detail);
        }
    }
}
