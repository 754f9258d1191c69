//! A cluster through its API server: what runs in it, and a writer that remembers what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde::Deserialize;
use supervision::Supervisor;
use tokio::sync::Mutex;

use super::{Ondol, PATIENCE};

#[derive(Deserialize)]
struct ExecCredential {
    status: ExecCredentialStatus,
}

#[derive(Deserialize)]
struct ExecCredentialStatus {
    token: String,
}

impl Ondol {
    /// A client of a cluster as the user whom `create cluster` wrote down. Its token is good for 15 minutes.
    pub fn client(&self, cluster: &str) -> Client {
        let config = |path: &str| {
            let output = format!("jsonpath={path}");
            self.kubectl(["config", "view", "--raw", "--minify", "-o", &output])
                .ok()
        };
        let endpoint = config("{.clusters[0].cluster.server}");
        let authority = config("{.clusters[0].cluster.certificate-authority-data}");
        let authority = base64::engine::general_purpose::STANDARD
            .decode(authority)
            .expect("the kubeconfig holds the authority");
        let said = self.run(["get-token", "--cluster-name", cluster]).ok();
        let credential: ExecCredential = serde_json::from_str(&said).expect("a credential is printed");
        let credentials = kube_client::Credentials::Token(credential.status.token);
        kube_client::https(&endpoint, &String::from_utf8_lossy(&authority), &credentials, "default")
            .expect("the kubeconfig can be used")
    }
}

/// A pod that runs: where, and in which containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningPod {
    pub name: String,
    pub node: String,
    pub containers: Vec<String>,
}

/// The pods that run, by their UIDs.
pub async fn running_pods(client: &Client) -> Result<BTreeMap<String, RunningPod>, kube::Error> {
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await?;
    let running = pods
        .items
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let running = running.filter_map(|pod| {
        let status = pod.status.as_ref()?;
        let containers = status.container_statuses.iter().flatten();
        let running = RunningPod {
            name: pod.name_any(),
            node: pod.spec.as_ref()?.node_name.clone()?,
            containers: containers.filter_map(|status| status.container_id.clone()).collect(),
        };
        (status.phase.as_deref() == Some("Running")).then(|| (pod.uid().unwrap_or_default(), running))
    });
    Ok(running.collect())
}

/// The nodes' names by their instances.
pub async fn nodes(client: &Client) -> Result<BTreeMap<String, String>, kube::Error> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    let named = nodes.items.iter().filter_map(|node| {
        let provider = node.spec.as_ref()?.provider_id.as_deref()?;
        Some((provider.rsplit('/').next()?.to_owned(), node.name_any()))
    });
    Ok(named.collect())
}

/// Whether everything is as it should be: `wanted` nodes and no other, all Ready, every DaemonSet and the user's Deployments complete, nothing still
/// ending. Err says what is not. (The names' servers are left out: their readiness is asked for every ten seconds only.)
pub async fn is_settled(client: &Client, wanted: usize) -> Result<(), String> {
    let failed = |error: kube::Error| error.to_string();
    let all = ListParams::default();
    let nodes = Api::<Node>::all(client.clone()).list(&all).await.map_err(failed)?;
    let ready = nodes.items.iter().filter(|node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    let names: Vec<String> = nodes.items.iter().map(ResourceExt::name_any).collect();
    if names.len() != wanted || ready.count() != wanted {
        return Err(format!("{wanted} Ready nodes are wanted, there are {names:?}"));
    }
    let pods = Api::<Pod>::all(client.clone()).list(&all).await.map_err(failed)?;
    for pod in &pods.items {
        let node = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_default();
        if pod.metadata.deletion_timestamp.is_some() || !names.contains(&node) {
            return Err(format!("pod {} on {node:?} is ending or waits", pod.name_any()));
        }
    }
    let deployments = Api::<Deployment>::namespaced(client.clone(), "default")
        .list(&all)
        .await
        .map_err(failed)?;
    for deployment in &deployments.items {
        let (spec, status) = (deployment.spec.as_ref(), deployment.status.as_ref());
        let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let counts = status.map(|status| {
            let count = |count: Option<i32>| count.unwrap_or(0);
            let seen = status.observed_generation == deployment.metadata.generation;
            (
                seen,
                count(status.replicas),
                count(status.updated_replicas),
                count(status.available_replicas),
            )
        });
        if counts != Some((true, wanted, wanted, wanted)) {
            return Err(format!("deployment {}: {counts:?} of {wanted}", deployment.name_any()));
        }
    }
    let sets = Api::<DaemonSet>::all(client.clone()).list(&all).await.map_err(failed)?;
    for set in &sets.items {
        let status = set.status.clone().unwrap_or_default();
        let expected = i32::try_from(wanted).unwrap_or(i32::MAX);
        let counts = (status.desired_number_scheduled, status.number_available.unwrap_or(0));
        if counts != (expected, expected) || status.observed_generation != set.metadata.generation {
            return Err(format!("daemon set {}: {counts:?} of {expected}", set.name_any()));
        }
    }
    Ok(())
}

/// Writes ConfigMaps without end and remembers which answers it got.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    /// Name and value of what was acknowledged and must be there, and nothing else.
    acknowledged: Arc<Mutex<Acknowledged>>,
}

