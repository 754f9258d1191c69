//! Pods want to be near some pods and far from others. Source of the rules: upstream's `interpodaffinity`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm, WeightedPodAffinityTerm};
use kube_types::selector::LabelSelector;

use crate::plugin::{BEST, Check, ClusterChange, Filter, Points, Rejection, Score};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// `InterPodAffinity`
pub struct InterPodAffinity;

const NAME: &str = "InterPodAffinity";
const AFFINITY: &str = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const EXISTING_ANTI_AFFINITY: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// Points that a required affinity of a placed pod gives (upstream's `HardPodAffinityWeight`).
const HARD_AFFINITY_WEIGHT: i64 = 1;

/// A term made ready: whom it means, and what "near" is.
struct Term<'a> {
    key: &'a str,
    namespaces: BTreeSet<String>,
    namespace_selector: LabelSelector,
    selector: LabelSelector,
}

impl Filter for InterPodAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[
            ClusterChange::NodeAdded,
            ClusterChange::NodeLabels,
            ClusterChange::PodAssigned,
            ClusterChange::PodRemoved,
        ]
    }

    fn check<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Check<'a>> {
        let wanted = terms(pod, required_affinity);
        let unwanted = terms(pod, required_anti_affinity);
        let forbidden = forbidden_by_placed(pod, snapshot);
        if wanted.is_empty() && unwanted.is_empty() && forbidden.is_empty() {
            return None;
        }
        let avoided = unwanted.iter().flat_map(|term| near(term, snapshot));
        let avoided: BTreeSet<(&str, &str)> = avoided.collect();
        // A pod counts as company only if it is meant by every term.
        let company = company(&wanted, snapshot);
        let first_of_its_kind = company.is_empty() && wanted.iter().all(|term| term.means(pod, snapshot));
        Some(Box::new(move |node| {
            for term in &wanted {
                let Some(value) = node.label(term.key) else {
                    return Err(Rejection::for_good(NAME, AFFINITY));
                };
                if !first_of_its_kind && !company.contains(&(term.key, value)) {
                    return Err(Rejection::for_good(NAME, AFFINITY));
                }
            }
            if unwanted.iter().any(|term| {
                node.label(term.key)
                    .is_some_and(|value| avoided.contains(&(term.key, value)))
            }) {
                return Err(Rejection::for_now(NAME, ANTI_AFFINITY));
            }
            if forbidden.iter().any(|(key, value)| node.label(key) == Some(value)) {
                return Err(Rejection::for_now(NAME, EXISTING_ANTI_AFFINITY));
            }
            Ok(())
        }))
    }
}

impl Score for InterPodAffinity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn weight(&self) -> i64 {
        2
    }

    fn points<'a>(&self, pod: &'a PodInfo, _: &'a [&'a NodeInfo], snapshot: &'a Snapshot) -> Option<Points<'a>> {
        let mut domains: BTreeMap<(String, String), i64> = BTreeMap::new();
        let own = preferred_terms(pod);
        for (node, other) in placed(snapshot) {
            let mut add = |term: &Term<'_>, points: i64| {
                if let Some(value) = node.label(term.key) {
                    *domains.entry((term.key.to_owned(), value.to_owned())).or_insert(0) += points;
                }
            };
            own.iter()
                .filter(|(term, _)| term.means(other, snapshot))
                .for_each(|(term, points)| add(term, *points));
            let theirs = preferred_terms(other)
                .into_iter()
                .filter(|(term, _)| term.means(pod, snapshot));
            theirs.for_each(|(term, points)| add(&term, points));
            let required = terms(other, required_affinity)
                .into_iter()
                .filter(|term| term.means(pod, snapshot));
            required.for_each(|term| add(&term, HARD_AFFINITY_WEIGHT));
        }
        if domains.is_empty() {
            return None;
        }
        Some(Box::new(move |node| {
            let near = domains
                .iter()
                .filter(|((key, value), _)| node.label(key) == Some(value));
            near.map(|(_, points)| points).sum()
        }))
    }

    fn normalise(&self, points: &mut [i64]) {
        let most = points.iter().copied().max().unwrap_or(0);
        let fewest = points.iter().copied().min().unwrap_or(0);
        for own in points {
            *own = if most == fewest {
                0
            } else {
                BEST * (*own - fewest) / (most - fewest)
            };
        }
    }
}

