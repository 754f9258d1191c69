//! Evicts pods from nodes whose `NoExecute` taints they do not tolerate, or no longer tolerate.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition, Taint, Toleration};
use kube_types::ObjectKey;
use plan::{
    Change, Controller, EventRecord, Kind, Observation, Plan, Step, World, object_reference, set_condition, since,
    whole_seconds,
};
use scheduling::taints::{Effect, tolerates};

use crate::pod;

/// The taint eviction controller.
pub struct TaintEviction;

/// What the taints of its node mean for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Stays,
    GoesIn(Duration),
}

impl Controller for TaintEviction {
    type Root = Pod;
    const NAME: &'static str = "taint-eviction-controller";
    const WATCHES: &'static [Kind] = &[Kind::Node];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        match changed {
            Observation::Node(node) if no_execute(node).next().is_some() => {
                let pods = world.pods.related(node.metadata.name.as_deref().unwrap_or_default());
                pods.map(|pod| ObjectKey::of(pod.as_ref())).collect()
            }
            _ => Vec::new(),
        }
    }

    fn plan(&self, pod: &Pod, world: &World, now: Timestamp) -> Plan {
        if pod::is_deleting(pod) || pod::is_terminal(pod) {
            return Plan::nothing();
        }
        let Some(node) = world.nodes.cluster(pod::node_name(pod)) else {
            return Plan::nothing();
        };
        let tolerations = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.tolerations.as_deref())
            .unwrap_or_default();
        let taints: Vec<&Taint> = no_execute(node).collect();
        match judge(&taints, tolerations, now) {
            Verdict::Stays => Plan::nothing(),
            Verdict::GoesIn(delay) if delay.is_zero() => evict(pod, now),
            Verdict::GoesIn(delay) => Plan {
                look_again_in: Some(delay),
                ..Plan::default()
            },
        }
    }
}

fn no_execute(node: &Node) -> impl Iterator<Item = &Taint> {
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    taints.iter().filter(|taint| Effect::NoExecute.is_of(taint))
}

/// A pod goes at once when a taint is not tolerated, else when the shortest toleration in use runs out.
fn judge(taints: &[&Taint], tolerations: &[Toleration], now: Timestamp) -> Verdict {
    let mut verdict = Verdict::Stays;
    for taint in taints {
        let mut used = tolerations
            .iter()
            .filter(|toleration| tolerates(toleration, taint))
            .peekable();
        if used.peek().is_none() {
            return Verdict::GoesIn(Duration::ZERO);
        }
        let limits = used.filter_map(|toleration| toleration.toleration_seconds);
        let Some(limit) = limits.map(|seconds| u64::try_from(seconds).unwrap_or(0)).min() else {
            continue;
        };
        let passed = taint
            .time_added
            .as_ref()
            .map_or(Duration::ZERO, |added| since(added, now));
        let left = Duration::from_secs(limit).saturating_sub(passed);
        verdict = match verdict {
            Verdict::Stays => Verdict::GoesIn(left),
            Verdict::GoesIn(earlier) => Verdict::GoesIn(earlier.min(left)),
        };
    }
    verdict
}

fn evict(pod: &Pod, now: Timestamp) -> Plan {
    let key = ObjectKey::of(pod);
    let mut told = pod.clone();
    let conditions = told.status.get_or_insert_default().conditions.get_or_insert_default();
    set_condition(
        conditions,
        PodCondition {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            reason: Some("DeletionByTaintManager".to_owned()),
            message: Some("Taint manager: deleting due to NoExecute taint".to_owned()),
            last_transition_time: Some(whole_seconds(now)),
            ..PodCondition::default()
        },
    );
    let mut plan = Plan::nothing();
    if told != *pod {
        plan.then(Change::update_status(told));
    }
    let message = format!("Marking for deletion Pod {key}");
    let event = EventRecord::normal(object_reference(pod), "TaintManagerEviction", message);
    plan.then(Step::from(Change::delete(pod)).succeeding_with(event));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(added: i64) -> Taint {
        let added = whole_seconds(Timestamp::new(added, 0).unwrap());
        Taint {
            key: "node.kubernetes.io/unreachable".into(),
            effect: "NoExecute".into(),
            value: None,
            time_added: Some(added),
        }
    }

    fn toleration(seconds: Option<i64>) -> Toleration {
        Toleration {
            key: Some("node.kubernetes.io/unreachable".into()),
            operator: Some("Exists".into()),
            effect: Some("NoExecute".into()),
            toleration_seconds: seconds,
            ..Toleration::default()
        }
    }

    #[test]
    fn a_pod_goes_when_its_toleration_runs_out() {
        let now = Timestamp::new(1000, 0).unwrap();
        let goes = |seconds| Verdict::GoesIn(Duration::from_secs(seconds));
        for (added, tolerations, expected) in [
            (1000, vec![], goes(0)),
            (1000, vec![toleration(None)], Verdict::Stays),
            (1000, vec![toleration(Some(300))], goes(300)),
            (800, vec![toleration(Some(300))], goes(100)),
            (600, vec![toleration(Some(300))], goes(0)),
            (800, vec![toleration(Some(300)), toleration(Some(250))], goes(50)),
        ] {
            assert_eq!(
                judge(&[&taint(added)], &tolerations, now),
                expected,
                "added {added}, {tolerations:?}"
            );
        }
    }
}
