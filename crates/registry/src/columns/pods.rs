//! Columns of pods.

use jiff::Timestamp;
use kube_types::dynamic::{Map, Value};

use super::{AGE, Column, NAME, Printer, age, at, count, list, name, since, string, text, wide};

const COLUMNS: &[Column] = &[
    NAME,
    text(
        "Ready",
        "The aggregate readiness state of this pod for accepting traffic.",
    ),
    text("Status", "The aggregate status of the containers in this pod."),
    text(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    ),
    AGE,
    wide("IP", "IP address allocated to the pod."),
    wide("Node", "The node the pod is bound to."),
    wide(
        "Nominated Node",
        "The node that the scheduler wants to make room on for the pod.",
    ),
    wide(
        "Readiness Gates",
        "The conditions that must hold besides the readiness of the containers.",
    ),
];

/// Pods.
pub static PODS: Printer = Printer {
    columns: COLUMNS,
    cells,
};

type Node = Map<String, Value>;

/// What the statuses of the containers come to.
#[derive(Default)]
struct Summary {
    reason: String,
    ready: usize,
    restarts: i64,
    last_restart: Option<String>,
}

fn cells(pod: &Node, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    let sidecars = list(pod, &["spec", "initContainers"])
        .iter()
        .filter(|container| is_sidecar(container))
        .count();
    let total = count(pod, &["spec", "containers"]) + sidecars;
    let restarts = match summary.last_restart.filter(|_| summary.restarts != 0) {
        Some(time) => format!("{} ({} ago)", summary.restarts, since(Some(&time.into()), now)),
        None => summary.restarts.to_string(),
    };
    let or_none = |path: &[&str]| match string(pod, path) {
        "" => "<none>".to_owned(),
        text => text.to_owned(),
    };
    vec![
        name(pod),
        format!("{}/{total}", summary.ready).into(),
        summary.reason.into(),
        restarts.into(),
        age(pod, now),
        or_none(&["status", "podIP"]).into(),
        or_none(&["spec", "nodeName"]).into(),
        or_none(&["status", "nominatedNodeName"]).into(),
        gates(pod).into(),
    ]
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn has_condition(pod: &Node, kind: &str) -> bool {
    list(pod, &["status", "conditions"])
        .iter()
        .any(|c| c["type"] == kind && c["status"] == "True")
}

fn gates(pod: &Node) -> String {
    let gates = list(pod, &["spec", "readinessGates"]);
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let met = gates
        .iter()
        .filter(|gate| has_condition(pod, gate["conditionType"].as_str().unwrap_or_default()));
    format!("{}/{}", met.count(), gates.len())
}

/// Source: `printPod`.
fn summarize(pod: &Node) -> Summary {
    let phase = string(pod, &["status", "phase"]);
    let stated = string(pod, &["status", "reason"]);
    let mut summary = Summary {
        reason: if stated.is_empty() { phase } else { stated }.to_owned(),
        ..Summary::default()
    };
    let gated = list(pod, &["status", "conditions"])
        .iter()
        .any(|condition| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated");
    if gated {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let (initializing, sidecars) = init_containers(pod, &mut summary);
    if !initializing || has_condition(pod, "Initialized") {
        (summary.restarts, summary.last_restart) = sidecars;
        containers(pod, &mut summary);
    }
    let deleting = !string(pod, &["metadata", "deletionTimestamp"]).is_empty();
    if deleting && stated == "NodeLost" {
        "Unknown".clone_into(&mut summary.reason);
    } else if deleting && !matches!(phase, "Failed" | "Succeeded") {
        "Terminating".clone_into(&mut summary.reason);
    }
    summary
}

/// Whether init containers still have work to do, and the restarts of those that run along.
fn init_containers(pod: &Node, summary: &mut Summary) -> (bool, (i64, Option<String>)) {
    let specs = list(pod, &["spec", "initContainers"]);
    let mut sidecars = (0, None);
    for (index, status) in list(pod, &["status", "initContainerStatuses"]).iter().enumerate() {
        let sidecar = specs
            .iter()
            .any(|spec| spec["name"] == status["name"] && is_sidecar(spec));
        count_restarts(status, &mut summary.restarts, &mut summary.last_restart);
        if sidecar {
            count_restarts(status, &mut sidecars.0, &mut sidecars.1);
        }
        let (waiting, ended) = (&status["state"]["waiting"], &status["state"]["terminated"]);
        if ended["exitCode"] == 0 {
            continue;
        }
        if sidecar && status["started"] == true {
            summary.ready += usize::from(status["ready"] == true);
            continue;
        }
        let why = waiting["reason"].as_str().unwrap_or_default();
        summary.reason = if ended.is_object() {
            format!("Init:{}", ended_reason(ended))
        } else if !why.is_empty() && why != "PodInitializing" {
            format!("Init:{why}")
        } else {
            format!("Init:{index}/{}", specs.len())
        };
        return (true, sidecars);
    }
    (false, sidecars)
}

fn containers(pod: &Node, summary: &mut Summary) {
    let mut running = false;
    for status in list(pod, &["status", "containerStatuses"]).iter().rev() {
        count_restarts(status, &mut summary.restarts, &mut summary.last_restart);
        let (waiting, ended) = (&status["state"]["waiting"], &status["state"]["terminated"]);
        let why = waiting["reason"].as_str().unwrap_or_default();
        if !why.is_empty() {
            why.clone_into(&mut summary.reason);
        } else if ended.is_object() {
            summary.reason = ended_reason(ended);
        } else if status["ready"] == true && status["state"]["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let ready = has_condition(pod, "Ready");
        if ready { "Running" } else { "NotReady" }.clone_into(&mut summary.reason);
    }
}

fn ended_reason(ended: &Value) -> String {
    match (
        ended["reason"].as_str().unwrap_or_default(),
        ended["signal"].as_i64().unwrap_or(0),
    ) {
        ("", 0) => format!("ExitCode:{}", ended["exitCode"].as_i64().unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn count_restarts(status: &Value, restarts: &mut i64, last: &mut Option<String>) {
    *restarts += status["restartCount"].as_i64().unwrap_or(0);
    let ended = status["lastState"]["terminated"]["finishedAt"].as_str();
    if let Some(ended) = ended.filter(|ended| last.as_deref().is_none_or(|last| last < *ended)) {
        *last = Some(ended.to_owned());
    }
}

/// Names and images of the containers of a template, joined by commas.
pub(super) fn template_containers(object: &Node, path: &[&str]) -> [Value; 2] {
    let containers: Vec<&Value> = at(object, path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    let join = |field: &str| {
        let texts: Vec<&str> = containers
            .iter()
            .filter_map(|container| container[field].as_str())
            .collect();
        Value::from(texts.join(","))
    };
    [join("name"), join("image")]
}
