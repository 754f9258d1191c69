//! Numbered pods: their order, their names and claims, their updates.

use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, ObjectMeta};

use super::*;
use crate::simulation::Simulation;

fn set(replicas: i32) -> StatefulSet {
    let labels = Some([("app".to_owned(), "db".to_owned())].into());
    StatefulSet {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("db".into()),
            ..ObjectMeta::default()
        },
        spec: Some(StatefulSetSpec {
            replicas: Some(replicas),
            service_name: Some("peers".into()),
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
                        name: "db".into(),
                        image: Some("db:1".into()),
                        ..Container::default()
                    }],
                    ..PodSpec::default()
                }),
            },
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn simulation(set: StatefulSet) -> Simulation {
    let mut simulation = Simulation::new(vec![Box::new(StatefulSets)]);
    simulation.create(set);
    simulation
}

fn edit(simulation: &mut Simulation, edit: impl FnOnce(&mut StatefulSetSpec)) {
    simulation.edit::<StatefulSet>("shop", "db", true, |set| edit(set.spec.as_mut().unwrap()));
}

fn image(spec: &mut StatefulSetSpec, image: &str) {
    spec.template.spec.as_mut().unwrap().containers[0].image = Some(image.into());
}

/// `db-0=db:1` for each pod, `-` behind those that are on their way out.
fn pods(simulation: &Simulation) -> String {
    let texts = simulation.world.pods.all().map(|pod| {
        let image = pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap();
        let going = if pod::is_deleting(pod) { "-" } else { "" };
        format!("{}={image}{going}", pod.metadata.name.as_deref().unwrap())
    });
    texts.collect::<Vec<String>>().join(" ")
}

/// Lets every step come true until nothing changes any more; what pods there were after each.
fn run(simulation: &mut Simulation) -> Vec<String> {
    let mut seen = vec![pods(simulation)];
    for _ in 0..40 {
        simulation.settle(10);
        simulation.finish_deletions();
        simulation.make_ready(|pod| !pod::is_ready(pod));
        let now = pods(simulation);
        if seen.last() == Some(&now) && !simulation.round() {
            return seen;
        }
        seen.push(now);
    }
    panic!("no end: {seen:#?}");
}

#[test]
fn pods_are_begun_one_after_the_other_and_ended_backwards() {
    let mut simulation = simulation(set(3));
    let seen = run(&mut simulation);
    let expected = ["", "db-0=db:1", "db-0=db:1 db-1=db:1", "db-0=db:1 db-1=db:1 db-2=db:1"];
    assert_eq!(
        seen.into_iter()
            .filter({
                let mut last = None;
                move |now| last.replace(now.clone()).as_ref() != Some(now)
            })
            .collect::<Vec<_>>(),
        expected
    );
    edit(&mut simulation, |spec| spec.replicas = Some(1));
    simulation.settle(10);
    assert_eq!(pods(&simulation), "db-0=db:1 db-1=db:1 db-2=db:1-");
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:1");
    assert!(
        simulation
            .events
            .contains(&"SuccessfulCreate: create Pod db-0 in StatefulSet db successful".to_owned())
    );
    assert!(
        simulation
            .events
            .contains(&"SuccessfulDelete: delete Pod db-2 in StatefulSet db successful".to_owned())
    );
}

#[test]
fn a_pod_that_is_not_ready_holds_up_those_after_it_only_in_order() {
    let mut ordered = simulation(set(3));
    ordered.settle(10);
    assert_eq!(pods(&ordered), "db-0=db:1");
    let mut wanted = set(3);
    wanted.spec.as_mut().unwrap().pod_management_policy = Some("Parallel".into());
    let mut parallel = simulation(wanted);
    parallel.settle(10);
    assert_eq!(pods(&parallel), "db-0=db:1 db-1=db:1 db-2=db:1");
}

