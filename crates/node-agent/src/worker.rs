//! One worker for each pod: it looks (API object, runtime, probe results), decides by pod-lifecycle, acts, reports; and
//! sleeps until something changes or a delay runs out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use pod_lifecycle::observed::{ContainerState, Observed};
use pod_lifecycle::plan::{self, Action, Memory, Next, Waiting};
use pod_lifecycle::probe::{Kind as Probe, Results};
use pod_lifecycle::{spec, status};

use crate::agent::Agent;
use crate::container_config::PodPaths;
use crate::events::Kind;
use crate::probes::Probes;
use crate::status_writer::StatusWriter;

mod end;
mod inbox;
mod setup;
mod start;

pub(crate) use inbox::Inbox;

/// Starts the worker of a pod.
pub(crate) fn spawn(agent: &Arc<Agent>, pod: Pod) {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let name = format!("pod {}", spec::describe(&pod));
    let paths = PodPaths::of(&agent.config, &pod);
    let inbox = Inbox::new(pod);
    agent.add(&uid, Arc::clone(&inbox));
    let worker = Worker::new(Arc::clone(agent), inbox, uid, paths);
    agent.tasks.spawn_until_cancelled(name, worker.run());
}

struct Worker {
    agent: Arc<Agent>,
    inbox: Arc<Inbox>,
    uid: String,
    paths: PodPaths,
    memory: Memory,
    probes: Probes,
    writer: StatusWriter,
    setup: Option<setup::Setup>,
    /// Failures in a row of the sandbox or the volumes.
    failures: u32,
    /// Whether admission has been decided.
    admitted: bool,
    cleaned: bool,
}

/// Whether to go on.
enum Flow {
    /// Look again at once.
    Again,
    /// Sleep until woken or until then.
    Sleep(Option<Timestamp>),
    /// The pod is no more.
    Done,
}

impl Worker {
    fn new(agent: Arc<Agent>, inbox: Arc<Inbox>, uid: String, paths: PodPaths) -> Self {
        let writer = StatusWriter::start(&agent, Arc::clone(&inbox));
        Self {
            probes: Probes::new(Arc::clone(&agent), Arc::clone(&inbox)),
            agent,
            inbox,
            uid,
            paths,
            memory: Memory::default(),
            writer,
            setup: None,
            failures: 0,
            admitted: false,
            cleaned: false,
        }
    }

    async fn run(mut self) {
        loop {
            match self.step().await {
                Flow::Again => {}
                Flow::Done => break,
                Flow::Sleep(None) => self.inbox.wake.notified().await,
                Flow::Sleep(Some(at)) => {
                    let delay = at.duration_since(self.agent.now());
                    let delay = Duration::try_from(delay).unwrap_or(Duration::ZERO);
                    tokio::select! {
                        () = self.inbox.wake.notified() => {}
                        () = supervision::sleep(delay) => {}
                    }
                }
            }
        }
        self.agent.forget(&self.uid);
    }

