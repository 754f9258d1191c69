//! Keeps the number of pods that a ReplicationController asks for: a ReplicaSet in the words of an earlier time.
//!
//! Source: `controller/replication`, which converts to ReplicaSets as well.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    Pod, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as Selector;
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;
use plan::{Change, Controller, Kind, Observation, Plan, Step, World, controller_of};

use crate::claim::{claim, matches};
use crate::replica_set::{self, Owner};

/// The ReplicationController controller.
pub struct ReplicationControllers;

impl Controller for ReplicationControllers {
    type Root = ReplicationController;
    const NAME: &'static str = "replication-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        let metadata = changed.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        match controller_of(metadata) {
            Some(owner) if owner.kind == "ReplicationController" => vec![ObjectKey::namespaced(namespace, &owner.name)],
            Some(_) => Vec::new(),
            None => {
                let all = world.replication_controllers.in_namespace(namespace);
                let selects = |one: &ReplicationController| {
                    selector(&as_set(one)).is_some_and(|selector| matches(&selector, metadata))
                };
                all.filter(|one| selects(one))
                    .map(|one| ObjectKey::of(one.as_ref()))
                    .collect()
            }
        }
    }

    fn plan(&self, controller: &ReplicationController, world: &World, now: Timestamp) -> Plan {
        let set = as_set(controller);
        let Some(selector) = selector(&set) else {
            return Plan::nothing();
        };
        let claim = claim::<ReplicationController, Pod>(controller, &selector, world);
        let failure = world.failure(Self::NAME, &ObjectKey::of(controller));
        let tell = |status: ReplicaSetStatus| {
            let status = own_status(status);
            (controller.status.as_ref() != Some(&status)).then(|| {
                let mut changed = controller.clone();
                changed.status = Some(status);
                Step::from(Change::update_status(changed))
            })
        };
        replica_set::keep(&set, &Owner::of(controller), claim, failure, tell, world, now)
    }
}

fn selector(set: &ReplicaSet) -> Option<LabelSelector> {
    let labels = set.spec.as_ref()?.selector.match_labels.as_ref();
    // One without labels would select everything; validation does not let it in.
    replica_set::selector(set).filter(|_| labels.is_some_and(|labels| !labels.is_empty()))
}

fn as_set(controller: &ReplicationController) -> ReplicaSet {
    let spec = controller.spec.clone().unwrap_or_default();
    let status = controller.status.clone().unwrap_or_default();
    let conditions = status.conditions.map(|all| {
        let of = |one: ReplicationControllerCondition| ReplicaSetCondition {
            last_transition_time: one.last_transition_time,
            message: one.message,
            reason: one.reason,
            status: one.status,
            type_: one.type_,
        };
        all.into_iter().map(of).collect()
    });
    ReplicaSet {
        metadata: controller.metadata.clone(),
        spec: Some(ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            replicas: spec.replicas,
            selector: Selector {
                match_labels: spec.selector,
                ..Selector::default()
            },
            template: spec.template,
        }),
        status: Some(ReplicaSetStatus {
            available_replicas: status.available_replicas,
            conditions,
            fully_labeled_replicas: status.fully_labeled_replicas,
            observed_generation: status.observed_generation,
            ready_replicas: status.ready_replicas,
            replicas: status.replicas,
            terminating_replicas: None,
        }),
    }
}

fn own_status(status: ReplicaSetStatus) -> ReplicationControllerStatus {
    let conditions = status.conditions.map(|all| {
        let of = |one: ReplicaSetCondition| ReplicationControllerCondition {
            last_transition_time: one.last_transition_time,
            message: one.message,
            reason: one.reason,
            status: one.status,
            type_: one.type_,
        };
        all.into_iter().map(of).collect()
    });
    ReplicationControllerStatus {
        available_replicas: status.available_replicas,
        conditions,
        fully_labeled_replicas: status.fully_labeled_replicas,
        observed_generation: status.observed_generation,
        ready_replicas: status.ready_replicas,
        replicas: status.replicas,
    }
}

#[cfg(test)]
mod tests {
    use plan::AnyObject;

    use super::*;

    fn controller(replicas: i32) -> ReplicationController {
        let text = format!(
            r#"{{"metadata":{{"name":"web","namespace":"n","uid":"u","generation":2}},"spec":{{"replicas":{replicas},
                "selector":{{"app":"web"}},"template":{{"metadata":{{"labels":{{"app":"web"}}}},
                "spec":{{"containers":[{{"name":"c"}}]}}}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn missing_pods_are_made_in_its_name_and_its_status_is_its_own() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let plan = Controller::plan(&ReplicationControllers, &controller(2), &World::default(), now);
        let mut made = Vec::new();
        let mut told = None;
        for step in &plan.steps {
            match &step.change {
                Change::Create(AnyObject::Pod(pod)) => made.push(pod.clone()),
                Change::UpdateStatus(AnyObject::ReplicationController(changed)) => told = changed.status.clone(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(made.len(), 2);
        let owner = controller_of(&made[0].metadata).unwrap();
        assert_eq!(
            (owner.kind.as_str(), owner.api_version.as_str(), owner.uid.as_str()),
            ("ReplicationController", "v1", "u")
        );
        assert_eq!(made[0].metadata.generate_name.as_deref(), Some("web-"));
        assert_eq!(told.unwrap().observed_generation, Some(2));
    }

    #[test]
    fn one_without_a_selector_does_nothing() {
        let mut all = controller(2);
        all.spec.as_mut().unwrap().selector = None;
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(Controller::plan(&ReplicationControllers, &all, &World::default(), now).is_empty());
    }
}
