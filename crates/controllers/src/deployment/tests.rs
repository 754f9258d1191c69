//! Rollouts, driven step by step: never too few pods, never too many, and an end that is an end.

use k8s_openapi::api::apps::v1::{DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plan::AnyController;

use super::*;
use crate::ReplicaSets;
use crate::pod;
use crate::replica_set::replicas;
use crate::simulation::Simulation;
use crate::template;

fn deployment(wanted: i32, surge: IntOrString, unavailable: IntOrString) -> Deployment {
    let labels = Some([("app".to_owned(), "web".to_owned())].into());
    Deployment {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("web".into()),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(wanted),
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
                        name: "web".into(),
                        image: Some("web:1".into()),
                        ..Container::default()
                    }],
                    ..PodSpec::default()
                }),
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(surge),
                    max_unavailable: Some(unavailable),
                }),
            }),
            progress_deadline_seconds: Some(600),
            revision_history_limit: Some(10),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn quarter() -> IntOrString {
    IntOrString::String("25%".into())
}

fn simulation() -> Simulation {
    let controllers: Vec<Box<dyn AnyController>> = vec![Box::new(Deployments), Box::new(ReplicaSets)];
    Simulation::new(controllers)
}

fn set_image(simulation: &mut Simulation, image: &str) {
    simulation.edit::<Deployment>("shop", "web", true, |deployment| {
        deployment
            .spec
            .as_mut()
            .unwrap()
            .template
            .spec
            .as_mut()
            .unwrap()
            .containers[0]
            .image = Some(image.into());
    });
}

fn deployed(simulation: &Simulation) -> Arc<Deployment> {
    simulation.world.deployments.named("shop", "web").unwrap().clone()
}

fn reason(deployment: &Deployment, kind: &str) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == kind)?
        .reason
        .clone()
}

/// `revision=size` of every set, by revision.
fn sizes(simulation: &Simulation) -> Vec<(i64, i32)> {
    let mut sizes: Vec<(i64, i32)> = simulation
        .world
        .replica_sets
        .all()
        .map(|set| (revision::revision_of(set), replicas(set)))
        .collect();
    sizes.sort_unstable();
    sizes
}

fn roll_out(simulation: &mut Simulation) {
    for _ in 0..40 {
        simulation.settle(20);
        simulation.finish_deletions();
        simulation.settle(20);
        let next = simulation
            .world
            .pods
            .all()
            .find(|pod| !pod::is_ready(pod))
            .map(|pod| ObjectKey::of(pod.as_ref()));
        let Some(next) = next else { return };
        simulation.make_ready(|pod| ObjectKey::of(pod) == next);
    }
    panic!("the rollout does not end: {:?}", simulation.events);
}

#[test]
fn a_new_deployment_completes() {
    let mut simulation = simulation();
    simulation.create(deployment(3, quarter(), quarter()));
    assert!(simulation.settle(8) <= 5);
    assert_eq!(
        reason(&deployed(&simulation), "Available").as_deref(),
        Some("MinimumReplicasUnavailable")
    );
    assert_eq!(
        reason(&deployed(&simulation), "Progressing").as_deref(),
        Some("ReplicaSetUpdated")
    );
    simulation.make_ready(|_| true);
    simulation.settle(8);
    let deployment = deployed(&simulation);
    assert_eq!(
        reason(&deployment, "Progressing").as_deref(),
        Some("NewReplicaSetAvailable")
    );
    assert_eq!(
        reason(&deployment, "Available").as_deref(),
        Some("MinimumReplicasAvailable")
    );
    assert_eq!(
        deployment.metadata.annotations.as_ref().unwrap()[revision::REVISION],
        "1"
    );
    let status = deployment.status.clone().unwrap();
    assert_eq!(
        (status.replicas, status.updated_replicas, status.available_replicas),
        (Some(3), Some(3), Some(3))
    );
    assert_eq!(status.unavailable_replicas, None);
    let set = simulation.world.replica_sets.all().next().unwrap();
    let hash = &set.metadata.labels.as_ref().unwrap()["pod-template-hash"];
    assert_eq!(set.metadata.name.as_deref(), Some(format!("web-{hash}").as_str()));
    assert!(simulation.events.contains(&format!(
        "ScalingReplicaSet: Scaled up replica set web-{hash} from 0 to 3"
    )));
}

#[test]
fn a_rolling_update_keeps_to_surge_and_unavailability() {
    let mut simulation = simulation();
    simulation.create(deployment(4, quarter(), quarter()));
    simulation.settle(10);
    simulation.make_ready(|_| true);
    simulation.settle(10);
    simulation.invariant = |world| {
        let active = world.pods.all().filter(|pod| pod::is_active(pod));
        let ready = active.clone().filter(|pod| pod::is_ready(pod)).count();
        assert!(active.count() <= 5, "more than four and a surge of one");
        assert!(ready >= 3, "fewer than four but one");
    };
    set_image(&mut simulation, "web:2");
    roll_out(&mut simulation);
    assert_eq!(sizes(&simulation), [(1, 0), (2, 4)]);
    assert_eq!(
        reason(&deployed(&simulation), "Progressing").as_deref(),
        Some("NewReplicaSetAvailable")
    );
}

