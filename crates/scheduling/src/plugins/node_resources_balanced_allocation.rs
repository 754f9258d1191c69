//! A node whose CPU and memory are used to the same degree is better than one with much of one left.

use crate::plugin::{BEST, Points, Score};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// `NodeResourcesBalancedAllocation`
pub struct NodeResourcesBalancedAllocation;

impl Score for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn points<'a>(&self, pod: &'a PodInfo, _: &'a [&'a NodeInfo], _: &'a Snapshot) -> Option<Points<'a>> {
        // A pod that requests nothing changes no balance.
        if pod.requests.get("cpu") == 0 && pod.requests.get("memory") == 0 {
            return None;
        }
        Some(Box::new(move |node| {
            let fraction = |name: &str| {
                let all = node.allocatable.get(name);
                let used = node.requested.get(name) + pod.requests.get(name);
                #[allow(
                    clippy::cast_precision_loss,
                    reason = "a ratio of amounts; the last digits do not matter"
                )]
                let fraction = if all == 0 { 0.0 } else { used as f64 / all as f64 };
                fraction.min(1.0)
            };
            // The standard deviation of two numbers is half their distance.
            let deviation = (fraction("cpu") - fraction("memory")).abs() / 2.0;
            #[allow(clippy::cast_possible_truncation, reason = "between 0 and 100")]
            let points = ((1.0 - deviation) * BEST as f64) as i64;
            points
        }))
    }
}
