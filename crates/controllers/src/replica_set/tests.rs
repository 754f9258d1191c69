//! A ReplicaSet keeps its number of pods, whoever made them, and tells how they are.

use k8s_openapi::api::apps::v1::ReplicaSetSpec;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, ObjectMeta, Time};

use super::*;
use crate::simulation::Simulation;

fn labels() -> Option<std::collections::BTreeMap<String, String>> {
    Some([("app".to_owned(), "web".to_owned())].into())
}

fn set(replicas: i32) -> ReplicaSet {
    ReplicaSet {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("web".into()),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            selector: Selector {
                match_labels: labels(),
                ..Selector::default()
            },
            template: Some(PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: labels(),
                    ..ObjectMeta::default()
                }),
                spec: Some(k8s_openapi::api::core::v1::PodSpec::default()),
            }),
            ..ReplicaSetSpec::default()
        }),
        status: None,
    }
}

fn orphan(name: &str) -> Pod {
    Pod {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some(name.into()),
            labels: labels(),
            ..ObjectMeta::default()
        },
        ..Pod::default()
    }
}

fn simulation() -> Simulation {
    Simulation::new(vec![Box::new(ReplicaSets)])
}

fn active(simulation: &Simulation) -> usize {
    simulation.world.pods.all().filter(|pod| pod::is_active(pod)).count()
}

#[test]
fn scales_up_and_down_and_reports() {
    let mut simulation = simulation();
    simulation.create(set(3));
    assert!(simulation.settle(5) <= 3);
    simulation.make_ready(|_| true);
    simulation.settle(3);
    let status = simulation
        .world
        .replica_sets
        .named("shop", "web")
        .unwrap()
        .status
        .clone()
        .unwrap();
    assert_eq!(
        (status.replicas, status.ready_replicas, status.available_replicas),
        (3, Some(3), Some(3))
    );
    assert_eq!(status.fully_labeled_replicas, Some(3));
    simulation.edit::<ReplicaSet>("shop", "web", true, |set| set.spec.as_mut().unwrap().replicas = Some(1));
    simulation.settle(5);
    assert_eq!(active(&simulation), 1);
    let status = simulation
        .world
        .replica_sets
        .named("shop", "web")
        .unwrap()
        .status
        .clone()
        .unwrap();
    assert_eq!(
        (status.replicas, status.terminating_replicas, status.observed_generation),
        (1, Some(2), Some(2))
    );
    assert_eq!(
        simulation
            .events
            .iter()
            .filter(|event| event.starts_with("SuccessfulCreate: Created pod: web-"))
            .count(),
        3
    );
    assert_eq!(
        simulation
            .events
            .iter()
            .filter(|event| event.starts_with("SuccessfulDelete: Deleted pod: web-"))
            .count(),
        2
    );
}

#[test]
fn orphans_that_match_are_adopted_and_strays_released() {
    let mut simulation = simulation();
    simulation.create(orphan("stray"));
    let set = simulation.create(set(2));
    simulation.settle(5);
    assert_eq!(active(&simulation), 2);
    let stray = simulation.world.pods.named("shop", "stray").unwrap();
    assert!(plan::is_controlled_by(
        &stray.metadata,
        set.metadata.uid.as_deref().unwrap()
    ));
    simulation.edit::<Pod>("shop", "stray", false, |pod| pod.metadata.labels = None);
    simulation.settle(5);
    let stray = simulation.world.pods.named("shop", "stray").unwrap();
    assert_eq!(controller_of(&stray.metadata), None);
    assert_eq!(active(&simulation), 3, "the released pod is replaced");
}

#[test]
fn a_ready_pod_becomes_available_after_min_ready_seconds() {
    let mut simulation = simulation();
    let mut set = set(1);
    set.spec.as_mut().unwrap().min_ready_seconds = Some(10);
    simulation.create(set);
    simulation.settle(5);
    simulation.make_ready(|_| true);
    simulation.settle(5);
    let key = ObjectKey::namespaced("shop", "web");
    let set = simulation.world.replica_sets.get(&key).unwrap();
    assert_eq!(set.status.as_ref().unwrap().available_replicas, None);
    let plan = Controller::plan(&ReplicaSets, set, &simulation.world, simulation.now);
    assert_eq!(plan.look_again_in, Some(Duration::from_secs(10)));
    simulation.advance(10);
    simulation.settle(5);
    let set = simulation.world.replica_sets.get(&key).unwrap();
    assert_eq!(set.status.as_ref().unwrap().available_replicas, Some(1));
}

#[test]
fn a_refused_creation_is_told_in_the_status_before_the_next_attempt() {
    let mut simulation = simulation();
    let set = simulation.create(set(1));
    let failure = Failure {
        change: FailedChange::Create,
        message: "exceeded quota".into(),
    };
    simulation
        .world
        .failures
        .insert((ReplicaSets::NAME, ObjectKey::of(set.as_ref())), failure);
    let plan = Controller::plan(&ReplicaSets, &set, &simulation.world, simulation.now);
    let Change::UpdateStatus(plan::AnyObject::ReplicaSet(told)) = &plan.steps[0].change else {
        panic!("the status comes first: {plan:?}");
    };
    let conditions = told.status.as_ref().unwrap().conditions.as_ref().unwrap();
    assert_eq!(
        (conditions[0].type_.as_str(), conditions[0].reason.as_deref()),
        ("ReplicaFailure", Some("FailedCreate"))
    );
    assert!(matches!(plan.steps[1].change, Change::Create(_)));
}

#[test]
fn the_pods_missed_least_go_first() {
    let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
    let pod = |name: &str, phase: &str, node: Option<&str>, ready_since: Option<&str>, cost: Option<&str>| {
        let mut pod = orphan(name);
        pod.metadata.annotations =
            cost.map(|cost| [("controller.kubernetes.io/pod-deletion-cost".to_owned(), cost.to_owned())].into());
        pod.spec = Some(k8s_openapi::api::core::v1::PodSpec {
            node_name: node.map(str::to_owned),
            ..Default::default()
        });
        let condition = ready_since.map(|since| k8s_openapi::api::core::v1::PodCondition {
            type_: "Ready".into(),
            status: "True".into(),
            last_transition_time: Some(Time(since.parse().unwrap())),
            ..Default::default()
        });
        pod.status = Some(k8s_openapi::api::core::v1::PodStatus {
            phase: Some(phase.into()),
            conditions: condition.map(|condition| vec![condition]),
            ..Default::default()
        });
        Arc::new(pod)
    };
    let old = Some("2026-01-01T00:00:00Z");
    let young = Some("2026-01-01T00:59:00Z");
    let pods = [
        pod("kept", "Running", Some("a"), old, None),
        pod("young", "Running", Some("a"), young, None),
        pod("crowded", "Running", Some("b"), old, None),
        pod("cheap", "Running", Some("a"), old, Some("-1")),
        pod("unready", "Running", Some("a"), None, None),
        pod("pending", "Pending", Some("a"), None, None),
        pod("unassigned", "Pending", None, None, None),
    ];
    let rank = |pod: &Pod| if pod::node_name(pod) == "b" { 2 } else { 1 };
    let order = victims::choose(&pods, pods.len(), rank, now);
    let names: Vec<&str> = order.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    assert_eq!(
        names,
        ["unassigned", "pending", "unready", "cheap", "crowded", "young", "kept"]
    );
}