#[test]
fn undoing_a_rollout_gives_the_old_set_a_new_revision() {
    let mut simulation = simulation();
    simulation.create(deployment(2, quarter(), quarter()));
    roll_out(&mut simulation);
    set_image(&mut simulation, "web:2");
    roll_out(&mut simulation);
    set_image(&mut simulation, "web:1");
    roll_out(&mut simulation);
    assert_eq!(sizes(&simulation), [(2, 0), (3, 2)]);
    assert_eq!(
        deployed(&simulation).metadata.annotations.as_ref().unwrap()[revision::REVISION],
        "3"
    );
    let reused = simulation
        .world
        .replica_sets
        .all()
        .find(|set| revision::revision_of(set) == 3)
        .unwrap();
    assert_eq!(
        reused.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision-history"],
        "1"
    );
}

#[test]
fn recreate_never_runs_old_and_new_together() {
    let mut simulation = simulation();
    let mut object = deployment(3, quarter(), quarter());
    object.spec.as_mut().unwrap().strategy = Some(DeploymentStrategy {
        type_: Some("Recreate".into()),
        rolling_update: None,
    });
    simulation.create(object);
    roll_out(&mut simulation);
    simulation.invariant = |world| {
        let images = world
            .pods
            .all()
            .filter_map(|pod| pod.spec.as_ref()?.containers[0].image.clone());
        assert!(images.collect::<std::collections::BTreeSet<_>>().len() <= 1);
    };
    set_image(&mut simulation, "web:2");
    roll_out(&mut simulation);
    assert_eq!(sizes(&simulation), [(1, 0), (2, 3)]);
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_shared_in_proportion() {
    let mut simulation = simulation();
    simulation.create(deployment(10, IntOrString::Int(3), IntOrString::Int(2)));
    simulation.settle(10);
    simulation.make_ready(|_| true);
    simulation.settle(10);
    set_image(&mut simulation, "web:unpullable");
    simulation.settle(20);
    assert_eq!(sizes(&simulation), [(1, 8), (2, 5)]);
    simulation.edit::<Deployment>("shop", "web", true, |deployment| {
        deployment.spec.as_mut().unwrap().replicas = Some(15);
    });
    simulation.settle(20);
    assert_eq!(
        sizes(&simulation),
        [(1, 11), (2, 7)],
        "the example of upstream's documentation"
    );
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let mut simulation = simulation();
    simulation.create(deployment(2, quarter(), quarter()));
    roll_out(&mut simulation);
    simulation.edit::<Deployment>("shop", "web", true, |deployment| {
        deployment.spec.as_mut().unwrap().paused = Some(true);
    });
    set_image(&mut simulation, "web:2");
    simulation.settle(10);
    assert_eq!(sizes(&simulation), [(1, 2)]);
    assert_eq!(
        reason(&deployed(&simulation), "Progressing").as_deref(),
        Some("DeploymentPaused")
    );
    simulation.edit::<Deployment>("shop", "web", true, |deployment| {
        deployment.spec.as_mut().unwrap().replicas = Some(3);
    });
    simulation.settle(10);
    assert_eq!(sizes(&simulation), [(1, 3)]);
    simulation.edit::<Deployment>("shop", "web", true, |deployment| {
        deployment.spec.as_mut().unwrap().paused = None;
    });
    roll_out(&mut simulation);
    assert_eq!(sizes(&simulation), [(1, 0), (2, 3)]);
}

#[test]
fn a_rollout_that_does_not_advance_exceeds_its_deadline() {
    let mut simulation = simulation();
    simulation.create(deployment(1, quarter(), quarter()));
    simulation.settle(10);
    let plan = Controller::plan(&Deployments, &deployed(&simulation), &simulation.world, simulation.now);
    assert_eq!(plan.look_again_in, Some(std::time::Duration::from_secs(601)));
    simulation.advance(601);
    simulation.settle(10);
    assert_eq!(
        reason(&deployed(&simulation), "Progressing").as_deref(),
        Some("ProgressDeadlineExceeded")
    );
    simulation.make_ready(|_| true);
    simulation.settle(10);
    assert_eq!(
        reason(&deployed(&simulation), "Progressing").as_deref(),
        Some("NewReplicaSetAvailable")
    );
}

#[test]
fn old_sets_beyond_the_history_limit_go() {
    let mut simulation = simulation();
    let mut object = deployment(1, quarter(), quarter());
    object.spec.as_mut().unwrap().revision_history_limit = Some(1);
    simulation.create(object);
    roll_out(&mut simulation);
    for image in ["web:2", "web:3", "web:4"] {
        set_image(&mut simulation, image);
        roll_out(&mut simulation);
    }
    assert_eq!(sizes(&simulation), [(3, 0), (4, 1)]);
}

#[test]
fn a_name_taken_by_a_foreign_set_changes_the_hash() {
    let mut simulation = simulation();
    let object = deployment(1, quarter(), quarter());
    let hash = template::hash(&object.spec.as_ref().unwrap().template, None);
    simulation.create(ReplicaSet {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some(format!("web-{hash}")),
            ..ObjectMeta::default()
        },
        spec: Some(Default::default()),
        status: None,
    });
    let controllers: Vec<Box<dyn AnyController>> = vec![Box::new(Deployments)];
    let mut only_deployments = Simulation::new(controllers);
    only_deployments.world = simulation.world;
    only_deployments.create(object);
    only_deployments.settle(10);
    assert_eq!(
        deployed(&only_deployments).status.as_ref().unwrap().collision_count,
        Some(1)
    );
    assert_eq!(only_deployments.world.replica_sets.len(), 2);
}
