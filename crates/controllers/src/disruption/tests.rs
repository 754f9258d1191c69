//! How many evictions a budget allows.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, ObjectMeta};
use plan::AnyObject;

use super::*;
use crate::simulation::Simulation;

fn labels() -> Option<BTreeMap<String, String>> {
    Some([("app".to_owned(), "web".to_owned())].into())
}

/// A set of four with `ready` ready pods under a budget; what the budget's status would say.
fn status_with(ready: usize, spec: PodDisruptionBudgetSpec) -> PodDisruptionBudgetStatus {
    let mut simulation = Simulation::new(Vec::new());
    let metadata = |name: &str| ObjectMeta {
        namespace: Some("shop".into()),
        name: Some(name.into()),
        labels: labels(),
        ..ObjectMeta::default()
    };
    let set = simulation.create(ReplicaSet {
        metadata: metadata("web"),
        spec: Some(ReplicaSetSpec {
            replicas: Some(4),
            ..ReplicaSetSpec::default()
        }),
        status: None,
    });
    for index in 0..4 {
        let mut pod = Pod {
            metadata: metadata(&format!("web-{index}")),
            ..Pod::default()
        };
        pod.metadata.owner_references = Some(vec![plan::controller_reference(set.as_ref())]);
        simulation.create(pod);
    }
    simulation.make_ready(|pod| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        (0..ready).any(|index| name == format!("web-{index}"))
    });
    let selector = Some(Selector {
        match_labels: labels(),
        ..Selector::default()
    });
    let budget = PodDisruptionBudget {
        metadata: metadata("budget"),
        spec: Some(PodDisruptionBudgetSpec { selector, ..spec }),
        status: None,
    };
    let plan = Controller::plan(&DisruptionBudgets, &budget, &simulation.world, simulation.now);
    match plan.steps.into_iter().next().map(|step| step.change) {
        Some(Change::UpdateStatus(AnyObject::PodDisruptionBudget(told))) => told.status.unwrap(),
        other => panic!("the status is told: {other:?}"),
    }
}

#[test]
fn a_budget_allows_what_keeps_enough_pods_healthy() {
    let least = |value| PodDisruptionBudgetSpec {
        min_available: Some(value),
        ..Default::default()
    };
    let most = |value| PodDisruptionBudgetSpec {
        max_unavailable: Some(value),
        ..Default::default()
    };
    let percent = |text: &str| IntOrString::String(text.into());
    for (ready, spec, desired, allowed) in [
        (4, least(IntOrString::Int(3)), 3, 1),
        (2, least(IntOrString::Int(3)), 3, 0),
        (4, least(percent("50%")), 2, 2),
        (4, most(IntOrString::Int(1)), 3, 1),
        (3, most(IntOrString::Int(1)), 3, 0),
        (4, most(percent("30%")), 2, 2),
    ] {
        let status = status_with(ready, spec);
        assert_eq!((status.expected_pods, status.desired_healthy), (Some(4), Some(desired)));
        assert_eq!(
            status.disruptions_allowed,
            Some(allowed),
            "{ready} ready, {desired} desired"
        );
    }
}
