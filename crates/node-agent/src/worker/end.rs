//! Ending containers: hooks, grace, order; and ending a whole pod, which a shorter grace may speed up at any time.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use pod_lifecycle::observed::Observed;
use pod_lifecycle::spec;

use super::{Worker, running};
use crate::agent::Agent;
use crate::events::Kind;
use crate::hooks;

/// However long a preStop hook took, this much is left for the container to end by itself.
const LEAST_GRACE: i64 = 2;

/// Pause after a runtime refused to stop something.
const RETRY: Duration = Duration::from_secs(1);

impl Worker {
    /// Kills one container; its pod goes on.
    pub(super) async fn kill_one(&self, pod: &Pod, id: &str, name: &str, message: &str, grace: i64) {
        let target = Target {
            id: id.to_owned(),
            name: name.to_owned(),
            address: None,
        };
        kill(&self.agent, pod, &target, message, grace, true).await;
    }

    /// Ends everything. Follows the pod meanwhile: reports containers that have ended, and starts over when the grace
    /// period becomes shorter.
    pub(super) async fn end(&mut self, pod: &Arc<Pod>, observed: &Observed, grace: i64) {
        self.probes.stop_killing();
        // A pod always gets a second, as upstream grants it.
        let mut grace = grace.max(1);
        let mut first = true;
        loop {
            let agent = Arc::clone(&self.agent);
            let order = order(pod, observed);
            let mut ending = std::pin::pin!(end_all(&agent, pod, order, observed, grace, first));
            loop {
                tokio::select! {
                    () = &mut ending => return,
                    () = self.inbox.wake.notified() => {
                        if let Ok(observed) = self.agent.runtime.observe(&self.uid).await {
                            self.report(&observed, false);
                        }
                    }
                }
                let asked = spec::grace_period(&self.pod().0).max(1);
                if asked < grace {
                    grace = asked;
                    first = false;
                    break;
                }
            }
        }
    }
}

struct Target {
    id: String,
    name: String,
    address: Option<String>,
}

/// Containers in the groups in which they are ended: main ones together, then sidecars one by one, last started first.
fn order(pod: &Pod, observed: &Observed) -> Vec<Vec<Target>> {
    let Some(pod_spec) = &pod.spec else { return Vec::new() };
    let address = observed
        .sandbox()
        .and_then(|sandbox| sandbox.ips.first())
        .map(ToString::to_string);
    let target = |name: &str| {
        let found = running(observed, name)?;
        Some(Target {
            id: found.id.clone(),
            name: found.name.clone(),
            address: address.clone(),
        })
    };
    let mut groups = vec![
        pod_spec
            .containers
            .iter()
            .filter_map(|container| target(&container.name))
            .collect(),
    ];
    for container in spec::init_containers(pod_spec).iter().rev() {
        groups.push(target(&container.name).into_iter().collect());
    }
    // Older attempts that still run for whatever reason go at the end.
    let listed: Vec<String> = groups
        .iter()
        .flatten()
        .map(|target: &Target| target.id.clone())
        .collect();
    let strays = observed.running().filter(|container| !listed.contains(&container.id));
    groups.push(
        strays
            .map(|one| Target {
                id: one.id.clone(),
                name: one.name.clone(),
                address: None,
            })
            .collect(),
    );
    groups
}

async fn end_all(
    agent: &Agent,
    pod: &Pod,
    groups: Vec<Vec<Target>>,
    observed: &Observed,
    grace: i64,
    with_hooks: bool,
) {
    let started = agent.now();
    for group in groups {
        let used = agent.now().duration_since(started).as_secs();
        let left = (grace - used).max(1);
        let kills = group.iter().map(|target| {
            let message = format!("Stopping container {}", target.name);
            async move { kill(agent, pod, target, &message, left, with_hooks).await }
        });
        join_all(kills).await;
    }
    for sandbox in observed.sandboxes.iter().filter(|sandbox| sandbox.ready) {
        if let Err(error) = agent.runtime.stop_sandbox(&sandbox.id).await {
            let message = format!("error killing pod: {}", error.reason());
            agent.events.pod(pod, None, Kind::Warning, "FailedKillPod", message);
            supervision::sleep(RETRY).await;
        }
    }
}

async fn kill(agent: &Agent, pod: &Pod, target: &Target, message: &str, grace: i64, first: bool) {
    let mut grace = grace;
    let container = pod
        .spec
        .as_ref()
        .and_then(|pod_spec| spec::find(pod_spec, &target.name));
    if first {
        agent
            .events
            .pod(pod, Some(&target.name), Kind::Normal, "Killing", message.to_owned());
        let hook = container
            .as_ref()
            .and_then(|container| container.lifecycle.as_ref()?.pre_stop.as_ref());
        if let (Some(hook), Some(container), false) = (hook, &container, agent.config.simulated) {
            let started = agent.now();
            let limit = Duration::from_secs(grace.max(0).unsigned_abs());
            let run = hooks::run(&agent.runtime, hook, container, &target.id, target.address.as_deref());
            match tokio::time::timeout(limit, run).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let message = format!("PreStopHook failed: {error}");
                    agent
                        .events
                        .pod(pod, Some(&target.name), Kind::Warning, "FailedPreStopHook", message);
                }
                Err(limit) => tracing::info!(container = target.name, %limit, "preStop hook used up the grace period"),
            }
            grace -= agent.now().duration_since(started).as_secs();
            grace = grace.max(LEAST_GRACE);
        }
    }
    if let Err(error) = agent.runtime.stop_container(&target.id, grace).await {
        tracing::warn!(
            container = target.name,
            error = supervision::error_chain(&error),
            "container is not stopped"
        );
        // The plan asks again; a runtime that fails at once must not be asked in a hot loop.
        supervision::sleep(RETRY).await;
    }
}
