//! Records events without keeping anyone waiting: one task writes, repetitions raise a count.

use std::sync::Arc;

use clock::Clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plan::EventRecord;
use serde::Serialize;
use supervision::Supervisor;
use tokio::sync::mpsc;

use crate::correlate::{Correlator, Verdict};
use crate::log::ComponentLog;
use crate::remarks;

/// Events that may wait to be written; when the API server is that far behind, further ones are dropped.
const WAITING: usize = 1000;

/// Namespace of events about cluster-scoped objects.
const DEFAULT_NAMESPACE: &str = "default";

struct Pending {
    source: &'static str,
    event: EventRecord,
    at: Timestamp,
}

/// Takes events. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Pending>,
    clock: Arc<dyn Clock>,
    log: ComponentLog,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Repetition {
    count: i32,
    first_timestamp: Time,
    last_timestamp: Time,
}

impl Recorder {
    /// Starts the task that writes events through `client`.
    pub fn start(client: Client, clock: Arc<dyn Clock>, supervisor: &Supervisor) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        supervisor.spawn_until_cancelled("events", write_all(client, receiver));
        Self {
            sender,
            clock,
            log: ComponentLog::default(),
        }
    }

    /// The same, which says its events in a log too.
    #[must_use]
    pub fn logged(self, log: ComponentLog) -> Self {
        Self { log, ..self }
    }

    /// Records an event of `source` (a controller's name) now.
    pub fn record(&self, source: &'static str, event: EventRecord) {
        self.log.info("event.go:389", || remarks::of_event(&event));
        let at = self.clock.now();
        if let Err(refused) = self.sender.try_send(Pending { source, event, at }) {
            tracing::debug!(error = %refused, "event dropped");
        }
    }
}

async fn write_all(client: Client, mut receiver: mpsc::Receiver<Pending>) {
    let mut correlator = Correlator::default();
    while let Some(pending) = receiver.recv().await {
        let verdict = correlator.judge(pending.source, &pending.event, pending.at);
        if let Err(error) = write(&client, &pending, verdict).await {
            tracing::debug!(
                error = supervision::error_chain(&error),
                reason = pending.event.reason,
                "event not written"
            );
        }
    }
}

async fn write(client: &Client, pending: &Pending, verdict: Verdict) -> Result<(), kube::Error> {
    let regarding = &pending.event.regarding;
    let namespace = regarding.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let now = plan::whole_seconds(pending.at);
    match verdict {
        Verdict::Drop => Ok(()),
        Verdict::Create { name } => create(&events, pending, name, 1, now.clone(), now).await,
        Verdict::Count { name, count, first } => {
            let patch = Repetition {
                count,
                first_timestamp: first.clone(),
                last_timestamp: now.clone(),
            };
            match events
                .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
            {
                Ok(_) => Ok(()),
                // Events expire after an hour; the count goes on under the same name.
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    create(&events, pending, name, count, first, now).await
                }
                Err(error) => Err(error),
            }
        }
    }
}

async fn create(
    events: &Api<Event>,
    pending: &Pending,
    name: String,
    count: i32,
    first: Time,
    last: Time,
) -> Result<(), kube::Error> {
    let EventRecord {
        regarding,
        kind,
        reason,
        message,
    } = pending.event.clone();
    let namespace = regarding
        .namespace
        .clone()
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let event = Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: regarding,
        reason: Some(reason),
        message: Some(message),
        type_: Some(kind.to_string()),
        source: Some(EventSource {
            component: Some(pending.source.to_owned()),
            host: None,
        }),
        reporting_component: Some(pending.source.to_owned()),
        reporting_instance: Some(String::new()),
        count: Some(count),
        first_timestamp: Some(first),
        last_timestamp: Some(last),
        ..Event::default()
    };
    events.create(&PostParams::default(), &event).await.map(drop)
}
