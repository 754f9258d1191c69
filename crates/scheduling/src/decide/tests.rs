//! Where pods go, and what is said when they can go nowhere.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, Node, NodeSpec, NodeStatus, Pod, PodSpec, ResourceRequirements, Taint,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::*;

/// A node called `name` in `zone` with a CPU, 1 GiB and room for three pods, changed by `edit`.
fn node(name: &str, zone: &str, edit: impl FnOnce(&mut Node)) -> Arc<Node> {
    let quantity = |text: &str| Quantity(text.to_owned());
    let labels = [("kubernetes.io/hostname", name), ("topology.kubernetes.io/zone", zone)];
    let mut node = Node {
        metadata: ObjectMeta {
            name: Some(name.into()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec::default()),
        status: Some(NodeStatus {
            allocatable: Some(
                [("cpu", "1"), ("memory", "1Gi"), ("pods", "3")]
                    .map(|(key, value)| (key.to_owned(), quantity(value)))
                    .into(),
            ),
            ..NodeStatus::default()
        }),
    };
    edit(&mut node);
    Arc::new(node)
}

fn pod(name: &str, cpu: &str, edit: impl FnOnce(&mut PodSpec)) -> PodInfo {
    let mut spec = PodSpec {
        containers: vec![Container {
            name: "main".into(),
            resources: Some(ResourceRequirements {
                requests: Some([("cpu".to_owned(), Quantity(cpu.into()))].into()),
                ..ResourceRequirements::default()
            }),
            ..Container::default()
        }],
        ..PodSpec::default()
    };
    edit(&mut spec);
    PodInfo::new(Arc::new(Pod {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some(name.into()),
            uid: Some(format!("uid-{name}")),
            labels: Some([("app".to_owned(), "web".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }))
}

fn snapshot(nodes: impl IntoIterator<Item = Arc<Node>>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    nodes.into_iter().for_each(|node| snapshot.put_node(node));
    snapshot
}

fn said(pod: &PodInfo, snapshot: &Snapshot) -> String {
    match schedule(pod, snapshot) {
        Decision::Place { node, .. } => node,
        Decision::Impossible(error) => error.to_string(),
    }
}

fn taint(key: &str) -> Taint {
    Taint {
        key: key.into(),
        value: Some("true".into()),
        effect: "NoSchedule".into(),
        time_added: None,
    }
}

#[test]
fn no_node_is_told_apart_from_no_possible_node() {
    assert_eq!(
        said(&pod("a", "1", |_| {}), &snapshot([])),
        "no nodes available to schedule pods"
    );
}

#[test]
fn the_reasons_of_all_nodes_are_counted_in_upstreams_words() {
    let mut snapshot = snapshot([
        node("a", "z1", |node| {
            node.spec.as_mut().unwrap().taints = Some(vec![taint("gpu")])
        }),
        node("b", "z1", |node| node.spec.as_mut().unwrap().unschedulable = Some(true)),
        node("c", "z2", |_| {}),
        node("d", "z2", |_| {}),
    ]);
    snapshot.put_pod(pod("one", "600m", |_| {}), "c");
    snapshot.put_pod(pod("two", "600m", |_| {}), "d");
    insta::assert_snapshot!(said(&pod("new", "500m", |_| {}), &snapshot), @"0/4 nodes are available: 1 node(s) had untolerated taint {gpu: true}, 1 node(s) were unschedulable, 2 Insufficient cpu. preemption: 0/4 nodes are available: 2 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.");
}

#[test]
fn a_node_takes_no_more_pods_than_its_type_has_addresses() {
    let mut snapshot = snapshot([node("a", "z1", |_| {})]);
    for name in ["one", "two", "three"] {
        assert_eq!(said(&pod(name, "1m", |_| {}), &snapshot), "a");
        snapshot.put_pod(pod(name, "1m", |_| {}), "a");
    }
    insta::assert_snapshot!(said(&pod("four", "1m", |_| {}), &snapshot), @"0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.");
    snapshot.remove_pod("uid-one");
    assert_eq!(said(&pod("four", "1m", |_| {}), &snapshot), "a");
}

#[test]
fn selectors_ports_and_claims_are_told_by_their_own_reasons() {
    let mut snapshot = snapshot([node("a", "z1", |_| {})]);
    let port = |spec: &mut PodSpec| {
        spec.containers[0].ports = Some(vec![ContainerPort {
            host_port: Some(80),
            container_port: 80,
            ..Default::default()
        }]);
    };
    snapshot.put_pod(pod("web", "1m", port), "a");
    let reason = |pod: PodInfo| said(&pod, &snapshot).split('.').next().unwrap_or_default().to_owned();
    assert_eq!(
        reason(pod("p", "1m", port)),
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports"
    );
    let selects = |spec: &mut PodSpec| spec.node_selector = Some([("disk".to_owned(), "ssd".to_owned())].into());
    assert_eq!(
        reason(pod("s", "1m", selects)),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector"
    );
    let claims = |spec: &mut PodSpec| {
        let claim = k8s_openapi::api::core::v1::PersistentVolumeClaimVolumeSource {
            claim_name: "data".into(),
            ..Default::default()
        };
        spec.volumes = Some(vec![k8s_openapi::api::core::v1::Volume {
            name: "data".into(),
            persistent_volume_claim: Some(claim),
            ..Default::default()
        }]);
    };
    assert_eq!(
        reason(pod("c", "1m", claims)),
        "0/1 nodes are available: 1 persistentvolumeclaim \"data\" not found"
    );
}

#[test]
fn pods_of_a_service_are_spread_over_zones_and_nodes() {
    let mut snapshot = snapshot([
        node("a", "z1", |_| {}),
        node("b", "z1", |_| {}),
        node("c", "z2", |_| {}),
    ]);
    let mut counts = BTreeMap::new();
    for index in 0..6 {
        let mut own = pod(&format!("web-{index}"), "10m", |_| {});
        own.spread_with = Some(kube_types::selector::LabelSelector::parse("app=web").unwrap());
        let chosen = said(&own, &snapshot);
        *counts.entry(chosen.clone()).or_insert(0) += 1;
        snapshot.put_pod(own, &chosen);
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn a_required_spread_refuses_what_would_be_too_uneven() {
    let constrained = |spec: &mut PodSpec| {
        spec.topology_spread_constraints = Some(vec![TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "topology.kubernetes.io/zone".into(),
            when_unsatisfiable: "DoNotSchedule".into(),
            label_selector: Some(LabelSelector {
                match_labels: Some([("app".to_owned(), "web".to_owned())].into()),
                ..LabelSelector::default()
            }),
            ..TopologySpreadConstraint::default()
        }]);
    };
    let full = |node: &mut Node| node.spec.as_mut().unwrap().unschedulable = Some(true);
    let mut snapshot = snapshot([node("a", "z1", |_| {}), node("b", "z2", full)]);
    snapshot.put_pod(pod("one", "1m", constrained), "a");
    insta::assert_snapshot!(said(&pod("two", "1m", constrained), &snapshot), @"0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.");
}

#[test]
fn anti_affinity_keeps_pods_apart_in_both_directions() {
    use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm, PodAntiAffinity};
    let apart = |spec: &mut PodSpec| {
        spec.affinity = Some(Affinity {
            pod_anti_affinity: Some(PodAntiAffinity {
                required_during_scheduling_ignored_during_execution: Some(vec![PodAffinityTerm {
                    topology_key: "kubernetes.io/hostname".into(),
                    label_selector: Some(LabelSelector {
                        match_labels: Some([("app".to_owned(), "web".to_owned())].into()),
                        ..LabelSelector::default()
                    }),
                    ..PodAffinityTerm::default()
                }]),
                ..PodAntiAffinity::default()
            }),
            ..Affinity::default()
        });
    };
    let mut snapshot = snapshot([node("a", "z1", |_| {})]);
    snapshot.put_pod(pod("one", "1m", apart), "a");
    assert!(said(&pod("two", "1m", apart), &snapshot).contains("1 node(s) didn't match pod anti-affinity rules"));
    assert!(
        said(&pod("two", "1m", |_| {}), &snapshot)
            .contains("1 node(s) didn't satisfy existing pods anti-affinity rules")
    );
}

#[test]
fn an_important_pod_finds_the_least_important_victims() {
    let mut snapshot = snapshot([node("a", "z1", |_| {}), node("b", "z1", |_| {})]);
    snapshot.put_pod(pod("cheap", "600m", |spec| spec.priority = Some(1)), "a");
    snapshot.put_pod(pod("tiny", "100m", |spec| spec.priority = Some(1)), "a");
    snapshot.put_pod(pod("dear", "600m", |spec| spec.priority = Some(5)), "b");
    let Decision::Impossible(error) = schedule(&pod("vip", "800m", |spec| spec.priority = Some(10)), &snapshot) else {
        panic!("nothing is free");
    };
    let candidate = error.preemption.candidate.unwrap();
    let victims: Vec<_> = candidate
        .victims
        .iter()
        .filter_map(|pod| pod.metadata.name.clone())
        .collect();
    assert_eq!((candidate.node.as_str(), victims), ("a", vec!["cheap".to_owned()]));
}

#[test]
fn room_is_made_where_no_disruption_budget_is_broken() {
    let mut snapshot = snapshot([node("a", "z1", |_| {}), node("b", "z1", |_| {})]);
    snapshot.put_pod(pod("guarded", "600m", |spec| spec.priority = Some(1)), "a");
    let mut free = Pod::clone(&pod("free", "600m", |spec| spec.priority = Some(5)).pod);
    free.metadata.labels = None;
    snapshot.put_pod(PodInfo::new(Arc::new(free)), "b");
    let vip = pod("vip", "800m", |spec| spec.priority = Some(10));
    let chosen = |snapshot: &Snapshot| match schedule(&vip, snapshot) {
        Decision::Impossible(error) => error.preemption.candidate.unwrap().node,
        Decision::Place { node, .. } => panic!("nothing is free on {node}"),
    };
    assert_eq!(chosen(&snapshot), "a", "the less important one");
    let budget = |allowed: i32| {
        use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
        let selector = LabelSelector {
            match_labels: Some([("app".to_owned(), "web".to_owned())].into()),
            ..LabelSelector::default()
        };
        let budget = PodDisruptionBudget {
            metadata: ObjectMeta {
                namespace: Some("shop".into()),
                ..ObjectMeta::default()
            },
            spec: Some(PodDisruptionBudgetSpec {
                selector: Some(selector),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: Some(PodDisruptionBudgetStatus {
                disruptions_allowed: Some(allowed),
                ..PodDisruptionBudgetStatus::default()
            }),
        };
        (kube_types::ObjectKey::namespaced("shop", "web"), Arc::new(budget))
    };
    snapshot.budgets.extend([budget(0)]);
    assert_eq!(chosen(&snapshot), "b", "its budget allows no disruption");
    snapshot.budgets.extend([budget(1)]);
    assert_eq!(chosen(&snapshot), "a");
}

#[test]
fn a_decision_depends_on_nothing_but_its_input() {
    let nodes = || snapshot([node("a", "z1", |_| {}), node("b", "z2", |_| {})]);
    let first = said(&pod("p", "100m", |_| {}), &nodes());
    assert!((0..5).all(|_| said(&pod("p", "100m", |_| {}), &nodes()) == first));
}
