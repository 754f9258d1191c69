//! One pod on every node that wants one, replaced a few at a time.

use k8s_openapi::api::apps::v1::DaemonSetSpec;
use k8s_openapi::api::core::v1::{Container, NodeSpec, PodSpec, PodTemplateSpec, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, ObjectMeta};

use super::*;
use crate::simulation::Simulation;

fn set() -> DaemonSet {
    let labels = Some([("app".to_owned(), "agent".to_owned())].into());
    DaemonSet {
        metadata: ObjectMeta {
            namespace: Some("sys".into()),
            name: Some("agent".into()),
            ..ObjectMeta::default()
        },
        spec: Some(DaemonSetSpec {
            selector: Selector {
                match_labels: labels.clone(),
                ..Selector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels,
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    containers: vec![Container {
                        name: "agent".into(),
                        image: Some("agent:1".into()),
                        ..Container::default()
                    }],
                    ..PodSpec::default()
                }),
            },
            ..DaemonSetSpec::default()
        }),
        status: None,
    }
}

fn node(name: &str, taints: &[(&str, &str)]) -> Node {
    let taints = taints.iter().map(|(key, effect)| Taint {
        key: (*key).into(),
        effect: (*effect).into(),
        ..Taint::default()
    });
    Node {
        metadata: ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            taints: Some(taints.collect()),
            ..NodeSpec::default()
        }),
        status: None,
    }
}

/// Three nodes; new ones are not ready yet, and one is reserved for something else.
fn simulation() -> Simulation {
    let mut simulation = Simulation::new(vec![Box::new(DaemonSets)]);
    simulation.create(node(
        "a",
        &[
            ("node.kubernetes.io/not-ready", "NoExecute"),
            ("node.kubernetes.io/unschedulable", "NoSchedule"),
        ],
    ));
    simulation.create(node("b", &[]));
    simulation.create(node("c", &[("gpu", "NoSchedule")]));
    simulation.create(set());
    simulation.settle(6);
    simulation
}

fn targets(simulation: &Simulation) -> Vec<String> {
    let active = simulation.world.pods.all().filter(|pod| pod::is_active(pod));
    let mut targets: Vec<String> = active
        .filter_map(|pod| placement::target(pod).map(str::to_owned))
        .collect();
    targets.sort();
    targets
}

fn status(simulation: &Simulation) -> DaemonSetStatus {
    simulation
        .world
        .daemon_sets
        .named("sys", "agent")
        .unwrap()
        .status
        .clone()
        .unwrap()
}

#[test]
fn every_node_whose_taints_are_tolerated_gets_a_pod() {
    let mut simulation = simulation();
    assert_eq!(targets(&simulation), ["a", "b"]);
    simulation.make_ready(|_| true);
    simulation.settle(4);
    let status = status(&simulation);
    assert_eq!(
        (
            status.desired_number_scheduled,
            status.number_ready,
            status.number_available
        ),
        (2, 2, Some(2))
    );
    assert_eq!(
        (status.updated_number_scheduled, status.number_unavailable),
        (Some(2), None)
    );
}

#[test]
fn a_node_that_comes_gets_a_pod_and_one_that_repels_loses_it() {
    let mut simulation = simulation();
    simulation.create(node("d", &[]));
    simulation.settle(4);
    assert_eq!(targets(&simulation), ["a", "b", "d"]);
    let mut repelling = simulation.world.nodes.cluster("b").unwrap().as_ref().clone();
    repelling.spec.as_mut().unwrap().taints = Some(vec![Taint {
        key: "drain".into(),
        effect: "NoExecute".into(),
        ..Taint::default()
    }]);
    simulation.world.nodes.insert(Arc::new(repelling));
    simulation.settle(4);
    assert_eq!(targets(&simulation), ["a", "d"]);
}

#[test]
fn a_pod_that_failed_is_replaced() {
    let mut simulation = simulation();
    let name = simulation
        .world
        .pods
        .all()
        .next()
        .unwrap()
        .metadata
        .name
        .clone()
        .unwrap();
    simulation.edit::<Pod>("sys", &name, false, |pod| {
        pod.status.get_or_insert_default().phase = Some("Failed".into());
    });
    simulation.settle(4);
    simulation.finish_deletions();
    simulation.settle(4);
    assert_eq!(targets(&simulation), ["a", "b"]);
    assert!(
        simulation
            .events
            .iter()
            .any(|event| event.starts_with("FailedDaemonPod"))
    );
}

#[test]
fn an_update_replaces_one_pod_at_a_time_and_keeps_history() {
    let mut simulation = simulation();
    simulation.make_ready(|_| true);
    simulation.settle(4);
    simulation.edit::<DaemonSet>("sys", "agent", true, |set| {
        set.spec.as_mut().unwrap().template.spec.as_mut().unwrap().containers[0].image = Some("agent:2".into());
    });
    simulation.invariant = |world| {
        let ready = world
            .pods
            .all()
            .filter(|pod| pod::is_active(pod) && pod::is_ready(pod))
            .count();
        assert!(ready >= 1, "at most one of two is unavailable");
    };
    for _ in 0..4 {
        simulation.settle(6);
        simulation.finish_deletions();
        simulation.settle(6);
        simulation.make_ready(pod::is_active);
    }
    simulation.settle(6);
    let images = simulation
        .world
        .pods
        .all()
        .filter_map(|pod| pod.spec.as_ref()?.containers[0].image.clone());
    assert_eq!(images.collect::<Vec<_>>(), ["agent:2", "agent:2"]);
    let mut revisions: Vec<i64> = simulation
        .world
        .controller_revisions
        .all()
        .map(|revision| revision.revision)
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [1, 2]);
    assert_eq!(status(&simulation).updated_number_scheduled, Some(2));
}
