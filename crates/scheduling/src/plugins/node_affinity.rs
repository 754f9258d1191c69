//! Pods choose nodes by label: `nodeSelector`, required and preferred node affinity.

use k8s_openapi::api::core::v1::PreferredSchedulingTerm;

use crate::node_terms::{matches_term, pod_allows};
use crate::plugin::{Check, ClusterChange, Filter, Points, Rejection, Score, scale};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// `NodeAffinity`
pub struct NodeAffinity;

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[ClusterChange::NodeAdded, ClusterChange::NodeLabels]
    }

    fn check<'a>(&self, pod: &'a PodInfo, _snapshot: &'a Snapshot) -> Option<Check<'a>> {
        Some(Box::new(move |node| {
            if pod_allows(&pod.pod, node) {
                return Ok(());
            }
            Err(Rejection::for_good(
                "NodeAffinity",
                "node(s) didn't match Pod's node affinity/selector",
            ))
        }))
    }
}

impl Score for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn points<'a>(&self, pod: &'a PodInfo, _: &'a [&'a NodeInfo], _: &'a Snapshot) -> Option<Points<'a>> {
        let preferred = preferred(pod).filter(|terms| !terms.is_empty())?;
        Some(Box::new(move |node| {
            let wanted = preferred.iter().filter(|term| matches_term(&term.preference, node));
            wanted.map(|term| i64::from(term.weight)).sum()
        }))
    }

    fn normalise(&self, points: &mut [i64]) {
        scale(points, false);
    }
}

fn preferred(pod: &PodInfo) -> Option<&[PreferredSchedulingTerm]> {
    let affinity = pod.pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    affinity.preferred_during_scheduling_ignored_during_execution.as_deref()
}
