//! On which nodes a DaemonSet's pods are meant to be, and how a pod is tied to its node.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration,
};
use scheduling::node_terms::pod_allows;
use scheduling::taints::{Effect, first_untolerated};
use scheduling::{PodInfo, Snapshot};

/// What a node means to a set.
pub(super) struct Place {
    /// A pod should be started there.
    pub starts: bool,
    /// A pod that is there may stay.
    pub keeps: bool,
}

/// Taints that pods of a DaemonSet tolerate: troubles of the node do not keep its agents away.
/// Source of the list: `AddOrUpdateDaemonPodTolerations`.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK_UNAVAILABLE: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// What `node` means to `set`. Source of the rule: `NodeShouldRunDaemonPod`.
pub(super) fn of(set: &DaemonSet, node: &Arc<Node>) -> Place {
    let mut spec = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.clone())
        .unwrap_or_default();
    tolerate(&mut spec);
    let wanted = spec.node_name.clone().filter(|name| !name.is_empty());
    let elsewhere = wanted.is_some_and(|wanted| Some(&wanted) != node.metadata.name.as_ref());
    let pod = PodInfo::new(Arc::new(Pod {
        spec: Some(spec),
        ..Pod::default()
    }));
    let mut snapshot = Snapshot::default();
    snapshot.put_node(node.clone());
    let selected = snapshot.nodes().all(|node| pod_allows(&pod.pod, node));
    if elsewhere || !selected {
        return Place {
            starts: false,
            keeps: false,
        };
    }
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    let tolerations = pod
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.tolerations.as_deref())
        .unwrap_or_default();
    let stopped_by = |effects: &[Effect]| first_untolerated(taints, tolerations, effects).is_some();
    Place {
        starts: !stopped_by(&[Effect::NoSchedule, Effect::NoExecute]),
        keeps: !stopped_by(&[Effect::NoExecute]),
    }
}

/// Ties a pod to a node: the scheduler still places it, but it can only go there.
pub(super) fn pin(spec: &mut PodSpec, node: &str) {
    tolerate(spec);
    let term = NodeSelectorTerm {
        match_fields: Some(vec![NodeSelectorRequirement {
            key: "metadata.name".to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![node.to_owned()]),
        }]),
        match_expressions: None,
    };
    let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
    let affinity: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    // What the template asked for was checked when the node was chosen.
    affinity.required_during_scheduling_ignored_during_execution = Some(NodeSelector {
        node_selector_terms: vec![term],
    });
}

/// The node that a pod is on, or is tied to while it waits for the scheduler.
pub(super) fn target(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(name) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        return Some(name);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?
        .node_selector_terms;
    let fields = terms.iter().filter_map(|term| term.match_fields.as_ref()).flatten();
    let mut named = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
    named.find_map(|field| field.values.as_ref()?.first().map(String::as_str))
}

fn tolerate(spec: &mut PodSpec) {
    let on_host_network = spec.host_network.unwrap_or(false);
    let tolerations = spec.tolerations.get_or_insert_default();
    let more = on_host_network.then_some(NETWORK_UNAVAILABLE);
    for (key, effect) in TOLERATED.into_iter().chain(more) {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        tolerations.retain(|present| {
            (&present.key, &present.effect, &present.operator)
                != (&toleration.key, &toleration.effect, &toleration.operator)
        });
        tolerations.push(toleration);
    }
}
