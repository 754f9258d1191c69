//! The rolling update of a DaemonSet: old pods go a few at a time, or new ones come beside them first.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_types::int_or_string::{Rounding, scaled};
use plan::Step;

use super::{State, placement};
use crate::pod::{self, Availability};

impl State<'_> {
    /// The steps of the update that may be taken now. Source of the rule: `DaemonSetsController.rollingUpdate`.
    pub(super) fn update(&self) -> Vec<Step> {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
            return Vec::new();
        }
        let nodes: Vec<_> = self
            .world
            .nodes
            .all()
            .filter(|node| placement::of(self.set, node).starts)
            .collect();
        if max_surge(self.set, nodes.len()) > 0 {
            return self.surge(&nodes);
        }
        let most = max_unavailable(self.set, nodes.len());
        let mut unavailable = 0;
        let mut broken = Vec::new();
        let mut healthy = Vec::new();
        for node in &nodes {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let pods = self.by_node.get(name).map(Vec::as_slice).unwrap_or_default();
            let Some(pod) = pods.iter().find(|pod| pod::is_active(pod)) else {
                unavailable += 1;
                continue;
            };
            let is_available = self.is_available(pod);
            unavailable += usize::from(!is_available);
            match (self.is_current(pod), is_available) {
                (true, _) => {}
                (false, true) => healthy.push(pod),
                (false, false) => broken.push(pod),
            }
        }
        // Old pods that do not serve anyway can all go; healthy ones only as far as the limit allows.
        let room = most.saturating_sub(unavailable);
        broken
            .into_iter()
            .chain(healthy.into_iter().take(room))
            .map(|pod| self.deletion(pod))
            .collect()
    }

    fn surge(&self, nodes: &[&std::sync::Arc<k8s_openapi::api::core::v1::Node>]) -> Vec<Step> {
        let mut surging = 0;
        let mut steps = Vec::new();
        let mut waiting = Vec::new();
        for node in nodes {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let pods = self.by_node.get(name).map(Vec::as_slice).unwrap_or_default();
            let active = pods.iter().filter(|pod| pod::is_active(pod));
            let (new, old): (Vec<_>, Vec<_>) = active.partition(|pod| self.is_current(pod));
            match (new.first(), old.first()) {
                (Some(new), Some(old)) if self.is_available(new) => steps.push(self.deletion(old)),
                (Some(_), Some(_)) => surging += 1,
                (None, Some(old)) if !self.is_available(old) => steps.push(self.deletion(old)),
                (None, Some(_)) => waiting.push(*node),
                (_, None) => {}
            }
        }
        let room = max_surge(self.set, nodes.len()).saturating_sub(surging);
        steps.extend(waiting.into_iter().take(room).map(|node| self.creation(node)));
        steps
    }

    fn is_available(&self, pod: &k8s_openapi::api::core::v1::Pod) -> bool {
        let min_ready = self
            .set
            .spec
            .as_ref()
            .and_then(|spec| spec.min_ready_seconds)
            .unwrap_or(0);
        pod::availability(pod, min_ready, self.now) == Availability::Available
    }
}

/// How many nodes may have a second pod during an update.
pub(super) fn max_surge(set: &DaemonSet, nodes: usize) -> usize {
    number(set, nodes, |rolling| rolling.max_surge.clone(), 0)
}

/// How many nodes may be without an available pod during an update.
fn max_unavailable(set: &DaemonSet, nodes: usize) -> usize {
    number(set, nodes, |rolling| rolling.max_unavailable.clone(), 1)
}

fn number(
    set: &DaemonSet,
    nodes: usize,
    choose: impl Fn(&k8s_openapi::api::apps::v1::RollingUpdateDaemonSet) -> Option<IntOrString>,
    default: i32,
) -> usize {
    let rolling = set
        .spec
        .as_ref()
        .and_then(|spec| spec.update_strategy.as_ref()?.rolling_update.as_ref());
    let value = rolling.and_then(choose).unwrap_or(IntOrString::Int(default));
    let nodes = i32::try_from(nodes).unwrap_or(i32::MAX);
    // Validation lets only numbers and percentages in.
    let number = scaled(&value, nodes, Rounding::Up).unwrap_or(default);
    usize::try_from(number).unwrap_or(0)
}
