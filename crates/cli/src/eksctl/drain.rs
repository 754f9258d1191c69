//! `drain nodegroup` and its undoing: nodes cordoned, their pods evicted through the eviction API.

use std::path::Path;
use std::time::Duration;

use clock::{Clock, SystemClock};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, EvictParams, ListParams};

use super::config::{self, included};
use super::given::Given;
use crate::session::{CommandError, Done, Made, Session};

/// How often evictions are tried again.
const LOOK: Duration = Duration::from_millis(500);
/// Pods of these are taken back at once by their controller.
const DAEMON_SET: &str = "DaemonSet";
/// The mark of pods that the node's agent made of files.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// `drain nodegroup`.
pub async fn nodegroup(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &["name"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let is_file = given.config_file().is_some();
    let mut groups: Vec<String> = match given.name("name")? {
        Some(name) if !is_file => vec![name],
        _ if is_file => {
            let named = config
                .managed_node_groups
                .iter()
                .flatten()
                .map(|group| group.name.clone());
            named.filter(|name| included(given, name)).collect()
        }
        _ => return Err(CommandError::Usage("--name must be set".to_owned()).into()),
    };
    let there = session.nodegroups(cluster).await?;
    if given.is_on("only-missing") {
        groups = there.iter().filter(|name| !groups.contains(name)).cloned().collect();
    }
    if let Some(missing) = groups.iter().find(|name| !there.contains(name)) {
        return Err(CommandError::Usage(format!("No node group found for name: {missing}.")).into());
    }
    if given.is_plan(!is_file) {
        session
            .progress
            .info(format!("(plan) would drain {} nodegroup(s)", groups.len()));
        session
            .progress
            .warning("no changes were applied, run again with '--approve' to apply the changes");
        return Ok(());
    }
    let client = session.kubernetes(cluster).await?;
    let is_undone = given.is_on("undo");
    for group in &groups {
        let nodes = session.set_unschedulable(&client, group, !is_undone).await?;
        if !is_undone {
            let drain = Drain {
                client: client.clone(),
                without_eviction: given.is_on("disable-eviction"),
                wait: given
                    .duration("pod-eviction-wait-period")
                    .unwrap_or(LOOK)
                    .min(Duration::from_secs(10)),
                limit: given.timeout(),
            };
            drain.nodes(&session, &nodes).await?;
            session.progress.done(format!("drained nodegroup {group:?}: {nodes:?}"));
        }
    }
    Ok(())
}

impl Session {
    async fn set_unschedulable(&self, client: &kube::Client, group: &str, unschedulable: bool) -> Made<Vec<String>> {
        let nodes: Api<Node> = Api::all(client.clone());
        let selector = ListParams::default().labels(&format!("eks.amazonaws.com/nodegroup={group}"));
        let mut names = Vec::new();
        for node in nodes.list(&selector).await? {
            let name = node.metadata.name.clone().unwrap_or_default();
            let word = if unschedulable { "cordon" } else { "uncordon" };
            if node.spec.and_then(|spec| spec.unschedulable).unwrap_or(false) == unschedulable {
                self.progress.info(format!("no need to {word} node {name:?}"));
            } else {
                let changed = if unschedulable {
                    nodes.cordon(&name).await
                } else {
                    nodes.uncordon(&name).await
                };
                changed?;
                self.progress.info(format!("{word}ed node {name:?}"));
            }
            names.push(name);
        }
        Ok(names)
    }
}

struct Drain {
    client: kube::Client,
    without_eviction: bool,
    wait: Duration,
    limit: Duration,
}

impl Drain {
    /// Evicts what runs on these nodes until nothing is left.
    async fn nodes(&self, session: &Session, nodes: &[String]) -> Done {
        let began: Timestamp = SystemClock.now();
        loop {
            let left = self.left(nodes).await?;
            if left.is_empty() {
                return Ok(());
            }
            if SystemClock.now().duration_since(began).unsigned_abs() > self.limit {
                let what = format!("draining {} node(s)", nodes.len());
                let seen = left.iter().map(full_name).collect::<Vec<_>>().join(", ");
                return Err(CommandError::TimedOut {
                    what,
                    limit: self.limit,
                    seen,
                }
                .into());
            }
            for pod in left.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
                self.evict(session, pod).await?;
            }
            supervision::sleep(self.wait).await;
        }
    }

    async fn left(&self, nodes: &[String]) -> Made<Vec<Pod>> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let mut left = Vec::new();
        for node in nodes {
            let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
            left.extend(pods.list(&on_node).await?.into_iter().filter(must_go));
        }
        Ok(left)
    }

    async fn evict(&self, session: &Session, pod: &Pod) -> Done {
        let (name, namespace) = (
            pod.metadata.name.clone().unwrap_or_default(),
            pod.metadata.namespace.clone().unwrap_or_default(),
        );
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let outcome = if self.without_eviction {
            pods.delete(&name, &DeleteParams::default()).await.map(drop)
        } else {
            pods.evict(&name, &EvictParams::default()).await.map(drop)
        };
        match outcome {
            Ok(()) => Ok(()),
            // A disruption budget holds it, or it went by itself: both are seen at the next look.
            Err(kube::Error::Api(status)) if status.code == 429 => {
                session.progress.warning(format!(
                    "pod eviction of {} is delayed: {}",
                    full_name(pod),
                    status.message
                ));
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn full_name(pod: &Pod) -> String {
    let metadata = &pod.metadata;
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&metadata.namespace), part(&metadata.name))
}

/// Pods that a drain moves: not those of DaemonSets, of files, or that have ended.
fn must_go(pod: &Pod) -> bool {
    let metadata = &pod.metadata;
    let of_daemon_set = metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.kind == DAEMON_SET);
    let is_mirror = metadata
        .annotations
        .as_ref()
        .is_some_and(|all| all.contains_key(MIRROR));
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !of_daemon_set && !is_mirror && !matches!(phase, Some("Succeeded" | "Failed"))
}
