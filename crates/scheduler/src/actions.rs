//! What the scheduler writes: bindings, the reason why a pod waits, the end of victims, and events about all of it.

use std::sync::Arc;

use clock::Clock;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use kube_types::ObjectKey;
use plan::{EventRecord, object_reference, whole_seconds};
use reconcile_loop::{ComponentLog, LogLine, Recorder};
use scheduling::PodInfo;
use scheduling::preemption::Candidate;

use crate::NAME;

/// A pod was not bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind pod {namespace}/{name} to {node}")]
pub(crate) struct BindError {
    namespace: String,
    name: String,
    node: String,
    source: Box<kube::Error>,
}

impl BindError {
    /// Not if the pod is gone. A conflict may mean that somebody else gave it a node: the watch will say so, and the
    /// pod leaves the queue.
    pub(crate) fn is_worth_retrying(&self) -> bool {
        !matches!(self.source.as_ref(), kube::Error::Api(status) if status.code == 404)
    }
}

/// Writes with the scheduler's identity.
pub(crate) struct Actions {
    client: Client,
    recorder: Recorder,
    clock: Arc<dyn Clock>,
    log: ComponentLog,
}

/// The node that was chosen for a pod.
pub(crate) struct Choice {
    /// Its name.
    pub(crate) node: String,
    /// How many nodes were looked at.
    pub(crate) evaluated: usize,
    /// How many would have done.
    pub(crate) feasible: usize,
}

impl Actions {
    pub(crate) fn new(client: Client, recorder: Recorder, clock: Arc<dyn Clock>, log: ComponentLog) -> Self {
        Self {
            client,
            recorder,
            clock,
            log,
        }
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Puts the pod on the node.
    pub(crate) async fn bind(&self, pod: &PodInfo, choice: &Choice) -> Result<(), BindError> {
        let (namespace, name, node) = (pod.namespace(), name(pod), choice.node.as_str());
        let binding = Binding {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                // The pod that was decided on, and not another one made under its name.
                uid: pod.pod.metadata.uid.clone(),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        };
        let pods = self.pods(namespace);
        let bound = pods
            .create_subresource::<_, Status>("binding", name, &PostParams::default(), &binding)
            .await;
        let regarding = object_reference(pod.pod.as_ref());
        match bound {
            Ok(_) => {
                self.log.info("schedule_one.go:314", || {
                    LogLine::new("Successfully bound pod to node")
                        .with("pod", key(pod))
                        .with("node", node)
                        .with_number("evaluatedNodes", choice.evaluated)
                        .with_number("feasibleNodes", choice.feasible)
                });
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                self.recorder
                    .record(NAME, EventRecord::normal(regarding, "Scheduled", message));
                Ok(())
            }
            Err(source) => {
                let (namespace, name, node) = (namespace.to_owned(), name.to_owned(), node.to_owned());
                let error = BindError {
                    namespace,
                    name,
                    node,
                    source: Box::new(source),
                };
                if error.is_worth_retrying() {
                    self.log.error("schedule_one.go:1090", || {
                        LogLine::new("Error scheduling pod; retrying")
                            .with("err", supervision::error_chain(&error))
                            .with("pod", key(pod))
                    });
                    let message = format!("binding rejected: {}", supervision::error_chain(&error));
                    self.recorder
                        .record(NAME, EventRecord::warning(regarding, "FailedScheduling", message));
                }
                Err(error)
            }
        }
    }

    /// Says why the pod waits: an event each time, a condition when it is news.
    pub(crate) async fn tell(&self, pod: &PodInfo, why: &str) {
        self.log.info("schedule_one.go:1083", || {
            LogLine::new("Unable to schedule pod; no fit; waiting")
                .with("pod", key(pod))
                .with("err", why)
        });
        let regarding = object_reference(pod.pod.as_ref());
        self.recorder
            .record(NAME, EventRecord::warning(regarding, "FailedScheduling", why));
        let conditions = pod.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let known = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == "PodScheduled");
        let is_known = known.is_some_and(|known| known.status == "False" && known.message.as_deref() == Some(why));
        if is_known {
            return;
        }
        let same_status = known.filter(|known| known.status == "False");
        let now = whole_seconds(self.clock.now());
        let condition = PodCondition {
            type_: "PodScheduled".to_owned(),
            status: "False".to_owned(),
            reason: Some("Unschedulable".to_owned()),
            message: Some(why.to_owned()),
            last_transition_time: same_status
                .and_then(|known| known.last_transition_time.clone())
                .or(Some(now)),
            ..PodCondition::default()
        };
        let status = PodStatus {
            conditions: Some(vec![condition]),
            ..PodStatus::default()
        };
        self.patch_status(pod, status).await;
    }

    /// Ends the victims and says for whom. Gives how many were told to end.
    pub(crate) async fn make_room(&self, pod: &PodInfo, candidate: &Candidate) -> u64 {
        let status = PodStatus {
            nominated_node_name: Some(candidate.node.clone()),
            ..PodStatus::default()
        };
        self.patch_status(pod, status).await;
        let mut ended = 0;
        for victim in &candidate.victims {
            let (namespace, name) = (victim.metadata.namespace.as_deref(), victim.metadata.name.as_deref());
            let preconditions = Preconditions {
                uid: victim.metadata.uid.clone(),
                resource_version: None,
            };
            let parameters = DeleteParams {
                preconditions: Some(preconditions),
                ..DeleteParams::default()
            };
            let pods = self.pods(namespace.unwrap_or_default());
            match pods.delete(name.unwrap_or_default(), &parameters).await {
                Ok(_) => {
                    ended += 1;
                    self.log.info("preemption.go:381", || {
                        LogLine::new("Preemptor Pod preempted victim Pod")
                            .with("preemptor", key(pod))
                            .with("victim", ObjectKey::of(victim.as_ref()))
                            .with("node", &candidate.node)
                    });
                    let message = format!("Preempted by pod {} on node {}", pod.uid(), candidate.node);
                    let regarding = object_reference(victim.as_ref());
                    self.recorder
                        .record(NAME, EventRecord::normal(regarding, "Preempted", message));
                }
                Err(error) => {
                    tracing::debug!(error = %supervision::error_chain(&error), victim = name, "victim not ended");
                }
            }
        }
        ended
    }

    async fn patch_status(&self, pod: &PodInfo, status: PodStatus) {
        let patch = Pod {
            status: Some(status),
            ..Pod::default()
        };
        let pods = self.pods(pod.namespace());
        let patched = pods
            .patch_status(name(pod), &PatchParams::default(), &Patch::Strategic(&patch))
            .await;
        // The status is for people; the next attempt writes it again.
        if let Err(error) = patched {
            tracing::debug!(error = %supervision::error_chain(&error), pod = name(pod), "pod status not written");
        }
    }
}

fn key(pod: &PodInfo) -> ObjectKey {
    ObjectKey::of(pod.pod.as_ref())
}

fn name(pod: &PodInfo) -> &str {
    pod.pod.metadata.name.as_deref().unwrap_or_default()
}
