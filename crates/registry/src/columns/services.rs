//! Columns of services, endpoints, ingresses and policies.

use kube_types::dynamic::{Map, Value};

use super::{AGE, NAME, Printer, age, at, labels, list, name, selector, string, text, wide};

type Node = Map<String, Value>;

fn or(text: &str, otherwise: &str) -> Value {
    if text.is_empty() { otherwise } else { text }.into()
}

/// Services.
pub static SERVICES: Printer = Printer {
    columns: &[
        NAME,
        text("Type", "How the service is reached."),
        text("Cluster-IP", "Address within the cluster."),
        text("External-IP", "Addresses or names outside of the cluster."),
        text("Port(s)", "Ports, node ports and protocols."),
        AGE,
        wide("Selector", "Labels of the pods behind the service."),
    ],
    cells: |object, now| {
        vec![
            name(object),
            string(object, &["spec", "type"]).into(),
            or(string(object, &["spec", "clusterIP"]), "<none>"),
            external(object).into(),
            ports(object).into(),
            age(object, now),
            labels(at(object, &["spec", "selector"])).into(),
        ]
    },
};

/// Source: `getServiceExternalIP`.
fn external(service: &Node) -> String {
    let listed: Vec<&str> = list(service, &["spec", "externalIPs"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match string(service, &["spec", "type"]) {
        "LoadBalancer" => {
            let mut all = ingress_points(service);
            all.extend(listed.iter().map(|address| (*address).to_owned()));
            if all.is_empty() {
                "<pending>".to_owned()
            } else {
                all.join(",")
            }
        }
        "ExternalName" => string(service, &["spec", "externalName"]).to_owned(),
        "ClusterIP" | "NodePort" if listed.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => listed.join(","),
        _ => "<unknown>".to_owned(),
    }
}

fn ingress_points(object: &Node) -> Vec<String> {
    let points = list(object, &["status", "loadBalancer", "ingress"]).iter();
    points
        .filter_map(|point| point["ip"].as_str().or_else(|| point["hostname"].as_str()))
        .map(str::to_owned)
        .collect()
}

fn ports(service: &Node) -> String {
    let ports: Vec<String> = list(service, &["spec", "ports"])
        .iter()
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or_default();
            match port["nodePort"].as_i64().unwrap_or(0) {
                0 => format!("{}/{protocol}", port["port"]),
                node_port => format!("{}:{node_port}/{protocol}", port["port"]),
            }
        })
        .collect();
    if ports.is_empty() {
        "<none>".to_owned()
    } else {
        ports.join(",")
    }
}

/// Three are shown, the others counted.
fn few(items: &[String]) -> String {
    match items.len() {
        0 => "<none>".to_owned(),
        1..=3 => items.join(","),
        count => format!("{} + {} more...", items[..3].join(","), count - 3),
    }
}

/// Endpoints.
pub static ENDPOINTS: Printer = Printer {
    columns: &[NAME, text("Endpoints", "Addresses and ports behind the service."), AGE],
    cells: |object, now| {
        let mut all = Vec::new();
        for subset in list(object, &["subsets"]) {
            let items = |field: &str| subset[field].as_array().map(Vec::as_slice).unwrap_or_default();
            for address in items("addresses") {
                let ip = address["ip"].as_str().unwrap_or_default();
                if items("ports").is_empty() {
                    all.push(ip.to_owned());
                }
                all.extend(items("ports").iter().map(|port| format!("{ip}:{}", port["port"])));
            }
        }
        vec![name(object), few(&all).into(), age(object, now)]
    },
};

/// Endpoint slices.
pub static ENDPOINT_SLICES: Printer = Printer {
    columns: &[
        NAME,
        text("AddressType", "Family of the addresses."),
        text("Ports", "Ports of the endpoints."),
        text("Endpoints", "Addresses of the endpoints."),
        AGE,
    ],
    cells: |object, now| {
        let ports: Vec<String> = list(object, &["ports"])
            .iter()
            .map(|port| {
                port["port"]
                    .as_i64()
                    .map_or_else(|| "*".to_owned(), |port| port.to_string())
            })
            .collect();
        let addresses: Vec<String> = list(object, &["endpoints"])
            .iter()
            .flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let unset = |text: String| if text == "<none>" { "<unset>".to_owned() } else { text };
        vec![
            name(object),
            string(object, &["addressType"]).into(),
            unset(few(&ports)).into(),
            unset(few(&addresses)).into(),
            age(object, now),
        ]
    },
};

/// Ingresses.
pub static INGRESSES: Printer = Printer {
    columns: &[
        NAME,
        text("Class", "Name of the class."),
        text("Hosts", "Hosts that the rules name."),
        text("Address", "Where the ingress is reached."),
        text("Ports", "Ports of the addresses."),
        AGE,
    ],
    cells: |object, now| {
        let hosts: Vec<String> = list(object, &["spec", "rules"])
            .iter()
            .filter_map(|rule| rule["host"].as_str())
            .map(str::to_owned)
            .collect();
        let hosts = if hosts.is_empty() { "*".to_owned() } else { few(&hosts) };
        let ports = if list(object, &["spec", "tls"]).is_empty() {
            "80"
        } else {
            "80, 443"
        };
        vec![
            name(object),
            or(string(object, &["spec", "ingressClassName"]), "<none>"),
            hosts.into(),
            ingress_points(object).join(",").into(),
            ports.into(),
            age(object, now),
        ]
    },
};

/// Ingress classes.
pub static INGRESS_CLASSES: Printer = Printer {
    columns: &[
        NAME,
        text("Controller", "Controller that is responsible for the class."),
        text("Parameters", "A reference to a resource with additional parameters"),
        AGE,
    ],
    cells: |object, now| {
        let of = |field: &str| string(object, &["spec", "parameters", field]);
        let parameters = match (of("apiGroup"), of("name")) {
            (_, "") => "<none>".to_owned(),
            ("", name) => format!("{}/{name}", of("kind")),
            (group, name) => format!("{}.{group}/{name}", of("kind")),
        };
        vec![
            name(object),
            string(object, &["spec", "controller"]).into(),
            parameters.into(),
            age(object, now),
        ]
    },
};

/// Addresses of services.
pub static IP_ADDRESSES: Printer = Printer {
    columns: &[
        NAME,
        text("ParentRef", "A reference to the object that holds the address."),
        AGE,
    ],
    cells: |object, now| {
        let of = |field: &str| string(object, &["spec", "parentRef", field]);
        let path: Vec<&str> = ["resource", "namespace", "name"]
            .into_iter()
            .map(of)
            .filter(|part| !part.is_empty())
            .collect();
        vec![name(object), path.join("/").into(), age(object, now)]
    },
};

/// Ranges of service addresses.
pub static SERVICE_CIDRS: Printer = Printer {
    columns: &[NAME, text("CIDRs", "Ranges of addresses for services."), AGE],
    cells: |object, now| {
        let ranges: Vec<&str> = list(object, &["spec", "cidrs"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        vec![name(object), ranges.join(",").into(), age(object, now)]
    },
};

/// Network policies.
pub static NETWORK_POLICIES: Printer = Printer {
    columns: &[
        NAME,
        text("Pod-Selector", "Labels of the pods that the policy is about."),
        AGE,
    ],
    cells: |object, now| {
        vec![
            name(object),
            selector(at(object, &["spec", "podSelector"])).into(),
            age(object, now),
        ]
    },
};