    /// The pod as the planner shall see it: gone is as good as deleted.
    fn pod(&self) -> (Arc<Pod>, bool) {
        let gone = self.inbox.state().gone;
        let current = self.inbox.current();
        if gone && !spec::is_deleting(&current) {
            let mut pod = Pod::clone(&current);
            pod.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.agent.now()));
            return (Arc::new(pod), true);
        }
        (current, gone)
    }

    async fn step(&mut self) -> Flow {
        let (pod, gone) = self.pod();
        let observed = match self.agent.runtime.observe(&self.uid).await {
            Ok(observed) => observed,
            Err(error) => {
                tracing::warn!(
                    pod = spec::describe(&pod),
                    error = supervision::error_chain(&error),
                    "runtime"
                );
                return self.later();
            }
        };
        self.admit(&pod, &observed);
        self.take_news(&pod, &observed);
        if self.memory.stopped.is_none()
            && let Some(stopped) = plan::past_deadline(&pod, self.agent.now())
        {
            self.agent
                .events
                .pod(&pod, None, Kind::Normal, "DeadlineExceeded", stopped.message.clone());
            self.memory.stopped = Some(stopped);
        }
        let next = plan::next(&pod, &observed, &self.memory, self.agent.now());
        self.note_waiting(&pod, &observed, &next);
        let pod = self.report(&observed, next.ended);
        self.probes.sync(&pod, &observed, &self.memory);
        if next.ended {
            return self.ended(&pod, &observed, gone).await;
        }
        self.act(&pod, &observed, next).await
    }

    /// Takes in probe results, forgets those of containers that no longer run, and refreshes files that have changed.
    fn take_news(&mut self, pod: &Pod, observed: &Observed) {
        let (results, objects_changed) = {
            let mut state = self.inbox.state();
            (
                std::mem::take(&mut state.results),
                std::mem::take(&mut state.objects_changed),
            )
        };
        let running: Vec<&str> = observed.running().map(|container| container.id.as_str()).collect();
        self.memory.probes.retain(|id, _| running.contains(&id.as_str()));
        for container in observed.running() {
            let Some(of_spec) = pod.spec.as_ref().and_then(|spec| spec::find(spec, &container.name)) else {
                continue;
            };
            let known = || self.adopted_results(pod, &of_spec, &container.id);
            if !self.memory.probes.contains_key(&container.id) {
                let results = known();
                self.memory.probes.insert(container.id.clone(), results);
            }
        }
        for (id, probe, result) in results {
            if let Some(results) = self.memory.probes.get_mut(&id) {
                match probe {
                    Probe::Startup => results.startup = Some(result),
                    Probe::Liveness => results.liveness = Some(result),
                    Probe::Readiness => results.readiness = Some(result),
                }
            }
        }
        if objects_changed {
            // What was missing may be there now.
            self.memory.retry_at.clear();
            if let Some(setup) = &mut self.setup {
                setup.stale = true;
            }
        }
    }

    /// A container that an earlier agent left running keeps the readiness which the API knows, until a probe says other.
    fn adopted_results(&self, pod: &Pod, container: &k8s_openapi::api::core::v1::Container, id: &str) -> Results {
        let mut results = Results::initial(container);
        let status = pod.status.as_ref();
        let lists = status.map(|status| [&status.container_statuses, &status.init_container_statuses]);
        let mut all = lists.into_iter().flatten().flatten().flatten();
        let found = all.find(|one| one.container_id.as_deref().is_some_and(|known| known.ends_with(id)));
        if let Some(found) = found {
            if found.started == Some(true) {
                results.startup = Some(true);
            }
            if found.ready {
                results.readiness = Some(true);
            }
        }
        results
    }

    fn note_waiting(&mut self, pod: &Pod, observed: &Observed, next: &Next) {
        for container in observed.running() {
            self.memory.waiting.remove(&container.name);
        }
        for (name, waiting) in &next.held_back {
            if self.memory.waiting.get(name) != Some(waiting) {
                let message = format!(
                    "Back-off restarting failed container {name} in pod {}",
                    spec::describe(pod)
                );
                self.agent
                    .events
                    .pod(pod, Some(name), Kind::Warning, "BackOff", message);
                self.memory.waiting.insert(name.clone(), waiting.clone());
            }
        }
    }

    /// Generates the status and hands it to the writer if it is new. Answers the pod with it.
    fn report(&mut self, observed: &Observed, ended: bool) -> Arc<Pod> {
        let host_ips = self.agent.host_ips();
        let context = status::Context {
            memory: &self.memory,
            host_ips: &host_ips,
            runtime: "ondol",
            now: self.agent.now(),
            ended,
        };
        let (pod, gone) = self.pod();
        // What others have written into the status since is in the API's view, not in ours.
        let mut base = Pod::clone(&pod);
        let seen = self.inbox.seen();
        if let (Some(mine), Some(theirs)) = (&mut base.status, &seen.status) {
            merge_foreign(mine, theirs);
        }
        let fresh = status::generate(&base, observed, &context);
        let known = self.inbox.state().status.replace(fresh.clone());
        let is_news = known.as_ref() != Some(&fresh) && base.status.as_ref() != Some(&fresh);
        let is_lost = !spec::is_terminal(&seen) && self.writer.is_written_over(&seen, &fresh);
        if !gone && (is_news || is_lost) {
            self.writer.write(fresh.clone());
        }
        base.status = Some(fresh);
        Arc::new(base)
    }

    fn later(&mut self) -> Flow {
        self.failures += 1;
        let delay = Duration::from_millis(500 * (1 << self.failures.min(5))).min(Duration::from_secs(10));
        Flow::Sleep(Some(self.agent.now() + delay))
    }

    async fn act(&mut self, pod: &Arc<Pod>, observed: &Observed, next: Next) -> Flow {
        let mut wake_at = self.refresh(pod, observed).await;
        if let Some(at) = next.wake_at {
            wake_at = Some(wake_at.map_or(at, |earlier| earlier.min(at)));
        }
        if next.actions.is_empty() {
            return Flow::Sleep(wake_at);
        }
        for action in next.actions {
            let stopping = self.inbox.stopping.is_cancelled() && !matches!(action, Action::End { .. });
            if stopping {
                break;
            }
            if !self.perform(pod, observed, action).await {
                return self.later();
            }
        }
        Flow::Again
    }

    /// Does one action; answers whether the pod shall be looked at again at once.
    async fn perform(&mut self, pod: &Arc<Pod>, observed: &Observed, action: Action) -> bool {
        let result = match action {
            Action::CreateSandbox { attempt } => return self.create_sandbox(pod, attempt).await,
            Action::Start { name, attempt } => {
                self.start_container(pod, observed, &name, attempt).await;
                return true;
            }
            Action::End { grace } => {
                self.end(pod, observed, grace).await;
                return true;
            }
            Action::Kill {
                id,
                name,
                message,
                grace,
                ..
            } => {
                self.kill_one(pod, &id, &name, &message, grace).await;
                return true;
            }
            Action::StopSandbox { id } => {
                let message = "Pod sandbox changed, it will be killed and re-created.".to_owned();
                self.agent
                    .events
                    .pod(pod, None, Kind::Normal, "SandboxChanged", message);
                self.agent.runtime.stop_sandbox(&id).await
            }
            Action::RemoveContainer { id } => self.agent.runtime.remove_container(&id).await,
        };
        if let Err(error) = &result {
            tracing::warn!(
                pod = spec::describe(pod),
                error = supervision::error_chain(error),
                "runtime"
            );
        }
        result.is_ok()
    }

    /// Nothing runs any more: the volumes go; if the pod is being deleted, its containers, its logs and the API object.
    async fn ended(&mut self, pod: &Arc<Pod>, observed: &Observed, gone: bool) -> Flow {
        self.probes.stop();
        if !self.cleaned {
            if let Err(error) = crate::volumes::tear_down(&self.paths.dir) {
                tracing::warn!(
                    pod = spec::describe(pod),
                    error = supervision::error_chain(&error),
                    "volumes"
                );
                return self.later();
            }
            self.setup = None;
            self.cleaned = true;
        }
        if !spec::is_deleting(pod) {
            return Flow::Sleep(None);
        }
        for sandbox in &observed.sandboxes {
            if let Err(error) = self.agent.runtime.remove_sandbox(&sandbox.id).await {
                tracing::warn!(
                    pod = spec::describe(pod),
                    error = supervision::error_chain(&error),
                    "runtime"
                );
                return self.later();
            }
        }
        if !gone {
            self.writer.flush().await;
            if let Err(error) = crate::status_writer::delete(&self.agent.client, pod).await {
                tracing::warn!(
                    pod = spec::describe(pod),
                    error = supervision::error_chain(&error),
                    "final delete"
                );
                return self.later();
            }
        }
        if let Err(error) = std::fs::remove_dir_all(&self.paths.logs)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.paths.logs.display(), %error, "logs of a deleted pod");
        }
        Flow::Done
    }

    /// Refuses a pod that does not fit, as the kubelet's own admission does; only ever before it has run.
    fn admit(&mut self, pod: &Pod, observed: &Observed) {
        if std::mem::replace(&mut self.admitted, true) || spec::is_deleting(pod) || spec::is_terminal(pod) {
            return;
        }
        let ran = !observed.sandboxes.is_empty() || pod.status.as_ref().is_some_and(|s| s.container_statuses.is_some());
        if ran {
            return;
        }
        if let Err(refusal) = crate::admission::check(&self.agent.config.capacity, pod, &self.agent.pods()) {
            self.agent
                .events
                .pod(pod, None, Kind::Warning, refusal.reason, refusal.message.clone());
            self.memory.stopped = Some(plan::Stopped {
                reason: refusal.reason.to_owned(),
                message: refusal.message,
            });
        }
    }

    /// Remembers why a container does not start.
    fn wait(&mut self, name: &str, waiting: Waiting, retry_at: Timestamp) {
        self.memory.waiting.insert(name.to_owned(), waiting);
        self.memory.retry_at.insert(name.to_owned(), retry_at);
    }
}

/// Conditions that are not the node's, and the nominated node, as the API has them.
fn merge_foreign(mine: &mut PodStatus, theirs: &PodStatus) {
    const OURS: [&str; 5] = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ];
    let own = |kind: &str| OURS.contains(&kind);
    let conditions = mine.conditions.get_or_insert_default();
    conditions.retain(|condition| own(&condition.type_));
    conditions.extend(
        theirs
            .conditions
            .iter()
            .flatten()
            .filter(|condition| !own(&condition.type_))
            .cloned(),
    );
    mine.nominated_node_name.clone_from(&theirs.nominated_node_name);
    mine.resize.clone_from(&theirs.resize);
}

/// Containers of a pod that run, by name.
fn running<'a>(observed: &'a Observed, name: &str) -> Option<&'a pod_lifecycle::observed::Container> {
    observed
        .latest(name)
        .filter(|container| container.state == ContainerState::Running)
}
