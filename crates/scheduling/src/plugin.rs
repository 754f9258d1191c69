//! What a plugin is, and the list of all.

use crate::plugins;
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// The best score a plugin can give a node.
pub const BEST: i64 = 100;

/// Something that happened in the cluster and may let a pod fit that did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterChange {
    /// A node came.
    NodeAdded,
    /// A node's allocatable amounts changed.
    NodeAllocatable,
    /// A node's labels changed.
    NodeLabels,
    /// A node's taints changed, or it became schedulable.
    NodeTaints,
    /// A pod was placed, or the labels of a placed one changed.
    PodAssigned,
    /// A placed pod ended, went, or shrank.
    PodRemoved,
    /// A claim of storage changed.
    Claim,
}

/// Why a node is not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The plugin that says so.
    pub plugin: &'static str,
    /// Reasons in upstream's words; each is counted on its own.
    pub reasons: Vec<String>,
    /// Could the removal of other pods help?
    pub preemption_may_help: bool,
}

/// The check of one pod against any node.
pub type Check<'a> = Box<dyn Fn(&NodeInfo) -> Result<(), Rejection> + 'a>;

/// The points of a node for one pod.
pub type Points<'a> = Box<dyn Fn(&NodeInfo) -> i64 + 'a>;

/// Says which nodes are possible.
pub trait Filter: Send + Sync {
    /// Upstream's name of the plugin.
    fn name(&self) -> &'static str;
    /// What may change its mind.
    fn wakes_on(&self) -> &'static [ClusterChange];
    /// Prepares the check for a pod; nothing when the plugin has nothing to say about it.
    fn check<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Check<'a>>;
}

/// Says which possible nodes are better.
pub trait Score: Send + Sync {
    /// Upstream's name of the plugin.
    fn name(&self) -> &'static str;
    /// How much its points count (upstream's default profile).
    fn weight(&self) -> i64;
    /// Prepares the points for a pod among the possible nodes; nothing when all would get the same.
    fn points<'a>(&self, pod: &'a PodInfo, possible: &'a [&'a NodeInfo], snapshot: &'a Snapshot) -> Option<Points<'a>>;
    /// Brings the points of all possible nodes into 0 to [`BEST`].
    fn normalise(&self, _points: &mut [i64]) {}
}

/// Every filter. A node is rejected by the first that objects, so cheap ones and those that preemption cannot help come
/// first (upstream's default order).
pub const FILTERS: &[&dyn Filter] = &[
    &plugins::node_unschedulable::NodeUnschedulable,
    &plugins::node_name::NodeName,
    &plugins::taint_toleration::TaintToleration,
    &plugins::node_affinity::NodeAffinity,
    &plugins::node_ports::NodePorts,
    &plugins::node_resources_fit::NodeResourcesFit,
    &plugins::volume_binding::VolumeBinding,
    &plugins::pod_topology_spread::PodTopologySpread,
    &plugins::inter_pod_affinity::InterPodAffinity,
];

/// Every score.
pub const SCORES: &[&dyn Score] = &[
    &plugins::taint_toleration::TaintToleration,
    &plugins::node_affinity::NodeAffinity,
    &plugins::node_resources_fit::NodeResourcesFit,
    &plugins::pod_topology_spread::PodTopologySpread,
    &plugins::inter_pod_affinity::InterPodAffinity,
    &plugins::node_resources_balanced_allocation::NodeResourcesBalancedAllocation,
    &plugins::image_locality::ImageLocality,
];

impl Rejection {
    /// A rejection that the removal of other pods may lift.
    pub fn for_now(plugin: &'static str, reason: impl Into<String>) -> Self {
        Self {
            plugin,
            reasons: vec![reason.into()],
            preemption_may_help: true,
        }
    }

    /// A rejection that stays whatever other pods do.
    pub fn for_good(plugin: &'static str, reason: impl Into<String>) -> Self {
        Self {
            plugin,
            reasons: vec![reason.into()],
            preemption_may_help: false,
        }
    }
}

/// Scales points so that the best node gets [`BEST`]; `reverse` gives it to the node with the fewest.
pub(crate) fn scale(points: &mut [i64], reverse: bool) {
    let most = points.iter().copied().max().unwrap_or(0);
    if most == 0 {
        if reverse {
            points.fill(BEST);
        }
        return;
    }
    for own in points {
        *own = BEST * *own / most;
        if reverse {
            *own = BEST - *own;
        }
    }
}