#[test]
fn a_pod_has_its_name_its_number_and_its_place_in_the_service() {
    let mut wanted = set(1);
    wanted.spec.as_mut().unwrap().ordinals = Some(k8s_openapi::api::apps::v1::StatefulSetOrdinals { start: Some(5) });
    let mut simulation = simulation(wanted);
    run(&mut simulation);
    let pod = simulation.world.pods.named("shop", "db-5").unwrap();
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(
        (spec.hostname.as_deref(), spec.subdomain.as_deref()),
        (Some("db-5"), Some("peers"))
    );
    let labels = pod.metadata.labels.as_ref().unwrap();
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "db-5");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "5");
    let revision = simulation.world.controller_revisions.all().next().unwrap();
    assert_eq!(
        Some(&labels["controller-revision-hash"]),
        revision.metadata.name.as_ref()
    );
    let set = simulation.world.stateful_sets.named("shop", "db").unwrap();
    let status = set.status.as_ref().unwrap();
    assert_eq!(
        (status.replicas, status.ready_replicas, status.available_replicas),
        (1, Some(1), Some(1))
    );
    assert_eq!((status.current_replicas, status.updated_replicas), (Some(1), Some(1)));
    assert_eq!(status.current_revision, status.update_revision);
}

#[test]
fn an_update_goes_from_the_last_pod_down_to_the_partition() {
    let mut simulation = simulation(set(3));
    run(&mut simulation);
    edit(&mut simulation, |spec| {
        image(spec, "db:2");
        spec.update_strategy = Some(StatefulSetUpdateStrategy {
            type_: Some("RollingUpdate".into()),
            rolling_update: Some(RollingUpdateStatefulSetStrategy {
                partition: Some(2),
                ..RollingUpdateStatefulSetStrategy::default()
            }),
        });
    });
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:1 db-1=db:1 db-2=db:2");
    // A pod below the partition comes back as it was.
    simulation.world.pods.remove(&ObjectKey::namespaced("shop", "db-0"));
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:1 db-1=db:1 db-2=db:2");
    edit(&mut simulation, |spec| {
        let strategy = spec.update_strategy.as_mut().unwrap();
        strategy.rolling_update.as_mut().unwrap().partition = Some(0);
    });
    simulation.settle(10);
    assert_eq!(pods(&simulation), "db-0=db:1 db-1=db:1- db-2=db:2");
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:2 db-1=db:2 db-2=db:2");
    let set = simulation.world.stateful_sets.named("shop", "db").unwrap();
    let status = set.status.as_ref().unwrap();
    assert_eq!(status.current_revision, status.update_revision);
}

#[test]
fn an_update_on_delete_waits_for_the_user() {
    let mut wanted = set(2);
    wanted.spec.as_mut().unwrap().update_strategy = Some(StatefulSetUpdateStrategy {
        type_: Some("OnDelete".into()),
        rolling_update: None,
    });
    let mut simulation = simulation(wanted);
    run(&mut simulation);
    edit(&mut simulation, |spec| image(spec, "db:2"));
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:1 db-1=db:1");
    simulation.world.pods.remove(&ObjectKey::namespaced("shop", "db-0"));
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:2 db-1=db:1");
}

#[test]
fn a_broken_update_is_undone_by_the_next_template() {
    let mut simulation = simulation(set(2));
    run(&mut simulation);
    edit(&mut simulation, |spec| image(spec, "broken"));
    simulation.settle(10);
    simulation.finish_deletions();
    simulation.settle(10);
    assert_eq!(pods(&simulation), "db-0=db:1 db-1=broken", "the new pod is never ready");
    edit(&mut simulation, |spec| image(spec, "db:1"));
    simulation.settle(10);
    // Upstream waits for the broken pod in ordered mode, and so a person has to delete it: its documented behaviour.
    assert_eq!(pods(&simulation), "db-0=db:1 db-1=broken");
    simulation.world.pods.remove(&ObjectKey::namespaced("shop", "db-1"));
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:1 db-1=db:1");
}

