//! Container statuses: state, last state, restart count, readiness, resources and mounts of each container.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, LinuxContainerUser, PodSpec, PodStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Context, whole_seconds};
use crate::observed::{self, Observed};
use crate::spec;

/// Fills both lists of `status`: init containers in the spec's order, main ones by name, as upstream sorts them.
pub(super) fn fill(
    pod_spec: &PodSpec,
    old: &PodStatus,
    observed: &Observed,
    context: &Context<'_>,
    status: &mut PodStatus,
) {
    let inits = spec::init_containers(pod_spec);
    let reason = if inits.is_empty() {
        "ContainerCreating"
    } else {
        "PodInitializing"
    };
    let one = |container: &Container, old_list: &Option<Vec<ContainerStatus>>, init: bool| {
        let old = old_list.iter().flatten().find(|status| status.name == container.name);
        Writer {
            pod_spec,
            container,
            old,
            observed,
            context,
            init,
            waiting_reason: reason,
        }
        .status()
    };
    if !inits.is_empty() {
        let list = inits
            .iter()
            .map(|container| one(container, &old.init_container_statuses, true))
            .collect();
        status.init_container_statuses = Some(list);
    }
    let mut mains: Vec<ContainerStatus> = pod_spec
        .containers
        .iter()
        .map(|container| one(container, &old.container_statuses, false))
        .collect();
    let ephemeral: Vec<ContainerStatus> = spec::ephemeral_containers(pod_spec)
        .map(|container| ContainerStatus {
            // They take no part in the pod's readiness.
            ready: false,
            started: None,
            ..one(&container, &old.ephemeral_container_statuses, false)
        })
        .collect();
    status.ephemeral_container_statuses = (!ephemeral.is_empty()).then_some(ephemeral);
    mains.sort_by(|left, right| left.name.cmp(&right.name));
    status.container_statuses = Some(mains);
}

struct Writer<'a> {
    pod_spec: &'a PodSpec,
    container: &'a Container,
    old: Option<&'a ContainerStatus>,
    observed: &'a Observed,
    context: &'a Context<'a>,
    init: bool,
    waiting_reason: &'a str,
}