impl<'a> Term<'a> {
    /// A term of `pod`.
    fn new(term: &'a PodAffinityTerm, pod: &PodInfo) -> Self {
        let labels = pod.pod.metadata.labels.as_ref();
        let mut selector = term.label_selector.clone();
        if let Some(selector) = &mut selector {
            for key in term.match_label_keys.iter().flatten() {
                if let Some(value) = labels.and_then(|labels| labels.get(key)) {
                    selector
                        .match_labels
                        .get_or_insert_default()
                        .insert(key.clone(), value.clone());
                }
            }
        }
        let mut namespaces: BTreeSet<String> = term.namespaces.iter().flatten().cloned().collect();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.insert(pod.namespace().to_owned());
        }
        // Selectors that cannot be read are kept out by validation and would select nothing.
        let compile = |typed: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>| {
            LabelSelector::from_optional(typed).unwrap_or_else(|_unreadable| LabelSelector::nothing())
        };
        Self {
            key: &term.topology_key,
            namespaces,
            namespace_selector: compile(term.namespace_selector.as_ref()),
            selector: compile(selector.as_ref()),
        }
    }

    /// Does the term mean this pod?
    fn means(&self, pod: &PodInfo, snapshot: &Snapshot) -> bool {
        let namespace = pod.namespace();
        let in_selected = || {
            let labels = snapshot.namespaces.get(namespace);
            self.namespace_selector
                .matches_with(|key| labels?.get(key).map(String::as_str))
        };
        (self.namespaces.contains(namespace) || in_selected()) && pod.matches(&self.selector)
    }
}

fn placed(snapshot: &Snapshot) -> impl Iterator<Item = (&NodeInfo, &PodInfo)> {
    snapshot
        .nodes()
        .flat_map(|node| node.pods().map(move |pod| (node, pod)))
}

/// Where the pods that a term means are.
fn near<'a>(term: &Term<'a>, snapshot: &'a Snapshot) -> Vec<(&'a str, &'a str)> {
    let meant = placed(snapshot).filter(|(_, pod)| term.means(pod, snapshot));
    meant
        .filter_map(|(node, _)| Some((term.key, node.label(term.key)?)))
        .collect()
}

fn company<'a>(terms: &[Term<'a>], snapshot: &'a Snapshot) -> BTreeSet<(&'a str, &'a str)> {
    if terms.is_empty() {
        return BTreeSet::new();
    }
    let meant = placed(snapshot).filter(|(_, pod)| terms.iter().all(|term| term.means(pod, snapshot)));
    meant
        .flat_map(|(node, _)| {
            terms
                .iter()
                .filter_map(move |term| Some((term.key, node.label(term.key)?)))
        })
        .collect()
}

/// Where placed pods do not want the pod.
fn forbidden_by_placed(pod: &PodInfo, snapshot: &Snapshot) -> Vec<(String, String)> {
    let mut forbidden = BTreeSet::new();
    for (node, other) in placed(snapshot) {
        for term in terms(other, required_anti_affinity) {
            if let Some(value) = node.label(term.key).filter(|_| term.means(pod, snapshot)) {
                forbidden.insert((term.key.to_owned(), value.to_owned()));
            }
        }
    }
    forbidden.into_iter().collect()
}

fn terms<'a>(pod: &'a PodInfo, choose: fn(&'a Affinity) -> Option<&'a Vec<PodAffinityTerm>>) -> Vec<Term<'a>> {
    let affinity = pod.pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let terms = affinity.and_then(choose).into_iter().flatten();
    terms.map(|term| Term::new(term, pod)).collect()
}

/// The pod's preferences with their points; those to be far from count against a node.
fn preferred_terms(pod: &PodInfo) -> Vec<(Term<'_>, i64)> {
    let Some(affinity) = pod.pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()) else {
        return Vec::new();
    };
    let weighted = |term: &'_ WeightedPodAffinityTerm, sign: i64| i64::from(term.weight) * sign;
    let near = affinity.pod_affinity.as_ref();
    let near = near.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
    let far = affinity.pod_anti_affinity.as_ref();
    let far = far.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
    let near = near
        .into_iter()
        .flatten()
        .map(|term| (Term::new(&term.pod_affinity_term, pod), weighted(term, 1)));
    let far = far
        .into_iter()
        .flatten()
        .map(|term| (Term::new(&term.pod_affinity_term, pod), weighted(term, -1)));
    near.chain(far).collect()
}

fn required_affinity(affinity: &Affinity) -> Option<&Vec<PodAffinityTerm>> {
    affinity
        .pod_affinity
        .as_ref()?
        .required_during_scheduling_ignored_during_execution
        .as_ref()
}

fn required_anti_affinity(affinity: &Affinity) -> Option<&Vec<PodAffinityTerm>> {
    affinity
        .pod_anti_affinity
        .as_ref()?
        .required_during_scheduling_ignored_during_execution
        .as_ref()
}