#[derive(Default)]
struct Acknowledged {
    maps: BTreeMap<String, String>,
    next: u64,
    refused: Option<String>,
}

/// The label of what the writer writes.
const WRITTEN: &str = "written-by=end-to-end";

impl Writer {
    /// Starts to write, until the supervisor is drained.
    pub fn start(client: Client, supervisor: &Supervisor) -> Self {
        let writer = Self {
            client,
            acknowledged: Arc::default(),
        };
        let own = writer.clone();
        supervisor.spawn_until_cancelled("writer", async move {
            loop {
                // Held from the request to its answer, so that whoever holds it knows exactly what must be there.
                let mut acknowledged = own.acknowledged.lock().await;
                own.write(&mut acknowledged).await;
                drop(acknowledged);
                supervision::sleep(Duration::from_millis(25)).await;
            }
        });
        writer
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// One creation, change or deletion, asked for again until it is answered.
    async fn write(&self, acknowledged: &mut Acknowledged) {
        let number = acknowledged.next;
        acknowledged.next += 1;
        let maps = self.maps();
        let waited = supervision::wait_until("an answer", PATIENCE, async || {
            let oldest = acknowledged.maps.keys().next().cloned();
            let done = match (number % 4, oldest) {
                (2, Some(name)) => {
                    let value = number.to_string();
                    let change = written(&name, &value);
                    let changed = maps.patch(&name, &PatchParams::default(), &Patch::Merge(&change)).await;
                    changed.map(|_| Some((name, Some(value))))
                }
                (3, Some(name)) => maps
                    .delete(&name, &DeleteParams::default())
                    .await
                    .map(|_| Some((name, None))),
                _ => {
                    let (name, value) = (format!("written-{number:06}"), number.to_string());
                    let created = maps.create(&PostParams::default(), &written(&name, &value)).await;
                    created.map(|_| Some((name, Some(value))))
                }
            };
            match done {
                Ok(done) => Ok(Ok(done)),
                // The answer to an earlier try was lost; it had been carried out.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    Ok(Ok(Some((format!("written-{number:06}"), Some(number.to_string())))))
                }
                Err(kube::Error::Api(status)) if status.code == 404 && number % 4 == 3 => {
                    Ok(Ok(acknowledged.maps.keys().next().cloned().map(|name| (name, None))))
                }
                Err(kube::Error::Api(status)) if status.code < 429 => Ok(Err(status.to_string())),
                Err(error) => Err(error.to_string()),
            }
        });
        match waited.await {
            Ok(Ok(Some((name, Some(value))))) => {
                acknowledged.maps.insert(name, value);
            }
            Ok(Ok(Some((name, None)))) => {
                acknowledged.maps.remove(&name);
            }
            Ok(Ok(None)) => {}
            Ok(Err(refused)) => acknowledged.refused = Some(refused),
            Err(error) => acknowledged.refused = Some(error.to_string()),
        }
    }

    /// Compares what is there with what was acknowledged; says how many answers there were.
    pub async fn verify(&self) -> u64 {
        let acknowledged = self.acknowledged.lock().await;
        assert_eq!(acknowledged.refused, None, "a write was refused");
        let listed = supervision::wait_until("the API server's list", PATIENCE, async || {
            self.maps().list(&ListParams::default().labels(WRITTEN)).await
        });
        let listed = listed.await.unwrap_or_else(|error| panic!("{error}"));
        let value = |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("value")).cloned();
        let found: BTreeMap<String, String> = listed
            .items
            .iter()
            .map(|map| (map.name_any(), value(map).unwrap_or_default()))
            .collect();
        let lost: Vec<_> = acknowledged
            .maps
            .iter()
            .filter(|(name, value)| found.get(*name) != Some(value))
            .collect();
        let revived: Vec<_> = found
            .keys()
            .filter(|name| !acknowledged.maps.contains_key(*name))
            .collect();
        assert!(
            lost.is_empty() && revived.is_empty(),
            "lost: {lost:?}, came back: {revived:?}"
        );
        acknowledged.next
    }
}

fn written(name: &str, value: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    let (key, label) = WRITTEN.split_once('=').unwrap_or((WRITTEN, ""));
    map.metadata.labels = Some([(key.to_owned(), label.to_owned())].into());
    map.data = Some([("value".to_owned(), value.to_owned())].into());
    map
}
