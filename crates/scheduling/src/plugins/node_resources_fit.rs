//! A node must have what a pod requests; emptier nodes are better.

use crate::plugin::{BEST, Check, ClusterChange, Filter, Points, Rejection, Score};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// `NodeResourcesFit`
pub struct NodeResourcesFit;

const NAME: &str = "NodeResourcesFit";

/// The order in which shortages are told; extended resources follow by name.
const FIRST: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

impl Filter for NodeResourcesFit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[
            ClusterChange::NodeAdded,
            ClusterChange::NodeAllocatable,
            ClusterChange::PodRemoved,
        ]
    }

    fn check<'a>(&self, pod: &'a PodInfo, _snapshot: &'a Snapshot) -> Option<Check<'a>> {
        Some(Box::new(move |node| {
            let mut reasons = Vec::new();
            let mut preemption_may_help = true;
            let most = node.allocatable.get("pods");
            if i64::try_from(node.pod_count()).unwrap_or(i64::MAX) + 1 > most {
                reasons.push("Too many pods".to_owned());
            }
            let first = FIRST.iter().map(|name| (*name, pod.requests.get(name)));
            let others = pod.requests.iter().filter(|(name, _)| !FIRST.contains(name));
            for (name, wanted) in first.chain(others) {
                let all = node.allocatable.get(name);
                if wanted > 0 && wanted > all - node.requested.get(name) {
                    reasons.push(format!("Insufficient {name}"));
                    preemption_may_help &= wanted <= all;
                }
            }
            if reasons.is_empty() {
                Ok(())
            } else {
                Err(Rejection {
                    plugin: NAME,
                    reasons,
                    preemption_may_help,
                })
            }
        }))
    }
}

impl Score for NodeResourcesFit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn weight(&self) -> i64 {
        1
    }

    /// Upstream's `LeastAllocated` strategy for CPU and memory.
    fn points<'a>(&self, pod: &'a PodInfo, _: &'a [&'a NodeInfo], _: &'a Snapshot) -> Option<Points<'a>> {
        Some(Box::new(move |node| {
            let mut sum = 0;
            let mut counted = 0;
            for name in ["cpu", "memory"] {
                let all = node.allocatable.get(name);
                if all == 0 {
                    continue;
                }
                let used = node.score_requested.get(name) + pod.score_requests.get(name);
                sum += (all - used).max(0).saturating_mul(BEST) / all;
                counted += 1;
            }
            if counted == 0 { 0 } else { sum / counted }
        }))
    }
}
