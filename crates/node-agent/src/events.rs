//! Events of pods and of the node, counted up when they repeat, sent by one task in their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use supervision::Supervisor;
use tokio::sync::mpsc;

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Normal,
    Warning,
}

/// Events that may wait to be sent; more are dropped rather than kept in memory.
const QUEUE: usize = 256;
/// Events remembered to be counted up.
const REMEMBERED: usize = 256;

/// Cheap to clone; recording never waits.
#[derive(Clone)]
pub(crate) struct Recorder {
    queue: mpsc::Sender<Occurrence>,
    clock: Arc<dyn Clock>,
}

struct Occurrence {
    about: ObjectReference,
    kind: Kind,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

impl Recorder {
    pub(crate) fn start(node: &str, client: kube::Client, clock: Arc<dyn Clock>, tasks: &Supervisor) -> Self {
        let (queue, occurrences) = mpsc::channel(QUEUE);
        let sender = Sender {
            client,
            node: node.to_owned(),
            newest: 0,
            seen: BTreeMap::new(),
        };
        tasks.spawn_until_cancelled("events", sender.run(occurrences));
        Self { queue, clock }
    }

    /// An event of a pod, or of one of its containers.
    pub(crate) fn pod(&self, pod: &Pod, container: Option<&str>, kind: Kind, reason: &'static str, message: String) {
        let init = |name: &str| {
            let spec = pod.spec.as_ref();
            spec.is_some_and(|spec| {
                pod_lifecycle::spec::init_containers(spec)
                    .iter()
                    .any(|c| c.name == name)
            })
        };
        let list = |name: &str| if init(name) { "initContainers" } else { "containers" };
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            resource_version: pod.metadata.resource_version.clone(),
            field_path: container.map(|name| format!("spec.{}{{{name}}}", list(name))),
        };
        self.push(about, kind, reason, message);
    }

    /// An event of the node itself.
    pub(crate) fn node(&self, node: &Node, kind: Kind, reason: &'static str, message: String) {
        // Upstream's kubelet names itself, not the object's UID.
        let about = ObjectReference {
            kind: Some("Node".to_owned()),
            name: node.metadata.name.clone(),
            uid: node.metadata.name.clone(),
            ..ObjectReference::default()
        };
        self.push(about, kind, reason, message);
    }

    fn push(&self, about: ObjectReference, kind: Kind, reason: &'static str, message: String) {
        let occurrence = Occurrence {
            about,
            kind,
            reason,
            message,
            at: self.clock.now(),
        };
        if let Err(full) = self.queue.try_send(occurrence) {
            tracing::debug!(%full, reason, "event dropped");
        }
    }
}

type Identity = (Option<String>, Option<String>, Kind, &'static str, String);

struct Sender {
    client: kube::Client,
    node: String,
    /// The number in the newest event's name: names sort in the order in which things happened.
    newest: i128,
    /// Name and count of events already sent.
    seen: BTreeMap<Identity, (String, i32)>,
}

/// What changes when an event repeats.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Repeat {
    count: i32,
    last_timestamp: Time,
}

impl Sender {
    async fn run(mut self, mut occurrences: mpsc::Receiver<Occurrence>) {
        while let Some(occurrence) = occurrences.recv().await {
            if let Err(error) = self.send(occurrence).await {
                tracing::debug!(error = supervision::error_chain(&error), "event not recorded");
            }
        }
    }

    async fn send(&mut self, occurrence: Occurrence) -> Result<(), kube::Error> {
        let about = &occurrence.about;
        let namespace = about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let identity: Identity = (
            about.uid.clone(),
            about.field_path.clone(),
            occurrence.kind,
            occurrence.reason,
            occurrence.message.clone(),
        );
        if let Some((name, count)) = self.seen.get_mut(&identity) {
            *count += 1;
            let repeat = Repeat {
                count: *count,
                last_timestamp: Time(occurrence.at),
            };
            match api.patch(name, &PatchParams::default(), &Patch::Merge(&repeat)).await {
                // Events expire after an hour; then it is a new one.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => return other.map(|_| ()),
            }
        }
        let event = self.event(&occurrence, &namespace);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        self.seen.insert(identity, (name, 1));
        Ok(())
    }

    fn event(&mut self, occurrence: &Occurrence, namespace: &str) -> Event {
        self.newest = occurrence.at.as_nanosecond().max(self.newest + 1);
        let subject = occurrence.about.name.clone().unwrap_or_default();
        let time = Time(occurrence.at);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{subject}.{:x}", self.newest)),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: occurrence.about.clone(),
            reason: Some(occurrence.reason.to_owned()),
            message: Some(occurrence.message.clone()),
            type_: Some(format!("{:?}", occurrence.kind)),
            source: Some(EventSource {
                component: Some("kubelet".to_owned()),
                host: Some(self.node.clone()),
            }),
            first_timestamp: Some(time.clone()),
            last_timestamp: Some(time),
            count: Some(1),
            reporting_component: Some("kubelet".to_owned()),
            reporting_instance: Some(self.node.clone()),
            ..Event::default()
        }
    }
}
