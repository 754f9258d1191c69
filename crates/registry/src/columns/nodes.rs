//! Columns of nodes.

use jiff::Timestamp;
use kube_types::dynamic::{Map, Value};

use super::{AGE, Column, NAME, Printer, age, at, list, name, string, text, truth, wide};

const COLUMNS: &[Column] = &[
    NAME,
    text("Status", "The status of the node"),
    text("Roles", "The roles of the node"),
    AGE,
    text("Version", "Kubelet Version reported by the node."),
    wide("Internal-IP", "The node's address within the cluster."),
    wide("External-IP", "The node's address outside of the cluster."),
    wide(
        "OS-Image",
        "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
    ),
    wide(
        "Kernel-Version",
        "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
    ),
    wide(
        "Container-Runtime",
        "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
    ),
];

/// Nodes.
pub static NODES: Printer = Printer {
    columns: COLUMNS,
    cells,
};

const ROLE: &str = "node-role.kubernetes.io/";

fn cells(node: &Map<String, Value>, now: Timestamp) -> Vec<Value> {
    let ready = list(node, &["status", "conditions"])
        .iter()
        .find(|condition| condition["type"] == "Ready");
    let mut status = match ready {
        Some(condition) if condition["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if truth(node, &["spec", "unschedulable"]) {
        status.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let found = list(node, &["status", "addresses"])
            .iter()
            .find(|address| address["type"] == kind);
        Value::from(
            found
                .and_then(|address| address["address"].as_str())
                .unwrap_or("<none>"),
        )
    };
    let info = |field: &str| match string(node, &["status", "nodeInfo", field]) {
        "" => "<unknown>".to_owned(),
        text => text.to_owned(),
    };
    vec![
        name(node),
        status.into(),
        roles(node).into(),
        age(node, now),
        string(node, &["status", "nodeInfo", "kubeletVersion"]).into(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}

fn roles(node: &Map<String, Value>) -> String {
    let labels = at(node, &["metadata", "labels"]).and_then(Value::as_object);
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix(ROLE) {
            Some("") | None => value
                .as_str()
                .filter(|role| key == "kubernetes.io/role" && !role.is_empty()),
            role => role,
        })
        .collect();
    roles.sort_unstable();
    if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.join(",")
    }
}
