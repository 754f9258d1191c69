//! Carries out horizontal pod autoscalers: reads scales, pods and metrics, asks `controllers::autoscaler`, rescales.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use controllers::autoscaler::{self, Decision, History, Observed, PodUsage};
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kube_types::{ObjectKey, quantity};
use reconcile_loop::Recorder;
use serde::{Deserialize, Serialize};
use supervision::Supervisor;

/// Upstream's `--horizontal-pod-autoscaler-sync-period`.
const PERIOD: Duration = Duration::from_secs(15);
/// How soon a new or changed autoscaler is looked at.
const SOON: Duration = Duration::from_secs(3);

/// Autoscalers and what is remembered of them.
pub(crate) struct Autoscaling {
    client: Client,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
}

/// What is remembered of one autoscaler.
#[derive(Default)]
struct Known {
    history: History,
    generation: Option<i64>,
    looked: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
enum AutoscalingError {
    #[error("list the autoscalers")]
    List(#[source] kube::Error),
    #[error("write the status")]
    Status(#[source] kube::Error),
}

/// Where the replicas of a target are.
struct Target {
    api: Api<DynamicObject>,
    name: String,
    replicas: (i32, i32),
    selector: String,
}

impl Autoscaling {
    pub fn start(client: Client, clock: Arc<dyn Clock>, recorder: Recorder, supervisor: &Supervisor) {
        let autoscaling = Self {
            client,
            clock,
            recorder,
        };
        let scope = supervisor.child(autoscaler::NAME);
        scope.spawn_until_cancelled("autoscalers", async move { autoscaling.work().await });
    }

    async fn work(&self) {
        let mut known = BTreeMap::new();
        loop {
            if let Err(error) = self.round(&mut known).await {
                tracing::debug!(
                    error = supervision::error_chain(&error),
                    "autoscalers are looked at again later"
                );
            }
            supervision::sleep(SOON).await;
        }
    }

    async fn round(&self, known: &mut BTreeMap<ObjectKey, Known>) -> Result<(), AutoscalingError> {
        let all: Api<HorizontalPodAutoscaler> = Api::all(self.client.clone());
        let listed = all.list(&ListParams::default()).await.map_err(AutoscalingError::List)?;
        let keys: Vec<ObjectKey> = listed.items.iter().map(ObjectKey::of).collect();
        known.retain(|key, _| keys.contains(key));
        for (autoscaler, key) in listed.items.iter().zip(keys) {
            let of = known.entry(key.clone()).or_default();
            let now = self.clock.now();
            let is_due = of.looked.is_none_or(|looked| looked + PERIOD <= now);
            if !is_due && of.generation == autoscaler.metadata.generation {
                continue;
            }
            of.looked = Some(now);
            of.generation = autoscaler.metadata.generation;
            if let Err(error) = self.look(autoscaler, &mut of.history).await {
                tracing::debug!(autoscaler = %key, error = supervision::error_chain(&error), "looked at again later");
            }
        }
        Ok(())
    }

    async fn look(&self, autoscaler: &HorizontalPodAutoscaler, history: &mut History) -> Result<(), AutoscalingError> {
        let namespace = autoscaler.metadata.namespace.as_deref().unwrap_or_default();
        let target = self.target(autoscaler, namespace).await.map_err(|error| said(&error));
        let observed = match &target {
            Err(problem) => Observed {
                scale: Err(problem.clone()),
                pods: Vec::new(),
                usage: Ok(BTreeMap::new()),
            },
            Ok(target) => Observed {
                scale: Ok(target.replicas),
                pods: self.pods(namespace, &target.selector).await,
                usage: self
                    .usage(namespace, &target.selector)
                    .await
                    .map_err(|error| said(&error)),
            },
        };
        let now = self.clock.now();
        let mut decision = autoscaler::decide(autoscaler, &observed, history, now);
        if let (Some((replicas, _)), Ok(target)) = (&decision.rescale, &target) {
            match rescale(target, *replicas).await {
                Ok(()) => history.rescaled(target.replicas.0, *replicas, now),
                Err(error) => decision = autoscaler::refused(autoscaler, decision, &said(&error), now),
            }
        }
        self.tell(autoscaler, namespace, decision).await
    }

    async fn tell(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        namespace: &str,
        decision: Decision,
    ) -> Result<(), AutoscalingError> {
        for event in decision.events {
            self.recorder.record(autoscaler::NAME, event);
        }
        if autoscaler.status.as_ref() == Some(&decision.status) {
            return Ok(());
        }
        let mut told = autoscaler.clone();
        told.status = Some(decision.status);
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), namespace);
        let name = autoscaler.metadata.name.as_deref().unwrap_or_default();
        let written = api.replace_status(name, &PostParams::default(), &told).await;
        written.map(|_| ()).map_err(AutoscalingError::Status)
    }

