//! Pods of a kind are spread over zones and nodes. Source of the rules: upstream's `podtopologyspread`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use kube_types::selector::LabelSelector;

use crate::node_terms::pod_allows;
use crate::plugin::{BEST, Check, ClusterChange, Filter, Points, Rejection, Score};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};
use crate::taints::{Effect, first_untolerated};

/// `PodTopologySpread`
pub struct PodTopologySpread;

const NAME: &str = "PodTopologySpread";
const HOSTNAME: &str = "kubernetes.io/hostname";
const UNBALANCED: &str = "node(s) didn't match pod topology spread constraints";
const LABEL_MISSING: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// Used when a pod states no constraint (upstream's system defaults).
const DEFAULTS: [(&str, i32); 2] = [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)];

struct Constraint<'a> {
    key: &'a str,
    max_skew: i64,
    min_domains: usize,
    selector: LabelSelector,
    honour_affinity: bool,
    honour_taints: bool,
}

impl Filter for PodTopologySpread {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[
            ClusterChange::NodeAdded,
            ClusterChange::NodeLabels,
            ClusterChange::NodeTaints,
            ClusterChange::PodAssigned,
            ClusterChange::PodRemoved,
        ]
    }

    fn check<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Check<'a>> {
        let constraints = stated(pod, "DoNotSchedule");
        if constraints.is_empty() {
            return None;
        }
        let counted: Vec<(Constraint<'_>, BTreeMap<&str, i64>)> = constraints
            .into_iter()
            .map(|constraint| {
                let domains = domains(&constraint, pod, snapshot);
                (constraint, domains)
            })
            .collect();
        Some(Box::new(move |node| {
            for (constraint, domains) in &counted {
                let Some(value) = node.label(constraint.key) else {
                    return Err(Rejection::for_good(NAME, LABEL_MISSING));
                };
                let enough = domains.len() >= constraint.min_domains;
                let fewest = if enough {
                    domains.values().copied().min().unwrap_or(0)
                } else {
                    0
                };
                let own = i64::from(pod.matches(&constraint.selector));
                if domains.get(value).copied().unwrap_or(0) + own - fewest > constraint.max_skew {
                    return Err(Rejection::for_now(NAME, UNBALANCED));
                }
            }
            Ok(())
        }))
    }
}

impl Score for PodTopologySpread {
    fn name(&self) -> &'static str {
        NAME
    }

    fn weight(&self) -> i64 {
        2
    }

    fn points<'a>(&self, pod: &'a PodInfo, possible: &'a [&'a NodeInfo], snapshot: &'a Snapshot) -> Option<Points<'a>> {
        let constraints = soft(pod);
        if constraints.is_empty() {
            return None;
        }
        let weighed: Vec<(Constraint<'_>, BTreeMap<&str, i64>, f64)> = constraints
            .into_iter()
            .map(|constraint| {
                let domains = domains(&constraint, pod, snapshot);
                let here: BTreeSet<&str> = possible.iter().filter_map(|node| node.label(constraint.key)).collect();
                // More domains mean smaller counts in each, so they weigh more.
                #[allow(clippy::cast_precision_loss, reason = "a number of zones or nodes")]
                let weight = ((here.len() + 2) as f64).ln();
                (constraint, domains, weight)
            })
            .collect();
        Some(Box::new(move |node| {
            let mut cost = 0.0;
            for (constraint, domains, weight) in &weighed {
                let Some(value) = node.label(constraint.key) else {
                    continue;
                };
                #[allow(clippy::cast_precision_loss, reason = "a number of pods")]
                let count = domains.get(value).copied().unwrap_or(0) as f64;
                #[allow(clippy::cast_precision_loss, reason = "a small number")]
                let allowance = (constraint.max_skew - 1) as f64;
                cost += count * weight + allowance;
            }
            #[allow(clippy::cast_possible_truncation, reason = "rounded, and far below the limit")]
            let cost = cost.round() as i64;
            cost
        }))
    }

    fn normalise(&self, points: &mut [i64]) {
        let most = points.iter().copied().max().unwrap_or(0);
        let fewest = points.iter().copied().min().unwrap_or(0);
        for own in points {
            *own = if most == 0 {
                BEST
            } else {
                BEST * (most + fewest - *own) / most
            };
        }
    }
}

/// Pods that count for a constraint, for each value of its key among the nodes that count.
fn domains<'a>(constraint: &Constraint<'_>, pod: &PodInfo, snapshot: &'a Snapshot) -> BTreeMap<&'a str, i64> {
    let mut domains = BTreeMap::new();
    let tolerations = pod
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.tolerations.as_deref())
        .unwrap_or_default();
    for node in snapshot.nodes() {
        let Some(value) = node.label(constraint.key) else {
            continue;
        };
        let excluded = constraint.honour_affinity && !pod_allows(&pod.pod, node);
        let tainted = constraint.honour_taints
            && first_untolerated(node.taints(), tolerations, &[Effect::NoSchedule, Effect::NoExecute]).is_some();
        if excluded || tainted {
            continue;
        }
        let counted = node.pods().filter(|other| {
            other.namespace() == pod.namespace() && !other.is_deleting() && other.matches(&constraint.selector)
        });
        *domains.entry(value).or_insert(0) += i64::try_from(counted.count()).unwrap_or(0);
    }
    domains
}

fn soft(pod: &PodInfo) -> Vec<Constraint<'_>> {
    let any = pod
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.topology_spread_constraints.as_ref());
    if any.is_some_and(|constraints| !constraints.is_empty()) {
        return stated(pod, "ScheduleAnyway");
    }
    let Some(selector) = &pod.spread_with else {
        return Vec::new();
    };
    let default = |(key, max_skew): (&'static str, i32)| Constraint {
        key,
        max_skew: i64::from(max_skew),
        min_domains: 1,
        selector: selector.clone(),
        honour_affinity: true,
        honour_taints: false,
    };
    DEFAULTS.into_iter().map(default).collect()
}

fn stated<'a>(pod: &'a PodInfo, when_unsatisfiable: &str) -> Vec<Constraint<'a>> {
    let constraints = pod
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.topology_spread_constraints.as_ref());
    let constraints = constraints.into_iter().flatten();
    constraints
        .filter(|constraint| constraint.when_unsatisfiable == when_unsatisfiable)
        .map(|constraint| Constraint {
            key: &constraint.topology_key,
            max_skew: i64::from(constraint.max_skew),
            min_domains: usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(1),
            selector: selector(constraint, pod),
            honour_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honour_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        })
        .collect()
}

/// The constraint's selector with the values of its `matchLabelKeys`, taken from the pod.
fn selector(constraint: &TopologySpreadConstraint, pod: &PodInfo) -> LabelSelector {
    let Some(mut typed) = constraint.label_selector.clone() else {
        return LabelSelector::nothing();
    };
    let labels = pod.pod.metadata.labels.as_ref();
    for key in constraint.match_label_keys.iter().flatten() {
        if let Some(value) = labels.and_then(|labels| labels.get(key)) {
            typed
                .match_labels
                .get_or_insert_default()
                .insert(key.clone(), value.clone());
        }
    }
    // A selector that cannot be read is kept out by validation and would select nothing.
    LabelSelector::from_typed(&typed).unwrap_or_else(|_unreadable| LabelSelector::nothing())
}
