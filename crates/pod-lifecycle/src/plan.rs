//! The next actions for a pod: sandbox, init containers, sidecars, containers, kills, the end. Upstream's
//! computePodActions as one pure function, with the moment at which to look again instead of a periodic sync.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use crate::backoff::BackOff;
use crate::observed::{self, ContainerState, Observed, Sandbox};
use crate::probe::Results;
use crate::spec;

mod initialization;

/// What the agent remembers of a pod between looks. Lost when the agent restarts, as upstream's is.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Probe results by container id.
    pub probes: BTreeMap<String, Results>,
    /// Restart delays by container name.
    pub restarts: BackOff,
    /// Why a container that should run does not, by container name.
    pub waiting: BTreeMap<String, Waiting>,
    /// Not before this moment is a container that failed to start tried again, by container name.
    pub retry_at: BTreeMap<String, Timestamp>,
    /// Set when the node itself ended the pod.
    pub stopped: Option<Stopped>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            probes: BTreeMap::new(),
            restarts: BackOff::of_kubelet(),
            waiting: BTreeMap::new(),
            retry_at: BTreeMap::new(),
            stopped: None,
        }
    }
}

impl Memory {
    /// Results for a container that runs: what was recorded, else the values before the first probe.
    pub fn results(&self, container: &Container, id: &str) -> Results {
        self.probes
            .get(id)
            .copied()
            .unwrap_or_else(|| Results::initial(container))
    }
}

/// A container's `state.waiting`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// `CrashLoopBackOff`, `ErrImagePull`, …
    pub reason: String,
    /// For people.
    pub message: String,
}

/// The node's own verdict that a pod has failed: admission, deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// `status.reason`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
}

/// Why a container is killed though its pod goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillCause {
    /// Its image changed.
    Changed,
    /// Its liveness probe failed.
    Liveness,
    /// Its startup probe failed.
    Startup,
    /// It is a leftover that nobody can say anything about.
    Unknown,
}

/// One thing to do. Actions of one answer are done in their order; then the pod is looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a sandbox.
    CreateSandbox {
        /// 0 for a pod's first.
        attempt: u32,
    },
    /// Stop a sandbox that is no longer usable, with what is in it.
    StopSandbox {
        /// The runtime's id.
        id: String,
    },
    /// Forget a dead container.
    RemoveContainer {
        /// The runtime's id.
        id: String,
    },
    /// Kill one container; the pod goes on.
    Kill {
        /// The runtime's id.
        id: String,
        /// Name in the spec.
        name: String,
        /// Why.
        cause: KillCause,
        /// The text of event `Killing`.
        message: String,
        /// Seconds until SIGKILL.
        grace: i64,
    },
    /// Pull if need be, create and start a container.
    Start {
        /// Name in the spec.
        name: String,
        /// Restart count of the new attempt.
        attempt: u32,
    },
    /// Kill everything, containers first, sidecars in reverse order after them, and stop the sandbox.
    End {
        /// Seconds until SIGKILL.
        grace: i64,
    },
}

/// What to do now, and when to look again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Next {
    /// To be done now, in order.
    pub actions: Vec<Action>,
    /// Look again at this moment.
    pub wake_at: Option<Timestamp>,
    /// Containers held back by restart back-off: name, and what their status says.
    pub held_back: Vec<(String, Waiting)>,
    /// The pod shall not run (any more) and nothing of it runs: its volumes can go, and if it is being deleted, it can be
    /// removed from the API.
    pub ended: bool,
}

impl Next {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// When `spec.activeDeadlineSeconds` runs out, for a pod that has started.
pub fn deadline(pod: &Pod) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let started = pod.status.as_ref()?.start_time.as_ref()?.0;
    Some(started + Duration::from_secs(seconds.max(0).unsigned_abs()))
}

/// The verdict on a pod whose deadline has passed.
pub fn past_deadline(pod: &Pod, now: Timestamp) -> Option<Stopped> {
    deadline(pod).filter(|at| *at <= now).map(|_| Stopped {
        reason: "DeadlineExceeded".to_owned(),
        message: "Pod was active on the node longer than the specified deadline".to_owned(),
    })
}

/// Decides. Call it again whenever the pod, what runs, or a probe result changed, and at `wake_at`.
pub fn next(pod: &Pod, observed: &Observed, memory: &Memory, now: Timestamp) -> Next {
    let Some(spec) = &pod.spec else { return Next::default() };
    if spec::is_deleting(pod) || memory.stopped.is_some() || spec::is_terminal(pod) {
        return end(pod, observed);
    }
    let mut step = Step {
        pod,
        spec,
        observed,
        memory,
        now,
        next: Next::default(),
    };
    if let Some(at) = deadline(pod) {
        step.next.wake(at);
    }
    match usable_sandbox(spec, observed) {
        Some(sandbox) => step.in_sandbox(sandbox),
        None => step.without_sandbox(),
    }
    step.next
}