impl Writer<'_> {
    fn status(&self) -> ContainerStatus {
        let attempts = self.observed.attempts(&self.container.name);
        let one_shot = self.init && !spec::is_sidecar(self.container);
        let mut status = match attempts.first() {
            Some(newest) => self.of_attempt(newest),
            None => self.without_attempt(one_shot),
        };
        if let Some(previous) = attempts.get(1) {
            status.last_state = Some(state(previous, self.context.runtime));
        } else if !attempts.is_empty() {
            // The runtime's record of an earlier life may be gone; the API's is kept.
            status.last_state = self.old.and_then(|old| self.last_state_from(old, attempts[0]));
        }
        let exit_code = attempts
            .first()
            .filter(|newest| newest.state == observed::ContainerState::Exited);
        self.waiting(&mut status, exit_code.map(|newest| newest.exit_code), one_shot);
        self.health(&mut status, attempts.first().copied(), one_shot);
        status.volume_mounts = self.mounts();
        status
    }

    fn of_attempt(&self, newest: &observed::Container) -> ContainerStatus {
        let running = newest.state == observed::ContainerState::Running;
        let resources = self.container.resources.clone().unwrap_or_default();
        let requested = resources.requests.clone().filter(|requests| !requests.is_empty());
        ContainerStatus {
            name: self.container.name.clone(),
            image: newest.image.clone(),
            image_id: newest.image_id.clone(),
            container_id: Some(format!("{}://{}", self.context.runtime, newest.id)),
            restart_count: i32::try_from(newest.attempt).unwrap_or(i32::MAX),
            state: Some(state(newest, self.context.runtime)),
            last_state: None,
            allocated_resources: requested.filter(|_| running),
            resources: running.then_some(resources),
            user: newest.user.as_ref().map(|user| ContainerUser {
                linux: Some(LinuxContainerUser {
                    uid: user.uid,
                    gid: user.gid,
                    supplemental_groups: (!user.groups.is_empty()).then(|| user.groups.clone()),
                }),
            }),
            ..ContainerStatus::default()
        }
    }

    /// The runtime knows no attempt: never started, or forgotten.
    fn without_attempt(&self, one_shot: bool) -> ContainerStatus {
        let ended = |old: &ContainerStatus| old.state.as_ref().is_some_and(|state| state.terminated.is_some());
        if let Some(old) = self.old.filter(|old| ended(old) && (one_shot || self.context.ended)) {
            return old.clone();
        }
        let mut status = ContainerStatus {
            name: self.container.name.clone(),
            image: self.container.image.clone().unwrap_or_default(),
            state: Some(waiting(self.waiting_reason, "")),
            restart_count: self.old.map_or(0, |old| old.restart_count),
            last_state: self.old.and_then(|old| old.last_state.clone()),
            ..ContainerStatus::default()
        };
        let was_running = self
            .old
            .and_then(|old| old.state.as_ref()?.running.as_ref().map(|_| old));
        if let Some(old) = was_running {
            let lost = ContainerState {
                terminated: Some(self.lost(old)),
                ..ContainerState::default()
            };
            if self.context.ended {
                status.state = Some(lost)
            } else {
                status.last_state = Some(lost)
            }
            status.container_id.clone_from(&old.container_id);
        }
        status
    }

    fn lost(&self, old: &ContainerStatus) -> ContainerStateTerminated {
        let message = if self.context.ended {
            "The container could not be located when the pod was terminated"
        } else {
            "The container could not be located when the pod was deleted.  The container used to be Running"
        };
        ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: Some(message.to_owned()),
            container_id: old.container_id.clone(),
            ..ContainerStateTerminated::default()
        }
    }

    fn last_state_from(&self, old: &ContainerStatus, newest: &observed::Container) -> Option<ContainerState> {
        let id = format!("{}://{}", self.context.runtime, newest.id);
        let of_newest = |state: &ContainerState| {
            state
                .terminated
                .as_ref()
                .is_some_and(|ended| ended.container_id.as_deref() == Some(id.as_str()))
        };
        let earlier = old
            .state
            .clone()
            .filter(|state| state.terminated.is_some() && !of_newest(state));
        earlier.or_else(|| old.last_state.clone().filter(|state| !of_newest(state)))
    }

    /// A container that shall run and does not is Waiting, for the reason that the agent remembers.
    fn waiting(&self, status: &mut ContainerStatus, exit_code: Option<i32>, one_shot: bool) {
        if self.context.ended || self.context.memory.stopped.is_some() {
            return;
        }
        let Some(reason) = self.context.memory.waiting.get(&self.container.name) else {
            return;
        };
        let state = status.state.clone().unwrap_or_default();
        let done = exit_code
            .is_some_and(|code| (one_shot && code == 0) || !spec::restarts_after(self.pod_spec, self.container, code));
        if state.running.is_some() || done {
            return;
        }
        if state.terminated.is_some() {
            status.last_state = Some(state);
        }
        status.state = Some(waiting(&reason.reason, &reason.message));
    }

    fn health(&self, status: &mut ContainerStatus, newest: Option<&observed::Container>, one_shot: bool) {
        let running = newest.filter(|newest| newest.state == observed::ContainerState::Running);
        let results = running.map(|newest| self.context.memory.results(self.container, &newest.id));
        status.started = Some(results.is_some_and(|results| results.started()));
        status.ready = if one_shot {
            let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
            ended.is_some_and(|ended| ended.exit_code == 0)
        } else {
            results.is_some_and(|results| results.ready())
        };
    }

    fn mounts(&self) -> Option<Vec<VolumeMountStatus>> {
        let mounts = self
            .container
            .volume_mounts
            .as_ref()
            .filter(|mounts| !mounts.is_empty())?;
        let one = |mount: &k8s_openapi::api::core::v1::VolumeMount| VolumeMountStatus {
            name: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
            read_only: mount.read_only.filter(|read_only| *read_only),
            recursive_read_only: (mount.read_only == Some(true)).then(|| {
                mount
                    .recursive_read_only
                    .clone()
                    .unwrap_or_else(|| "Disabled".to_owned())
            }),
            volume_status: None,
        };
        Some(mounts.iter().map(one).collect())
    }
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let waiting = ContainerStateWaiting {
        reason: text(reason),
        message: text(message),
    };
    ContainerState {
        waiting: Some(waiting),
        ..ContainerState::default()
    }
}

fn state(container: &observed::Container, runtime: &str) -> ContainerState {
    let time = |time: Option<Timestamp>| time.map(|time| Time(whole_seconds(time)));
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match container.state {
        observed::ContainerState::Running => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: time(container.started_at),
            }),
            ..ContainerState::default()
        },
        observed::ContainerState::Exited => ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: container.exit_code,
                reason: text(&container.reason),
                message: text(&container.message),
                started_at: time(container.started_at),
                finished_at: time(container.finished_at),
                container_id: Some(format!("{runtime}://{}", container.id)),
                signal: None,
            }),
            ..ContainerState::default()
        },
        observed::ContainerState::Created | observed::ContainerState::Unknown => waiting("", ""),
    }
}
