//! Which pods of lower priority would have to go so that a pod fits. Source of the rules: upstream's `defaultpreemption`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_types::selector::LabelSelector;

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
    // The fewest broken budgets, the least important most important victim, then the smallest sum, then the fewest, then the youngest.
    let cost = |(name, victims): &(&String, Victims<'_>)| {
        let pods = &victims.pods;
        let highest = pods.iter().map(|victim| victim.priority()).max().unwrap_or(i32::MIN);
        let sum: i64 = pods
            .iter()
            .map(|victim| i64::from(victim.priority()) - i64::from(i32::MIN))
            .sum();
        let oldest = pods
            .iter()
            .filter(|victim| victim.priority() == highest)
            .filter_map(|victim| start(victim))
            .min();
        (
            victims.broken_budgets,
            highest,
            sum,
            pods.len(),
            std::cmp::Reverse(oldest),
            (*name).clone(),
        )
    };
    preemption.candidate = candidates
        .into_iter()
        .min_by_key(cost)
        .map(|(name, victims)| Candidate {
            node: name.clone(),
            victims: victims.pods.into_iter().map(|victim| victim.pod.clone()).collect(),
        });
    preemption
}

/// Who has to leave a node.
struct Victims<'a> {
    pods: Vec<&'a PodInfo>,
    /// How many of them a disruption budget would have kept.
    broken_budgets: usize,
}

/// The pods that have to leave the node, as few and as unimportant ones as possible; nothing when even all would not do.
fn victims<'a>(pod: &PodInfo, node: &'a NodeInfo, snapshot: &Snapshot) -> Option<Victims<'a>> {
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
    let (guarded, free) = by_budgets(&lower, snapshot);
    // Bring back as many as possible: those that a budget guards, then the others, the most important first.
    let mut gone = lower;
    for victim in guarded.iter().chain(&free) {
        let fewer: Vec<&PodInfo> = gone
            .iter()
            .copied()
            .filter(|other| other.uid() != victim.uid())
            .collect();
        if fits_without(&fewer) {
            gone = fewer;
        }
    }
    let is_gone = |victim: &&&PodInfo| gone.iter().any(|other| other.uid() == victim.uid());
    let broken_budgets = guarded.iter().filter(is_gone).count();
    (!gone.is_empty()).then_some(Victims {
        pods: gone,
        broken_budgets,
    })
}

/// Those whose end would break a disruption budget, and those whose end would not, if all went in this order. Source of the rule:
/// `filterPodsWithPDBViolation`.
fn by_budgets<'a>(pods: &[&'a PodInfo], snapshot: &Snapshot) -> (Vec<&'a PodInfo>, Vec<&'a PodInfo>) {
    let mut budgets: Vec<(&PodDisruptionBudget, LabelSelector, i32)> = Vec::new();
    for budget in snapshot.budgets.values() {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        // An empty selector selects nothing here.
        let Some(Ok(selector)) = selector.map(LabelSelector::from_typed) else {
            continue;
        };
        if !selector.is_everything() {
            let allowed = budget.status.as_ref().and_then(|status| status.disruptions_allowed);
            budgets.push((budget, selector, allowed.unwrap_or(0)));
        }
    }
    pods.iter().copied().partition(|pod| {
        let mut breaks = false;
        for (budget, selector, left) in &mut budgets {
            let metadata = &pod.pod.metadata;
            let labels = metadata.labels.clone().unwrap_or_default();
            if budget.metadata.namespace != metadata.namespace || !selector.matches(&labels) {
                continue;
            }
            let disrupted = budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref());
            let name = metadata.name.as_deref().unwrap_or_default();
            // A pod whose eviction is under way is counted already.
            if disrupted.is_some_and(|pods| pods.contains_key(name)) {
                continue;
            }
            *left -= 1;
            breaks |= *left < 0;
        }
        breaks
    })
}

fn start(pod: &PodInfo) -> Option<Time> {
    pod.pod.status.as_ref()?.start_time.clone()
}