fn end(pod: &Pod, observed: &Observed) -> Next {
    let busy = observed.running().next().is_some() || observed.sandboxes.iter().any(|sandbox| sandbox.ready);
    if busy {
        let grace = spec::grace_period(pod);
        return Next {
            actions: vec![Action::End { grace }],
            ..Next::default()
        };
    }
    Next {
        ended: true,
        ..Next::default()
    }
}

/// The newest sandbox, if containers can be started in it.
pub fn usable_sandbox<'a>(spec: &PodSpec, observed: &'a Observed) -> Option<&'a Sandbox> {
    observed
        .sandbox()
        .filter(|sandbox| sandbox.ready && (spec::host_network(spec) || !sandbox.ips.is_empty()))
}

struct Step<'a> {
    pod: &'a Pod,
    spec: &'a PodSpec,
    observed: &'a Observed,
    memory: &'a Memory,
    now: Timestamp,
    next: Next,
}

impl Step<'_> {
    fn without_sandbox(&mut self) {
        let attempt = self.observed.sandbox().map_or(0, |sandbox| sandbox.attempt + 1);
        let left: Vec<&Container> = self
            .spec
            .containers
            .iter()
            .filter(|container| self.should_run(container))
            .collect();
        let initialized = self
            .spec
            .containers
            .iter()
            .any(|c| self.observed.latest(&c.name).is_some() || self.ended_before(&c.name).is_some());
        // A pod that is not restarted, or whose containers have all done their work, is only wound up.
        let never = spec::RestartPolicy::of(self.spec) == spec::RestartPolicy::Never;
        let lost = never && attempt != 0 && !self.observed.containers.is_empty();
        if lost || (left.is_empty() && (initialized || self.spec.containers.is_empty())) {
            self.wind_up();
            return;
        }
        if let Some(sandbox) = self.observed.sandbox().filter(|sandbox| sandbox.ready) {
            self.next.actions.push(Action::StopSandbox { id: sandbox.id.clone() });
        }
        for container in self.observed.running() {
            self.next.actions.push(Action::Kill {
                id: container.id.clone(),
                name: container.name.clone(),
                cause: KillCause::Unknown,
                message: "Pod sandbox changed, it will be killed and re-created.".to_owned(),
                grace: 0,
            });
        }
        self.next.actions.push(Action::CreateSandbox { attempt });
    }

    fn in_sandbox(&mut self, sandbox: &Sandbox) {
        self.ephemeral_containers();
        match self.initialize(sandbox) {
            initialization::Progress::Initialized => self.main_containers(sandbox),
            initialization::Progress::Pending => {}
            initialization::Progress::Failed => self.wind_up(),
        }
        self.collect_dead();
    }

    /// Containers for looking at the pod are begun once, whatever state the others are in.
    fn ephemeral_containers(&mut self) {
        let known = self
            .pod
            .status
            .as_ref()
            .and_then(|status| status.ephemeral_container_statuses.as_ref());
        let begun = |name: &str| {
            let told = known
                .into_iter()
                .flatten()
                .any(|status| status.name == name && status.container_id.is_some());
            told || self
                .observed
                .latest(name)
                .is_some_and(|found| found.state != ContainerState::Created)
        };
        let missing: Vec<Container> = spec::ephemeral_containers(self.spec)
            .filter(|container| !begun(&container.name))
            .collect();
        for container in &missing {
            self.start(container);
        }
    }

    fn main_containers(&mut self, sandbox: &Sandbox) {
        let mut alive = 0;
        for container in &self.spec.containers {
            let found = self.observed.latest_in(&sandbox.id, &container.name);
            if let Some(running) = found.filter(|found| found.state == ContainerState::Running) {
                alive += usize::from(!self.kill_if_unhealthy(container, running));
            } else if self.should_run(container) {
                alive += 1;
                self.start(container);
            }
        }
        let killed = self
            .next
            .actions
            .iter()
            .any(|action| matches!(action, Action::Kill { .. }));
        if alive == 0 && !killed {
            self.wind_up();
        }
    }

    /// Whether a container that does not run (or not any more) shall run.
    fn should_run(&self, container: &Container) -> bool {
        match self.observed.latest(&container.name) {
            None => self
                .ended_before(&container.name)
                .is_none_or(|code| spec::restarts_after(self.spec, container, code)),
            Some(found) => match found.state {
                ContainerState::Exited => spec::restarts_after(self.spec, container, found.exit_code),
                ContainerState::Created | ContainerState::Running | ContainerState::Unknown => true,
            },
        }
    }

    /// The exit code that the API remembers of a container which the runtime has forgotten.
    fn ended_before(&self, name: &str) -> Option<i32> {
        let statuses = self.pod.status.as_ref()?.container_statuses.as_ref()?;
        let status = statuses.iter().find(|status| status.name == name)?;
        Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
    }

    /// Pushes a kill if the container changed or a probe gave up on it.
    fn kill_if_unhealthy(&mut self, container: &Container, found: &observed::Container) -> bool {
        let results = self.memory.results(container, &found.id);
        let changed = !found.spec_hash.is_empty() && found.spec_hash != fingerprint(container);
        let (cause, what, probe) = if changed {
            (KillCause::Changed, "definition changed", None)
        } else if results.liveness == Some(false) {
            (
                KillCause::Liveness,
                "failed liveness probe",
                container.liveness_probe.as_ref(),
            )
        } else if results.startup == Some(false) {
            (
                KillCause::Startup,
                "failed startup probe",
                container.startup_probe.as_ref(),
            )
        } else {
            return false;
        };
        let restart = changed || spec::restarts_after(self.spec, container, 137);
        let suffix = if restart { ", will be restarted" } else { "" };
        let grace = probe.and_then(|probe| probe.termination_grace_period_seconds);
        self.next.actions.push(Action::Kill {
            id: found.id.clone(),
            name: container.name.clone(),
            cause,
            message: format!("Container {} {what}{suffix}", container.name),
            grace: grace.or(self.spec.termination_grace_period_seconds).unwrap_or(30),
        });
        true
    }

    /// Starts a container unless it must wait. Answers whether it was started.
    fn start(&mut self, container: &Container) -> bool {
        if let Some(at) = self.memory.retry_at.get(&container.name).filter(|at| **at > self.now) {
            self.next.wake(*at);
            return false;
        }
        let latest = self.observed.latest(&container.name);
        let exited = latest.filter(|found| found.state == ContainerState::Exited);
        if let Some(failed_at) = exited.and_then(|found| found.finished_at)
            && let Some((until, delay)) = self.memory.restarts.wait_after(&container.name, failed_at, self.now)
        {
            self.next.wake(until);
            let message = format!(
                "back-off {} restarting failed container={} pod={}",
                spec::go_duration(delay),
                container.name,
                spec::describe(self.pod)
            );
            let waiting = Waiting {
                reason: "CrashLoopBackOff".to_owned(),
                message,
            };
            self.next.held_back.push((container.name.clone(), waiting));
            return false;
        }
        // A container made but never started, by an agent that died in between, is made again.
        if let Some(stale) = latest.filter(|found| found.state == ContainerState::Created) {
            self.next.actions.push(Action::RemoveContainer { id: stale.id.clone() });
        }
        let attempt = match latest {
            Some(found) if found.state == ContainerState::Created => found.attempt,
            Some(found) => found.attempt + 1,
            None => self.restart_count_before(&container.name),
        };
        self.next.actions.push(Action::Start {
            name: container.name.clone(),
            attempt,
        });
        true
    }

    /// Restart counts never fall, not even when the runtime has lost the containers (a new sandbox after a reboot).
    fn restart_count_before(&self, name: &str) -> u32 {
        let Some(status) = &self.pod.status else { return 0 };
        let lists = [&status.init_container_statuses, &status.container_statuses];
        let mut all = lists.into_iter().flatten().flatten();
        let Some(found) = all.find(|status| status.name == name && status.container_id.is_some()) else {
            return 0;
        };
        u32::try_from(found.restart_count + 1).unwrap_or_default()
    }

    /// Nothing is left to run: what still does is ended. The status turns terminal from what the containers left.
    fn wind_up(&mut self) {
        self.next.actions.clear();
        let ended = end(self.pod, self.observed);
        self.next.actions = ended.actions;
        self.next.ended = ended.ended;
    }

    /// Keeps the newest dead attempt of each container (for `logs --previous`) and removes older ones.
    fn collect_dead(&mut self) {
        let names = spec::init_containers(self.spec).iter().chain(&self.spec.containers);
        for container in names {
            let dead = self.observed.attempts(&container.name);
            let dead = dead.iter().filter(|found| found.state == ContainerState::Exited);
            let removals = dead
                .skip(2)
                .map(|found| Action::RemoveContainer { id: found.id.clone() });
            self.next.actions.extend(removals);
        }
    }
}

/// What a running container is compared by: a change of image restarts it. FNV-1a, stable over releases.
pub fn fingerprint(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let bytes = container.name.bytes().chain([0]).chain(image.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
pub(crate) mod tests;
