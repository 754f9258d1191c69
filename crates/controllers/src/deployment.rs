//! Rolls a Deployment's pod template out over ReplicaSets.

mod progress;
mod revision;
mod rollout;
mod scaling;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;
use plan::{Controller, EventRecord, Kind, Observation, Plan, Step, World, controller_of, object_reference};

use crate::claim::{Claim, claim, matches};

/// The Deployment controller.
pub struct Deployments;

impl Controller for Deployments {
    type Root = Deployment;
    const NAME: &'static str = "deployment-controller";
    const WATCHES: &'static [Kind] = &[Kind::ReplicaSet, Kind::Pod];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        match changed {
            Observation::ReplicaSet(set) => roots_of_set(set, world),
            Observation::Pod(pod) => {
                // Only a Recreate rollout waits for pods: it must see the last old one go.
                let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
                let set = controller_of(&pod.metadata)
                    .filter(|owner| owner.kind == "ReplicaSet")
                    .and_then(|owner| world.replica_sets.named(namespace, &owner.name));
                let mut roots = set.map_or_else(Vec::new, |set| roots_of_set(set, world));
                roots.retain(|key| {
                    world
                        .deployments
                        .get(key)
                        .is_some_and(|deployment| is_recreate(deployment))
                });
                roots
            }
            _ => Vec::new(),
        }
    }

    fn plan(&self, deployment: &Deployment, world: &World, now: Timestamp) -> Plan {
        let selector = deployment
            .spec
            .as_ref()
            .map(|spec| LabelSelector::from_typed(&spec.selector));
        let Some(Ok(selector)) = selector else {
            let event = EventRecord::warning(
                object_reference(deployment),
                "SelectorInvalid",
                "the selector cannot be read; no replica sets are managed",
            );
            return Plan {
                events: vec![event],
                ..Plan::default()
            };
        };
        let Claim { owned, steps } = claim::<Deployment, ReplicaSet>(deployment, &selector, world);
        let mut rollout = Rollout::new(deployment, owned, world, now);
        rollout.steps = steps;
        if deployment.metadata.deletion_timestamp.is_some() {
            rollout.sync_status();
        } else if rollout.paused() || rollout.is_scaling_event() {
            rollout.reuse_new_set();
            rollout.scale();
            if rollout.paused() {
                rollout.clean_up();
            }
            rollout.sync_status();
        } else if is_recreate(deployment) {
            rollout.recreate();
        } else {
            rollout.roll();
        }
        rollout.finish()
    }
}

/// The working copy of one decision: the sets as they will be after the steps decided so far.
struct Rollout<'a> {
    deployment: &'a Deployment,
    /// The set of the present template, if there is one.
    new: Option<ReplicaSet>,
    /// Every other set, oldest first.
    old: Vec<ReplicaSet>,
    /// The sets as they are stored, to tell which were changed.
    observed: Vec<Arc<ReplicaSet>>,
    steps: Vec<Step>,
    world: &'a World,
    /// The status to write, once decided.
    status: Option<k8s_openapi::api::apps::v1::DeploymentStatus>,
    /// Set when the name of the new set is taken by a set that is not the deployment's.
    collided: bool,
    /// Set when the deployment's own metadata changes: its status then waits for the next look.
    revision: Option<String>,
    look_again_in: Option<std::time::Duration>,
    now: Timestamp,
}

fn roots_of_set(set: &ReplicaSet, world: &World) -> Vec<ObjectKey> {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    match controller_of(&set.metadata) {
        Some(owner) if owner.kind == "Deployment" => vec![ObjectKey::namespaced(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let selects = |deployment: &&Arc<Deployment>| {
                let selector = deployment
                    .spec
                    .as_ref()
                    .map(|spec| LabelSelector::from_typed(&spec.selector));
                matches!(selector, Some(Ok(selector)) if matches(&selector, &set.metadata))
            };
            let selecting = world.deployments.in_namespace(namespace).filter(selects);
            selecting.map(|deployment| ObjectKey::of(deployment.as_ref())).collect()
        }
    }
}

fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

#[cfg(test)]
mod tests;
