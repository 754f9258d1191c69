//! Pod statuses on their way to the API: always the newest, in order, without holding up the worker.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde::Serialize;
use supervision::TaskHandle;
use tokio::sync::watch;

use crate::agent::Agent;
use crate::worker::Inbox;

/// Writes the statuses of one pod.
pub(crate) struct StatusWriter {
    newest: watch::Sender<(u64, PodStatus)>,
    written: watch::Receiver<Written>,
    task: TaskHandle,
}

/// What is in the API.
#[derive(Clone, Copy)]
struct Written {
    /// The status, by the order in which they were handed over.
    number: u64,
    /// The pod's resource version with it; none for a status that the API server did not take.
    version: Option<u64>,
}

#[derive(Debug, Serialize)]
struct StatusPatch<'a, T> {
    metadata: Identity<'a>,
    status: T,
}

/// A patch for a pod of the same name with another UID must not land.
#[derive(Debug, Serialize)]
struct Identity<'a> {
    uid: &'a str,
}

/// A status with its conditions written so that strategic merge leaves nothing of older ones behind.
#[derive(Debug, Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    rest: &'a PodStatus,
    conditions: Vec<Condition<'a>>,
}

/// What is absent is said to be: a merge would keep the reason for which a pod was once not ready.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Condition<'a> {
    r#type: &'a str,
    status: &'a str,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    last_transition_time: &'a Option<Time>,
    last_probe_time: &'a Option<Time>,
    observed_generation: Option<i64>,
}

impl<'a> Condition<'a> {
    fn of(condition: &'a PodCondition) -> Self {
        Self {
            r#type: &condition.type_,
            status: &condition.status,
            reason: condition.reason.as_deref(),
            message: condition.message.as_deref(),
            last_transition_time: &condition.last_transition_time,
            last_probe_time: &condition.last_probe_time,
            observed_generation: condition.observed_generation,
        }
    }
}

/// Strategic merge keeps addresses that are not named: a new sandbox's must replace the old.
#[derive(Debug, Serialize)]
struct DropAddresses {
    #[serde(rename = "podIPs")]
    pod_ips: [Directive; 1],
}

#[derive(Debug, Serialize)]
struct Directive {
    #[serde(rename = "$patch")]
    patch: &'static str,
}

impl StatusWriter {
    pub(crate) fn start(agent: &Arc<Agent>, inbox: Arc<Inbox>) -> Self {
        let (newest, queue) = watch::channel((0, PodStatus::default()));
        let (done, written) = watch::channel(Written {
            number: 0,
            version: Some(0),
        });
        let pod = inbox.current();
        let meta = &pod.metadata;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let target = Target {
            api: Api::namespaced(agent.client.clone(), &text(&meta.namespace)),
            name: text(&meta.name),
            uid: text(&meta.uid),
            addresses: pod
                .status
                .as_ref()
                .and_then(|status| status.pod_ips.clone())
                .unwrap_or_default(),
            inbox,
        };
        let name = format!("status of {}/{}", text(&meta.namespace), target.name);
        let task = agent.tasks.spawn_until_cancelled(name, target.run(queue, done));
        Self { newest, written, task }
    }

    /// Hands over a status; an older one that has not been sent yet is skipped.
    pub(crate) fn write(&self, status: PodStatus) {
        self.newest.send_modify(|slot| *slot = (slot.0 + 1, status));
    }

    /// Waits until the newest status is in the API (or cannot be, because the pod is gone).
    pub(crate) async fn flush(&self) {
        let wanted = self.newest.borrow().0;
        let mut written = self.written.clone();
        if written.wait_for(|done| done.number >= wanted).await.is_err() {
            tracing::debug!("status writer ended");
        }
    }

    /// Whether somebody has written over the newest status, as the controller does that calls the pods of a silent node
    /// unready: the API shows a later version with something else.
    pub(crate) fn is_written_over(&self, seen: &Pod, status: &PodStatus) -> bool {
        let written = *self.written.borrow();
        let is_later = written.version.is_some_and(|version| version_of(seen) > version);
        let is_newest = self.newest.borrow().0 == written.number;
        is_later && is_newest && seen.status.as_ref().map(in_order) != Some(in_order(status))
    }
}

/// A status with its conditions in an order that does not depend on who added them when.
fn in_order(status: &PodStatus) -> PodStatus {
    let mut status = status.clone();
    if let Some(conditions) = &mut status.conditions {
        conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    }
    status
}

fn version_of(pod: &Pod) -> u64 {
    let version = pod.metadata.resource_version.as_deref();
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}

impl Drop for StatusWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long a status that only says "coming up" waits for a better one.
const COMING_UP: Duration = Duration::from_millis(40);

