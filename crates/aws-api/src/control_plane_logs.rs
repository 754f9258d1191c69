//! What clusters' control planes write into CloudWatch Logs, by the kinds that a cluster has switched on: lines are taken at once and
//! written down a moment later, many together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_types::ClusterName;
use cluster_lifecycle::cluster::Cluster;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::error::ApiError;
use crate::logs;
use crate::operations::Context;
use crate::region::Region;

/// Lines are written down together after so long.
const PAUSE: Duration = Duration::from_secs(1);
/// The most bytes of a cluster's lines of one kind that wait; of more, the oldest are lost.
const MOST_WAITING: usize = 1 << 20;

/// Who writes. Each has a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// The API server's log.
    Api,
    /// The API server's audit log.
    Audit,
    /// Who got in by an AWS identity, and who did not.
    Authenticator,
    /// The controllers.
    ControllerManager,
    /// The controllers that speak to the cloud.
    CloudControllerManager,
    /// The scheduler.
    Scheduler,
}

/// Every kind, what EKS calls it when it is switched on, and how its stream's name begins.
const KINDS: &[(LogKind, &str, &str)] = &[
    (LogKind::Api, "api", "kube-apiserver"),
    (LogKind::Audit, "audit", "kube-apiserver-audit"),
    (LogKind::Authenticator, "authenticator", "authenticator"),
    (
        LogKind::ControllerManager,
        "controllerManager",
        "kube-controller-manager",
    ),
    (
        LogKind::CloudControllerManager,
        "controllerManager",
        "cloud-controller-manager",
    ),
    (LogKind::Scheduler, "scheduler", "kube-scheduler"),
];

fn is_on(cluster: &Cluster, kind: LogKind) -> bool {
    let known = KINDS.iter().find(|(known, ..)| *known == kind);
    known.is_some_and(|(_, name, _)| cluster.enabled_logs.iter().any(|enabled| enabled == name))
}

/// The log group of a cluster.
pub fn group_of(cluster: &ClusterName) -> String {
    format!("/aws/eks/{cluster}/cluster")
}

/// The stream of a kind: EKS names streams by the machine that writes, of which a cluster has one here.
fn stream_of(cluster: &Cluster, kind: LogKind) -> String {
    let machine = hex::encode(Sha256::digest(format!("{} {}", cluster.arn, cluster.created_at)));
    let known = KINDS.iter().find(|(known, ..)| *known == kind);
    format!("{}-{}", known.map_or("", |(.., prefix)| prefix), &machine[..32])
}

/// The streams of the kinds that a cluster has switched on.
pub fn streams_of(cluster: &Cluster) -> Vec<String> {
    let on = KINDS.iter().filter(|(kind, ..)| is_on(cluster, *kind));
    on.map(|(kind, ..)| stream_of(cluster, *kind)).collect()
}

/// Lines of one kind that are not written down yet.
#[derive(Default)]
struct Waiting {
    lines: Vec<(i64, String)>,
    bytes: usize,
}

/// The lines of a region's clusters.
#[derive(Default)]
pub struct Lines {
    waiting: Mutex<BTreeMap<(ClusterName, LogKind), Waiting>>,
    some: Notify,
}

impl Lines {
    fn add(&self, cluster: &ClusterName, kind: LogKind, at: i64, line: String) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let own = waiting.entry((cluster.clone(), kind)).or_default();
        own.bytes += line.len();
        own.lines.push((at, line));
        if own.bytes > MOST_WAITING {
            let surplus = own.lines.len() / 2;
            own.lines.drain(..surplus);
            own.bytes = own.lines.iter().map(|(_, line)| line.len()).sum();
        }
        drop(waiting);
        self.some.notify_one();
    }

    fn take(&self) -> BTreeMap<(ClusterName, LogKind), Waiting> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Region {
    /// Whether a cluster has logs of a kind switched on.
    pub fn wants_log(&self, cluster: &ClusterName, kind: LogKind) -> bool {
        self.ledger
            .read(|state| state.clusters.get(cluster).is_some_and(|cluster| is_on(cluster, kind)))
    }

    /// Takes a line of a cluster's log, if the cluster wants such. Costs little and waits for nothing.
    pub fn log(&self, cluster: &ClusterName, kind: LogKind, line: String) {
        if self.wants_log(cluster, kind) {
            self.lines.add(cluster, kind, self.clock.now().as_millisecond(), line);
        }
    }
}

/// Writes down what comes, until the region ends.
pub async fn run(region: Arc<Region>) {
    loop {
        region.lines.some.notified().await;
        supervision::sleep(PAUSE).await;
        for ((cluster, kind), waiting) in region.lines.take() {
            if let Err(error) = write(&region, &cluster, kind, waiting.lines).await {
                tracing::error!(%cluster, error = supervision::error_chain(&error), "control plane logs cannot be written");
            }
        }
    }
}

async fn write(
    region: &Arc<Region>,
    name: &ClusterName,
    kind: LogKind,
    lines: Vec<(i64, String)>,
) -> Result<(), ApiError> {
    let known = region.ledger.read(|state| state.clusters.get(name).cloned());
    // What a cluster that is gone still said has no place.
    let Some(cluster) = known else { return Ok(()) };
    let context = Context {
        region: Arc::clone(region),
        caller: region.identities.administrator(),
    };
    logs::append(&context, &group_of(name), &stream_of(&cluster, kind), lines).await
}
