//! Nodes that are cordoned take no new pods, unless a pod tolerates that.

use k8s_openapi::api::core::v1::Taint;

use crate::plugin::{Check, ClusterChange, Filter, Rejection};
use crate::snapshot::{PodInfo, Snapshot};
use crate::taints::any_tolerates;

/// `NodeUnschedulable`
pub struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[ClusterChange::NodeAdded, ClusterChange::NodeTaints]
    }

    fn check<'a>(&self, pod: &'a PodInfo, _snapshot: &'a Snapshot) -> Option<Check<'a>> {
        let cordoned = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        let tolerations = pod
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.tolerations.as_deref())
            .unwrap_or_default();
        if any_tolerates(tolerations, &cordoned) {
            return None;
        }
        Some(Box::new(|node| {
            match node.node.spec.as_ref().and_then(|spec| spec.unschedulable) {
                Some(true) => Err(Rejection::for_good("NodeUnschedulable", "node(s) were unschedulable")),
                Some(false) | None => Ok(()),
            }
        }))
    }
}
