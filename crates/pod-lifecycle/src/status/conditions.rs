//! Pod conditions: PodReadyToStartContainers, Initialized, Ready, ContainersReady, PodScheduled, and what others wrote.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{condition, whole_seconds};
use crate::spec;

struct Verdict {
    status: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes() -> Self {
        Self {
            status: true,
            reason: "",
            message: String::new(),
        }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Self {
            status: false,
            reason,
            message,
        }
    }
}

const OURS: [&str; 5] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
];

/// All conditions; a condition's transition time moves only when its status does.
pub(super) fn generate(
    pod: &Pod,
    old: &PodStatus,
    status: &PodStatus,
    sandbox_ready: bool,
    now: Timestamp,
) -> Vec<PodCondition> {
    let Some(pod_spec) = &pod.spec else { return Vec::new() };
    let sandbox = if sandbox_ready {
        Verdict::yes()
    } else {
        Verdict::no("", String::new())
    };
    let verdicts = [
        ("PodReadyToStartContainers", sandbox),
        ("Initialized", initialized(pod_spec, status)),
        ("Ready", ready(pod_spec, old, status)),
        ("ContainersReady", containers_ready(pod_spec, status)),
        ("PodScheduled", Verdict::yes()),
    ];
    let ours = verdicts
        .into_iter()
        .map(|(kind, verdict)| stamp(kind, verdict, old, pod.metadata.generation, now));
    let foreign = old
        .conditions
        .iter()
        .flatten()
        .filter(|condition| !OURS.contains(&condition.type_.as_str()))
        .cloned();
    ours.chain(foreign).collect()
}

fn stamp(kind: &str, verdict: Verdict, old: &PodStatus, generation: Option<i64>, now: Timestamp) -> PodCondition {
    let status = if verdict.status { "True" } else { "False" };
    let before = condition(old, kind).filter(|before| before.status == status);
    let since = before.and_then(|before| before.last_transition_time.clone());
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: (!verdict.reason.is_empty()).then(|| verdict.reason.to_owned()),
        message: (!verdict.message.is_empty()).then_some(verdict.message),
        last_transition_time: Some(since.unwrap_or_else(|| Time(whole_seconds(now)))),
        observed_generation: generation,
        last_probe_time: None,
    }
}

/// Whether initialization is over: condition Initialized.
pub(super) fn is_initialized(pod_spec: &PodSpec, status: &PodStatus) -> bool {
    initialized(pod_spec, status).status
}

fn initialized(pod_spec: &PodSpec, status: &PodStatus) -> Verdict {
    let inits = spec::init_containers(pod_spec);
    // Once a main container has started, initialization is never undone by a sidecar that restarts.
    let any_main = status.container_statuses.iter().flatten().any(|status| {
        let ended = |state: &Option<_>| {
            state
                .as_ref()
                .is_some_and(|s: &k8s_openapi::api::core::v1::ContainerState| {
                    s.running.is_some() || s.terminated.is_some()
                })
        };
        ended(&status.state) || ended(&status.last_state)
    });
    if inits.is_empty() || any_main {
        return completed_or(status, Verdict::yes());
    }
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in inits {
        match status
            .init_container_statuses
            .iter()
            .flatten()
            .find(|status| status.name == container.name)
        {
            None => unknown.push(container.name.as_str()),
            Some(found) if spec::is_sidecar(container) && found.started == Some(true) => {}
            Some(found) if !spec::is_sidecar(container) && found.ready => {}
            Some(_) => incomplete.push(container.name.as_str()),
        }
    }
    if unknown.is_empty() && incomplete.is_empty() {
        return completed_or(status, Verdict::yes());
    }
    Verdict::no("ContainersNotInitialized", lists(&unknown, "incomplete", &incomplete))
}

fn completed_or(status: &PodStatus, otherwise: Verdict) -> Verdict {
    if status.phase.as_deref() == Some("Succeeded") {
        return Verdict {
            status: true,
            reason: "PodCompleted",
            message: String::new(),
        };
    }
    otherwise
}

/// Messages as Go prints lists: `containers with unready status: [a b]`.
fn lists(unknown: &[&str], word: &str, found: &[&str]) -> String {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: [{}]", unknown.join(" ")));
    }
    if !found.is_empty() {
        parts.push(format!("containers with {word} status: [{}]", found.join(" ")));
    }
    parts.join(", ")
}

fn containers_ready(pod_spec: &PodSpec, status: &PodStatus) -> Verdict {
    let sidecars = spec::init_containers(pod_spec)
        .iter()
        .filter(|container| spec::is_sidecar(container));
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    let lists_of = [
        (&status.init_container_statuses, true),
        (&status.container_statuses, false),
    ];
    let find = |name: &str, init: bool| -> Option<&ContainerStatus> {
        let (list, _) = lists_of.iter().find(|(_, of_init)| *of_init == init)?;
        list.iter().flatten().find(|status| status.name == name)
    };
    let all = sidecars
        .map(|container| (container, true))
        .chain(pod_spec.containers.iter().map(|c| (c, false)));
    for (container, init) in all {
        match find(&container.name, init) {
            None => unknown.push(container.name.as_str()),
            Some(found) if !found.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    match status.phase.as_deref() {
        Some("Succeeded") if unknown.is_empty() => return Verdict::no("PodCompleted", String::new()),
        Some("Failed") => return Verdict::no("PodFailed", String::new()),
        _ => {}
    }
    if unknown.is_empty() && unready.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ContainersNotReady", lists(&unknown, "unready", &unready))
}

fn ready(pod_spec: &PodSpec, old: &PodStatus, status: &PodStatus) -> Verdict {
    let containers = containers_ready(pod_spec, status);
    if !containers.status {
        return containers;
    }
    let mut missing = Vec::new();
    for gate in pod_spec.readiness_gates.iter().flatten() {
        match condition(old, &gate.condition_type) {
            None => missing.push(format!(
                "corresponding condition of pod readiness gate {:?} does not exist.",
                gate.condition_type
            )),
            Some(found) if found.status != "True" => missing.push(format!(
                "the status of pod readiness gate {:?} is not \"True\", but {}",
                gate.condition_type, found.status
            )),
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        Verdict::yes()
    } else {
        Verdict::no("ReadinessGatesNotReady", missing.join(", "))
    }
}
