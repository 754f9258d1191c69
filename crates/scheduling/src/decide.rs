//! One decision: filter, score, choose; or say, in upstream's words, why no node will do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::plugin::{Check, FILTERS, Rejection, SCORES};
use crate::preemption::{self, Preemption};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// What to do with a pod.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Put it on this node.
    Place {
        /// Name of the node.
        node: String,
        /// How many nodes would have done.
        feasible: usize,
    },
    /// It fits nowhere now.
    Impossible(FitError),
}

/// Why a pod fits nowhere.
#[derive(Clone, Debug)]
pub struct FitError {
    /// How many nodes were looked at.
    pub nodes: usize,
    /// Why each node was rejected.
    pub rejections: BTreeMap<String, Rejection>,
    /// What removing other pods would achieve.
    pub preemption: Preemption,
}

impl FitError {
    /// The plugins that rejected some node: a change that none of them waits for cannot help.
    pub fn plugins(&self) -> BTreeSet<&'static str> {
        self.rejections.values().map(|rejection| rejection.plugin).collect()
    }
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        let reasons = self
            .rejections
            .values()
            .flat_map(|rejection| rejection.reasons.iter().map(String::as_str));
        write!(f, "0/{} nodes are available: {}.", self.nodes, counted(reasons))?;
        let told = self.preemption.reasons();
        if told.is_empty() {
            return Ok(());
        }
        write!(
            f,
            " preemption: 0/{} nodes are available: {}.",
            self.nodes,
            counted(told.into_iter())
        )
    }
}

/// Where `pod` should go.
pub fn schedule(pod: &PodInfo, snapshot: &Snapshot) -> Decision {
    let checks: Vec<Check<'_>> = FILTERS
        .iter()
        .filter_map(|filter| filter.check(pod, snapshot))
        .collect();
    let mut possible = Vec::new();
    let mut rejections = BTreeMap::new();
    for node in snapshot.nodes() {
        match check_all(&checks, node) {
            Ok(()) => possible.push(node),
            Err(rejection) => {
                rejections.insert(node.name().to_owned(), rejection);
            }
        }
    }
    match best(pod, &possible, snapshot) {
        Some(node) => Decision::Place {
            node: node.name().to_owned(),
            feasible: possible.len(),
        },
        None => {
            let preemption = preemption::find(pod, snapshot, &rejections);
            Decision::Impossible(FitError {
                nodes: snapshot.node_count(),
                rejections,
                preemption,
            })
        }
    }
}

/// Does `pod` fit on the node with this name?
pub fn fits(pod: &PodInfo, node: &str, snapshot: &Snapshot) -> bool {
    let mut checks = FILTERS.iter().filter_map(|filter| filter.check(pod, snapshot));
    snapshot
        .node(node)
        .is_some_and(|node| checks.all(|check| check(node).is_ok()))
}

fn check_all(checks: &[Check<'_>], node: &NodeInfo) -> Result<(), Rejection> {
    checks.iter().try_for_each(|check| check(node))
}

/// The node with the most points; among equals the one with fewer pods, then the first by name.
fn best<'a>(pod: &PodInfo, possible: &[&'a NodeInfo], snapshot: &Snapshot) -> Option<&'a NodeInfo> {
    if possible.len() < 2 {
        return possible.first().copied();
    }
    let mut totals = vec![0_i64; possible.len()];
    for score in SCORES {
        let Some(points_of) = score.points(pod, possible, snapshot) else {
            continue;
        };
        let mut points: Vec<i64> = possible.iter().map(|node| points_of(node)).collect();
        score.normalise(&mut points);
        for (total, own) in totals.iter_mut().zip(points) {
            *total += own * score.weight();
        }
    }
    let ranked = possible.iter().zip(totals);
    let rank = |(node, total): &(&&NodeInfo, i64)| (-total, node.pod_count(), node.name().to_owned());
    ranked.min_by_key(rank).map(|(node, _)| *node)
}

/// `2 Insufficient cpu, 1 Too many pods`: each reason with its count, in alphabetical order of the text.
fn counted<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    let mut texts: Vec<String> = counts
        .into_iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    texts.sort();
    texts.join(", ")
}

#[cfg(test)]
mod tests;
