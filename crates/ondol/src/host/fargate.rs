//! Fargate's pods in a cluster: which there are, and what Fargate's scheduler does to them.

use std::collections::BTreeMap;

use aws_api::host::{ClusterRef, FargateBinding, FargatePod, HostError};
use cluster_lifecycle::fargate::{PROFILE_LABEL, SCHEDULER, unsupported};
use k8s_openapi::api::core::v1::{Binding, Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube_client::{Cache, Selection};
use serde::Serialize;

use super::control_plane::Cluster;
use super::{LocalHost, failed};

/// What a pod's node has.
const CAPACITY: &str = "CapacityProvisioned";
/// Why a pod's logs go nowhere: EKS says so on every pod unless the ConfigMap `aws-observability/aws-logging` is there.
const LOGGING: (&str, &str) = ("Logging", "LoggingDisabled: LOGGING_CONFIGMAP_NOT_FOUND");

/// A patch of a pod's annotations.
#[derive(Debug, Serialize)]
struct Annotate {
    metadata: Annotations,
}

#[derive(Debug, Serialize)]
struct Annotations {
    annotations: BTreeMap<String, String>,
}

/// A patch of a pod's conditions.
#[derive(Debug, Serialize)]
struct Wait {
    status: WaitStatus,
}

#[derive(Debug, Serialize)]
struct WaitStatus {
    conditions: Vec<WaitCondition>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WaitCondition {
    r#type: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
    last_transition_time: Time,
}

fn shown(cluster: &ClusterRef, pod: &Pod) -> Option<FargatePod> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref()?;
    let requests = scheduling::resources::requests(pod);
    let amount = |name: &str| u64::try_from(requests.get(name)).unwrap_or(0);
    let is_going = metadata.deletion_timestamp.is_some();
    Some(FargatePod {
        cluster: cluster.clone(),
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
        profile: metadata.labels.as_ref()?.get(PROFILE_LABEL)?.clone(),
        millicpus: amount("cpu"),
        memory_bytes: amount("memory"),
        unsupported: unsupported(pod),
        waits: spec.node_name.is_none() && !is_going && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty),
    })
}

/// Whether the pod is Fargate's, and not merely labelled so.
fn is_fargates(pod: &Pod) -> bool {
    let scheduler = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref());
    scheduler == Some(SCHEDULER)
}

impl LocalHost {
    /// Fargate's pods. The first call begins to follow them; a cluster without profiles pays nothing.
    pub(super) async fn fargate_pods_of(&self, name: ClusterRef) -> Result<Vec<FargatePod>, HostError> {
        let cluster = self.cluster(&name)?;
        let cache = cluster
            .fargate_pods
            .get_or_init(|| self.follow_fargate(&cluster, &name));
        cache.synced().await;
        let pods = cache.snapshot();
        let own = pods.values().filter(|pod| is_fargates(pod));
        Ok(own.filter_map(|pod| shown(&name, pod)).collect())
    }

    fn follow_fargate(&self, cluster: &Cluster, name: &ClusterRef) -> Cache<Pod> {
        let cache = Cache::start(
            Api::<Pod>::all(cluster.client.clone()),
            Selection::labels(PROFILE_LABEL),
            &cluster.supervisor,
        );
        let (mut changes, events, name) = (cache.changes(), self.fargate_events.clone(), name.clone());
        cluster.supervisor.spawn_until_cancelled("fargate pods", async move {
            loop {
                drop(changes.next().await);
                // Nobody listens before the region has opened; it looks for itself then.
                events.send(name.clone()).ok();
            }
        });
        cache
    }

    /// Gives a pod its node.
    pub(super) async fn bind_to_fargate(&self, binding: FargateBinding) -> Result<(), HostError> {
        let FargateBinding { pod, node, capacity } = binding;
        let object = format!("{}/{}", pod.namespace, pod.name);
        let cluster = self.cluster(&pod.cluster)?;
        let pods = Api::<Pod>::namespaced(cluster.client.clone(), &pod.namespace);
        let annotations = [
            (CAPACITY.to_owned(), capacity),
            (LOGGING.0.to_owned(), LOGGING.1.to_owned()),
        ];
        let annotate = Patch::Merge(Annotate {
            metadata: Annotations {
                annotations: annotations.into(),
            },
        });
        let annotated = pods.patch(&pod.name, &PatchParams::default(), &annotate).await;
        or_gone(annotated).map_err(failed("annotate the pod", &object))?;
        let wanted = Binding {
            metadata: ObjectMeta {
                name: Some(pod.name.clone()),
                uid: Some(pod.uid.clone()),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.clone()),
                ..ObjectReference::default()
            },
        };
        let bound = pods
            .create_subresource::<_, Status>("binding", &pod.name, &PostParams::default(), &wanted)
            .await;
        match or_gone(bound).map_err(failed("bind the pod", &object))? {
            None => Ok(()),
            Some(_) => {
                let message = format!("Successfully assigned {object} to {node}");
                self.tell_pod(&cluster, &pod, "Normal", "Scheduled", message).await
            }
        }
    }

    /// Says on a pod why it waits.
    pub(super) async fn refuse_on_fargate(&self, pod: FargatePod, message: String) -> Result<(), HostError> {
        let object = format!("{}/{}", pod.namespace, pod.name);
        let cluster = self.cluster(&pod.cluster)?;
        let pods = Api::<Pod>::namespaced(cluster.client.clone(), &pod.namespace);
        let wait = Patch::Strategic(Wait {
            status: WaitStatus {
                conditions: vec![WaitCondition {
                    r#type: "PodScheduled",
                    status: "False",
                    reason: "Unschedulable",
                    message: message.clone(),
                    last_transition_time: plan::whole_seconds(self.clock.now()),
                }],
            },
        });
        let told = pods.patch_status(&pod.name, &PatchParams::default(), &wait).await;
        or_gone(told).map_err(failed("set the pod's condition", &object))?;
        self.tell_pod(&cluster, &pod, "Warning", "FailedScheduling", message)
            .await
    }

    /// An event of Fargate's scheduler about a pod.
    async fn tell_pod(
        &self,
        cluster: &Cluster,
        pod: &FargatePod,
        kind: &str,
        reason: &str,
        message: String,
    ) -> Result<(), HostError> {
        let object = format!("{}/{}", pod.namespace, pod.name);
        let now = plan::whole_seconds(self.clock.now());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{}", pod.name, self.random.hex(16))),
                namespace: Some(pod.namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name.clone()),
                namespace: Some(pod.namespace.clone()),
                uid: Some(pod.uid.clone()),
                ..ObjectReference::default()
            },
            type_: Some(kind.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            source: Some(EventSource {
                component: Some(SCHEDULER.to_owned()),
                host: None,
            }),
            reporting_component: Some(SCHEDULER.to_owned()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Event::default()
        };
        let events = Api::<Event>::namespaced(cluster.client.clone(), &pod.namespace);
        let created = events.create(&PostParams::default(), &event).await;
        created
            .map(drop)
            .map_err(failed("tell what became of the pod", &object))
    }
}

/// A pod that is gone, or has its node already, needs nothing.
fn or_gone<T>(outcome: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}
