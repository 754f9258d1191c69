//! Taints keep pods away that do not tolerate them; soft ones make a node less liked.

use k8s_openapi::api::core::v1::Toleration;

use crate::plugin::{Check, ClusterChange, Filter, Points, Rejection, Score, scale};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};
use crate::taints::{Effect, any_tolerates, first_untolerated};

/// `TaintToleration`
pub struct TaintToleration;

impl Filter for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[ClusterChange::NodeAdded, ClusterChange::NodeTaints]
    }

    fn check<'a>(&self, pod: &'a PodInfo, _snapshot: &'a Snapshot) -> Option<Check<'a>> {
        let tolerations = tolerations(pod);
        Some(Box::new(move |node| {
            match first_untolerated(node.taints(), tolerations, &[Effect::NoSchedule, Effect::NoExecute]) {
                None => Ok(()),
                Some(taint) => {
                    let value = taint.value.as_deref().unwrap_or_default();
                    let reason = format!("node(s) had untolerated taint {{{}: {value}}}", taint.key);
                    Err(Rejection::for_good("TaintToleration", reason))
                }
            }
        }))
    }
}

impl Score for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    fn points<'a>(&self, pod: &'a PodInfo, _: &'a [&'a NodeInfo], _: &'a Snapshot) -> Option<Points<'a>> {
        let tolerations = tolerations(pod);
        Some(Box::new(move |node| {
            let soft = node
                .taints()
                .iter()
                .filter(|taint| Effect::PreferNoSchedule.is_of(taint));
            let resented = soft.filter(|taint| !any_tolerates(tolerations, taint)).count();
            i64::try_from(resented).unwrap_or(i64::MAX)
        }))
    }

    fn normalise(&self, points: &mut [i64]) {
        scale(points, true);
    }
}

fn tolerations(pod: &PodInfo) -> &[Toleration] {
    pod.pod
        .spec
        .as_ref()
        .and_then(|spec| spec.tolerations.as_deref())
        .unwrap_or_default()
}