#[test]
fn a_failed_pod_is_made_again_under_its_name() {
    let mut simulation = simulation(set(1));
    run(&mut simulation);
    simulation.edit::<Pod>("shop", "db-0", false, |pod| {
        pod.status.as_mut().unwrap().phase = Some("Failed".into())
    });
    simulation.settle(10);
    assert!(
        simulation
            .events
            .contains(&"RecreatingFailedPod: StatefulSet shop/db is recreating failed Pod db-0".to_owned())
    );
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:1");
}

fn with_claims(deleted: &str, scaled: &str) -> StatefulSet {
    let mut wanted = set(2);
    let spec = wanted.spec.as_mut().unwrap();
    spec.volume_claim_templates = Some(vec![PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".into()),
            ..ObjectMeta::default()
        },
        ..PersistentVolumeClaim::default()
    }]);
    spec.persistent_volume_claim_retention_policy = Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(deleted.into()),
        when_scaled: Some(scaled.into()),
    });
    wanted
}

/// `data-db-0:StatefulSet` for each claim with the kinds of its owners.
fn claims(simulation: &Simulation) -> Vec<String> {
    let claims = simulation.world.persistent_volume_claims.all();
    let texts = claims.map(|claim| {
        let owners = claim.metadata.owner_references.iter().flatten();
        let kinds: Vec<&str> = owners.map(|owner| owner.kind.as_str()).collect();
        format!("{}:{}", claim.metadata.name.as_deref().unwrap(), kinds.join(","))
    });
    texts.collect()
}

#[test]
fn claims_are_made_before_their_pod_and_stay() {
    let mut simulation = simulation(with_claims("Retain", "Retain"));
    run(&mut simulation);
    assert_eq!(claims(&simulation), ["data-db-0:", "data-db-1:"]);
    let pod = simulation.world.pods.named("shop", "db-1").unwrap();
    let volume = &pod.spec.as_ref().unwrap().volumes.as_ref().unwrap()[0];
    let source = volume.persistent_volume_claim.as_ref().unwrap();
    assert_eq!(
        (volume.name.as_str(), source.claim_name.as_str()),
        ("data", "data-db-1")
    );
    let labels = simulation
        .world
        .persistent_volume_claims
        .all()
        .next()
        .unwrap()
        .metadata
        .labels
        .clone();
    assert_eq!(labels.unwrap()["app"], "db");
    edit(&mut simulation, |spec| spec.replicas = Some(1));
    run(&mut simulation);
    assert_eq!(claims(&simulation), ["data-db-0:", "data-db-1:"]);
}

#[test]
fn claims_go_with_the_set_or_with_the_pod_as_the_policy_says() {
    let mut simulation = simulation(with_claims("Delete", "Delete"));
    run(&mut simulation);
    assert_eq!(claims(&simulation), ["data-db-0:StatefulSet", "data-db-1:StatefulSet"]);
    edit(&mut simulation, |spec| spec.replicas = Some(1));
    simulation.settle(10);
    assert_eq!(claims(&simulation), ["data-db-0:StatefulSet", "data-db-1:Pod"]);
}

#[test]
fn a_stray_pod_of_another_name_is_not_adopted() {
    let mut simulation = simulation(set(1));
    let mut stray = Pod::default();
    stray.metadata.namespace = Some("shop".into());
    stray.metadata.name = Some("db-extra".into());
    stray.metadata.labels = Some([("app".to_owned(), "db".to_owned())].into());
    stray.spec = Some(PodSpec {
        containers: vec![Container {
            image: Some("x".into()),
            ..Container::default()
        }],
        ..PodSpec::default()
    });
    simulation.create(stray);
    run(&mut simulation);
    assert_eq!(pods(&simulation), "db-0=db:1 db-extra=x");
}

#[test]
fn old_revisions_go_beyond_the_limit() {
    let mut simulation = simulation(set(1));
    edit(&mut simulation, |spec| spec.revision_history_limit = Some(1));
    for number in 1..5 {
        edit(&mut simulation, |spec| image(spec, &format!("db:{number}")));
        run(&mut simulation);
    }
    let mut numbers: Vec<i64> = simulation
        .world
        .controller_revisions
        .all()
        .map(|revision| revision.revision)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4]);
}
