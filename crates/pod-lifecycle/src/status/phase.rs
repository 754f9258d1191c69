//! The phase of a pod from the states of its containers.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PodSpec, PodStatus};

use super::Context;
use crate::spec::{self, RestartPolicy};

/// Counts over one list of containers.
#[derive(Default)]
struct Count {
    pending_init: usize,
    pending_sidecars: usize,
    failed_init: usize,
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    succeeded: usize,
}

/// What the containers say. `terminal`: none of them will be started again whatever the policy.
pub(super) fn of(pod_spec: &PodSpec, status: &PodStatus, terminal: bool, initialized: bool) -> &'static str {
    let count = count(pod_spec, status);
    let policy = RestartPolicy::of(pod_spec);
    if count.failed_init > 0 && policy == RestartPolicy::Never {
        return "Failed";
    }
    if count.pending_init > 0 || (count.pending_sidecars > 0 && !initialized) || count.waiting > 0 {
        return "Pending";
    }
    if count.running > 0 && count.unknown == 0 {
        return "Running";
    }
    if count.running == 0 && count.stopped > 0 && count.unknown == 0 {
        return stopped(pod_spec, status, policy, &count, terminal);
    }
    "Pending"
}

fn stopped(
    pod_spec: &PodSpec,
    status: &PodStatus,
    policy: RestartPolicy,
    count: &Count,
    terminal: bool,
) -> &'static str {
    let all_succeeded = count.stopped == count.succeeded;
    if terminal {
        return if all_succeeded { "Succeeded" } else { "Failed" };
    }
    let restarts = pod_spec.containers.iter().any(|container| {
        let found = status
            .container_statuses
            .iter()
            .flatten()
            .find(|status| status.name == container.name);
        let code = found.and_then(exit_code);
        code.is_some_and(|code| spec::restarts_after(pod_spec, container, code))
    });
    match policy {
        _ if restarts => "Running",
        RestartPolicy::Always => "Running",
        _ if all_succeeded => "Succeeded",
        _ => "Failed",
    }
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    let of = |state: &Option<ContainerState>| state.as_ref()?.terminated.as_ref().map(|ended| ended.exit_code);
    of(&status.state).or_else(|| of(&status.last_state))
}

fn count(pod_spec: &PodSpec, status: &PodStatus) -> Count {
    let mut count = Count::default();
    let by_name = |list: &Option<Vec<ContainerStatus>>, name: &str| {
        list.iter().flatten().find(|status| status.name == name).cloned()
    };
    for container in spec::init_containers(pod_spec) {
        let found = by_name(&status.init_container_statuses, &container.name);
        if spec::is_sidecar(container) {
            count_sidecar(&mut count, found);
        } else {
            count_init(&mut count, found);
        }
    }
    for container in &pod_spec.containers {
        let Some(found) = by_name(&status.container_statuses, &container.name) else {
            count.unknown += 1;
            continue;
        };
        let (state, last) = (found.state.unwrap_or_default(), found.last_state.unwrap_or_default());
        if state.running.is_some() {
            count.running += 1;
        } else if let Some(ended) = state.terminated.or(state.waiting.as_ref().and(last.terminated)) {
            count.stopped += 1;
            count.succeeded += usize::from(ended.exit_code == 0);
        } else if state.waiting.is_some() {
            count.waiting += 1;
        } else {
            count.unknown += 1;
        }
    }
    count
}

fn count_init(count: &mut Count, found: Option<ContainerStatus>) {
    let Some(found) = found else {
        count.pending_init += 1;
        return;
    };
    let (state, last) = (found.state.unwrap_or_default(), found.last_state.unwrap_or_default());
    let ended = state.terminated.or(state.waiting.as_ref().and(last.terminated));
    match ended {
        Some(ended) if ended.exit_code != 0 => count.failed_init += 1,
        Some(_) => {}
        None => count.pending_init += 1,
    }
}

fn count_sidecar(count: &mut Count, found: Option<ContainerStatus>) {
    let Some(found) = found else {
        count.unknown += 1;
        return;
    };
    let (state, last) = (found.state.unwrap_or_default(), found.last_state.unwrap_or_default());
    if state.running.is_some() {
        count.pending_sidecars += usize::from(found.started != Some(true));
        count.running += 1;
    } else if state.waiting.is_some() && last.terminated.is_none() {
        count.pending_sidecars += 1;
        count.waiting += 1;
    }
}

/// The phase reported: a terminal one never changes, and the node's own verdict is a failure. While containers of a pod
/// that shall end still run, it is not terminal yet.
pub(super) fn settle(old: &PodStatus, context: &Context<'_>, computed: &'static str) -> &'static str {
    match old.phase.as_deref() {
        Some("Succeeded") => return "Succeeded",
        Some("Failed") => return "Failed",
        _ => {}
    }
    if context.memory.stopped.is_some() {
        "Failed"
    } else {
        computed
    }
}