    async fn target(&self, autoscaler: &HorizontalPodAutoscaler, namespace: &str) -> Result<Target, kube::Error> {
        let reference = autoscaler.spec.clone().scale_target_ref;
        let api_version = reference.api_version.unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let gvk = GroupVersionKind::gvk(group, version, &reference.kind);
        let (resource, _) = kube::discovery::pinned_kind(&self.client, &gvk).await?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let scale = api.get_scale(&reference.name).await?;
        let wanted = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        let status = scale.status.unwrap_or_default();
        Ok(Target {
            api,
            name: reference.name,
            replicas: (wanted, status.replicas),
            selector: status.selector.unwrap_or_default(),
        })
    }

    async fn pods(&self, namespace: &str, selector: &str) -> Vec<Arc<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        match api.list(&ListParams::default().labels(selector)).await {
            Ok(listed) => listed.items.into_iter().map(Arc::new).collect(),
            Err(error) => {
                tracing::debug!(
                    namespace,
                    error = supervision::error_chain(&error),
                    "the pods are not listed"
                );
                Vec::new()
            }
        }
    }

    async fn usage(&self, namespace: &str, selector: &str) -> Result<BTreeMap<String, PodUsage>, kube::Error> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let query = ListParams::default().labels(selector);
        let request = kube::core::Request::new(path)
            .list(&query)
            .map_err(kube::Error::BuildRequest)?;
        let listed: List = self.client.request(request).await?;
        Ok(listed.items.into_iter().map(Metrics::read).collect())
    }
}

/// As clients of Go's word an answer of the API server.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => supervision::error_chain(other),
    }
}

#[derive(Debug, Serialize)]
struct Scale {
    spec: Replicas,
}

#[derive(Debug, Serialize)]
struct Replicas {
    replicas: i32,
}

async fn rescale(target: &Target, replicas: i32) -> Result<(), kube::Error> {
    let patch = Patch::Merge(Scale {
        spec: Replicas { replicas },
    });
    target
        .api
        .patch_scale(&target.name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

#[derive(Debug, Deserialize)]
struct List {
    items: Vec<Metrics>,
}

#[derive(Debug, Deserialize)]
struct Metrics {
    metadata: Name,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    window: String,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Name {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

impl Metrics {
    fn read(self) -> (String, PodUsage) {
        let amounts = |usage: BTreeMap<String, String>| {
            let read = usage.into_iter().filter_map(|(resource, amount)| {
                // Usage is told in billionths; thousandths are enough to decide.
                Some((resource, quantity::parse(&amount).ok()?.milli()))
            });
            read.collect()
        };
        let containers = self.containers.into_iter().map(|one| (one.name, amounts(one.usage)));
        let usage = PodUsage {
            until: self.timestamp,
            window: seconds(&self.window),
            containers: containers.collect(),
        };
        (self.metadata.name, usage)
    }
}

/// Reads a duration as Go writes it: `1m30s`, `15.02s`.
fn seconds(text: &str) -> f64 {
    let (mut total, mut number) = (0.0, String::new());
    for letter in text.chars() {
        let unit = match letter {
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            other => {
                number.push(other);
                continue;
            }
        };
        total += number.parse::<f64>().unwrap_or(0.0) * unit;
        number.clear();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!((seconds("1m30s"), seconds("15.02s"), seconds("")), (90.0, 15.02, 0.0));
    }
}