/// The steps of a pod that comes up follow each other within milliseconds; written one by one, they would only stand in
/// the way of the one that counts, that it runs. Everything else is written at once.
async fn let_it_come_up(queue: &mut watch::Receiver<(u64, PodStatus)>) {
    while is_coming_up(&queue.borrow_and_update().1) {
        match tokio::time::timeout(COMING_UP, queue.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

fn is_coming_up(status: &PodStatus) -> bool {
    let usual = |reason: &str| matches!(reason, "ContainerCreating" | "PodInitializing");
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let mut waiting = lists
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|one| one.state.as_ref()?.waiting.as_ref());
    status.phase.as_deref() == Some("Pending") && waiting.all(|waiting| waiting.reason.as_deref().is_none_or(usual))
}

struct Target {
    api: Api<Pod>,
    name: String,
    uid: String,
    addresses: Vec<k8s_openapi::api::core::v1::PodIP>,
    inbox: Arc<Inbox>,
}

impl Target {
    async fn run(mut self, mut queue: watch::Receiver<(u64, PodStatus)>, done: watch::Sender<Written>) {
        let mut failures = 0u32;
        while queue.changed().await.is_ok() {
            let_it_come_up(&mut queue).await;
            loop {
                let (number, status) = queue.borrow_and_update().clone();
                match self.patch(&status).await {
                    Ok(version) => {
                        done.send_replace(Written { number, version });
                        // What was seen while this was under way could not be judged.
                        if version.is_some_and(|version| version_of(&self.inbox.seen()) > version) {
                            self.inbox.look();
                        }
                        failures = 0;
                        break;
                    }
                    Err(error) => {
                        failures += 1;
                        let error = supervision::error_chain(&error);
                        tracing::warn!(pod = self.name, error, "status not written; trying again");
                        let pause = Duration::from_millis(50 << failures.min(4));
                        supervision::sleep(pause).await;
                    }
                }
            }
        }
    }

    /// Answers the pod's version with this status.
    async fn patch(&mut self, status: &PodStatus) -> Result<Option<u64>, kube::Error> {
        let identity = || Identity { uid: &self.uid };
        let addresses = status.pod_ips.clone().unwrap_or_default();
        if !self.addresses.is_empty() && self.addresses != addresses {
            let drop = DropAddresses {
                pod_ips: [Directive { patch: "replace" }],
            };
            let patch = StatusPatch {
                metadata: identity(),
                status: drop,
            };
            self.send(&patch).await?;
        }
        let rest = PodStatus {
            conditions: None,
            ..status.clone()
        };
        let conditions = status.conditions.iter().flatten().map(Condition::of).collect();
        let body = Body {
            rest: &rest,
            conditions,
        };
        let sent = StatusPatch {
            metadata: identity(),
            status: body,
        };
        let version = self.send(&sent).await?;
        self.addresses = addresses;
        Ok(version)
    }

    async fn send<T: Serialize + std::fmt::Debug>(
        &self,
        patch: &StatusPatch<'_, T>,
    ) -> Result<Option<u64>, kube::Error> {
        let result = self
            .api
            .patch_status(&self.name, &PatchParams::default(), &Patch::Strategic(patch))
            .await;
        match result {
            // Gone, or another pod of this name: there is nobody left to report on.
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => Ok(None),
            Err(kube::Error::Api(answer)) if answer.code == 422 => {
                tracing::error!(
                    pod = self.name,
                    answer = answer.message,
                    "the API server refuses a pod status"
                );
                Ok(None)
            }
            other => other.map(|pod| Some(version_of(&pod))),
        }
    }
}

/// The final deletion, by which the node says that nothing of the pod is left here.
pub(crate) async fn delete(client: &kube::Client, pod: &Pod) -> Result<(), kube::Error> {
    let meta = &pod.metadata;
    let api: Api<Pod> = Api::namespaced(client.clone(), meta.namespace.as_deref().unwrap_or("default"));
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions {
            uid: meta.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match api.delete(meta.name.as_deref().unwrap_or_default(), &params).await {
        Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => Ok(()),
        other => other.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_say_what_they_no_longer_have() {
        let status: PodStatus =
            serde_json::from_str(r#"{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}"#).unwrap();
        let rest = PodStatus {
            conditions: None,
            ..status.clone()
        };
        let conditions = status.conditions.iter().flatten().map(Condition::of).collect();
        assert_eq!(
            serde_json::to_string(&Body {
                rest: &rest,
                conditions
            })
            .unwrap(),
            r#"{"phase":"Running","conditions":[{"type":"Ready","status":"True","reason":null,"message":null,"lastTransitionTime":null,"lastProbeTime":null,"observedGeneration":null}]}"#
        );
    }
}
