//! Which pods of lower priority would have to go so that a pod fits. Source of the rules: upstream's `defaultpreemption`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::decide::fits;
use crate::plugin::Rejection;
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

/// What preemption can do for a pod.
#[derive(Clone, Debug, Default)]
pub struct Preemption {
    /// The node to make room on and the pods that have to go, if that helps anywhere.
    pub candidate: Option<Candidate>,
    refusals: BTreeMap<String, &'static str>,
}

/// A node and the pods that have to leave it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of the node.
    pub node: String,
    /// The pods, the most important first.
    pub victims: Vec<Arc<Pod>>,
}

impl Preemption {
    /// Why the nodes do not help, one reason for each.
    pub fn reasons(&self) -> Vec<&'static str> {
        if self.candidate.is_some() {
            Vec::new()
        } else {
            self.refusals.values().copied().collect()
        }
    }
}

/// Looks for the node that loses least by making room for `pod`.
pub fn find(pod: &PodInfo, snapshot: &Snapshot, rejections: &BTreeMap<String, Rejection>) -> Preemption {
    let mut preemption = Preemption::default();
    let never = pod.pod.spec.as_ref().and_then(|spec| spec.preemption_policy.as_deref()) == Some("Never");
    let mut candidates = Vec::new();
    for (name, rejection) in rejections {
        let Some(node) = snapshot.node(name).filter(|_| rejection.preemption_may_help && !never) else {
            preemption.refusals.insert(name.clone(), NOT_HELPFUL);
            continue;
        };
        match victims(pod, node, snapshot) {
            Some(victims) => candidates.push((name, victims)),
            None => {
                preemption.refusals.insert(name.clone(), NO_VICTIMS);
            }
        }
    }
    // The least important most important victim, then the smallest sum, then the fewest, then the youngest.
    let cost = |(name, victims): &(&String, Vec<&PodInfo>)| {
        let highest = victims.iter().map(|victim| victim.priority()).max().unwrap_or(i32::MIN);
        let sum: i64 = victims
            .iter()
            .map(|victim| i64::from(victim.priority()) - i64::from(i32::MIN))
            .sum();
        let oldest = victims
            .iter()
            .filter(|victim| victim.priority() == highest)
            .filter_map(|victim| start(victim))
            .min();
        (highest, sum, victims.len(), std::cmp::Reverse(oldest), (*name).clone())
    };
    preemption.candidate = candidates
        .into_iter()
        .min_by_key(cost)
        .map(|(name, victims)| Candidate {
            node: name.clone(),
            victims: victims.into_iter().map(|victim| victim.pod.clone()).collect(),
        });
    preemption
}

/// The pods that have to leave the node, as few and as unimportant ones as possible; nothing when even all would not do.
fn victims<'a>(pod: &PodInfo, node: &'a NodeInfo, snapshot: &Snapshot) -> Option<Vec<&'a PodInfo>> {
    let mut lower: Vec<&PodInfo> = node.pods().filter(|other| other.priority() < pod.priority()).collect();
    if lower.is_empty() {
        return None;
    }
    let fits_without = |gone: &[&PodInfo]| {
        let emptier = node.without(gone.iter().map(|victim| victim.uid()));
        fits(pod, node.name(), &snapshot.with_node(emptier))
    };
    if !fits_without(&lower) {
        return None;
    }
    lower.sort_by_key(|victim| (std::cmp::Reverse(victim.priority()), start(victim)));
    // Bring back as many as possible, the most important first.
    let mut gone = lower.clone();
    for victim in lower {
        let fewer: Vec<&PodInfo> = gone
            .iter()
            .copied()
            .filter(|other| other.uid() != victim.uid())
            .collect();
        if fits_without(&fewer) {
            gone = fewer;
        }
    }
    (!gone.is_empty()).then_some(gone)
}

fn start(pod: &PodInfo) -> Option<Time> {
    pod.pod.status.as_ref()?.start_time.clone()
}
