//! Keeps the number of pods that a ReplicaSet asks for.

mod victims;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;
use plan::{
    Change, Controller, EventRecord, FailedChange, Failure, Kind, Observation, Observed, Plan, Step, World,
    controller_of, controller_reference, object_reference, set_condition, whole_seconds, without_condition,
};

use crate::claim::{Claim, claim, matches};
use crate::pod::{self, Availability};

/// Most pods created or deleted by one plan (upstream's `BurstReplicas`).
const BURST: usize = 500;
const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The ReplicaSet controller.
pub struct ReplicaSets;

impl Controller for ReplicaSets {
    type Root = ReplicaSet;
    const NAME: &'static str = "replicaset-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        let metadata = changed.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        match controller_of(metadata) {
            Some(owner) if owner.kind == "ReplicaSet" => vec![ObjectKey::namespaced(namespace, &owner.name)],
            Some(_) => Vec::new(),
            None => {
                let sets = world.replica_sets.in_namespace(namespace);
                let selecting = sets.filter(|set| selector(set).is_some_and(|selector| matches(&selector, metadata)));
                selecting.map(|set| ObjectKey::of(set.as_ref())).collect()
            }
        }
    }

    fn plan(&self, set: &ReplicaSet, world: &World, now: Timestamp) -> Plan {
        let Some(selector) = selector(set) else {
            let message = "the selector cannot be read; no pods are managed".to_owned();
            let event = EventRecord::warning(object_reference(set), "SelectorInvalid", message);
            return Plan {
                events: vec![event],
                ..Plan::default()
            };
        };
        let claim = claim::<ReplicaSet, Pod>(set, &selector, world);
        let failure = world.failure(Self::NAME, &ObjectKey::of(set));
        let tell = |status: ReplicaSetStatus| {
            (set.status.as_ref() != Some(&status)).then(|| {
                let mut changed = set.clone();
                changed.status = Some(status);
                Step::from(Change::update_status(changed))
            })
        };
        keep(set, &Owner::of(set), claim, failure, tell, world, now)
    }
}

/// How pods and events name whoever keeps the pods.
pub(crate) struct Owner {
    reference: OwnerReference,
    about: ObjectReference,
}

impl Owner {
    pub fn of<O: Observed>(owner: &O) -> Self {
        Self {
            reference: controller_reference(owner),
            about: object_reference(owner),
        }
    }
}

/// Keeps the number of pods that `set` asks for; `tell` makes the step that writes a status, if it is another one.
pub(crate) fn keep(
    set: &ReplicaSet,
    owner: &Owner,
    claim: Claim<Pod>,
    failure: Option<&Failure>,
    tell: impl FnOnce(ReplicaSetStatus) -> Option<Step>,
    world: &World,
    now: Timestamp,
) -> Plan {
    let Claim { owned, steps } = claim;
    let mut plan = Plan {
        steps,
        ..Plan::default()
    };
    let active: Vec<Arc<Pod>> = owned.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
    let (status, next_available) = status(set, &owned, &active, failure, now);
    let status_step = tell(status);
    // A refused creation must be seen in the status although the next attempt may be refused as well.
    let (first, last) = if failure.is_some() {
        (status_step, None)
    } else {
        (None, status_step)
    };
    plan.steps.extend(first);
    if set.metadata.deletion_timestamp.is_none() {
        plan.steps.extend(manage(set, owner, &active, world, now));
    }
    plan.steps.extend(last);
    if let Some(delay) = next_available {
        plan.look_again(delay);
    }
    plan
}

/// The set's selector, unless it has none or cannot be read (validation does not let such sets in).
pub(crate) fn selector(set: &ReplicaSet) -> Option<LabelSelector> {
    LabelSelector::from_typed(&set.spec.as_ref()?.selector).ok()
}

/// The number of replicas asked for.
pub(crate) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// The pods to create or delete.
fn manage(set: &ReplicaSet, owner: &Owner, active: &[Arc<Pod>], world: &World, now: Timestamp) -> Vec<Step> {
    let wanted = usize::try_from(replicas(set)).unwrap_or(0);
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST);
        return std::iter::repeat_with(|| creation(set, owner)).take(missing).collect();
    }
    let surplus = (active.len() - wanted).min(BURST);
    let victims = victims::choose(active, surplus, |pod| victims::neighbours(set, pod, world), now);
    victims.into_iter().map(|pod| deletion(owner, &pod)).collect()
}

fn creation(set: &ReplicaSet, owner: &Owner) -> Step {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let template = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.clone())
        .unwrap_or_default();
    let pod = pod::from_template(
        &template,
        set.metadata.namespace.as_deref(),
        name,
        owner.reference.clone(),
    );
    Step::from(Change::create(pod))
        .succeeding_with(EventRecord::normal(
            owner.about.clone(),
            "SuccessfulCreate",
            "Created pod: {name}",
        ))
        .failing_with(EventRecord::warning(
            owner.about.clone(),
            "FailedCreate",
            "Error creating: {error}",
        ))
}

fn deletion(owner: &Owner, pod: &Pod) -> Step {
    Step::from(Change::delete(pod))
        .succeeding_with(EventRecord::normal(
            owner.about.clone(),
            "SuccessfulDelete",
            "Deleted pod: {name}",
        ))
        .failing_with(EventRecord::warning(
            owner.about.clone(),
            "FailedDelete",
            "Error deleting: {error}",
        ))
}

/// The status that the observed pods make, and when a ready pod will become available.
fn status(
    set: &ReplicaSet,
    owned: &[Arc<Pod>],
    active: &[Arc<Pod>],
    failure: Option<&Failure>,
    now: Timestamp,
) -> (ReplicaSetStatus, Option<Duration>) {
    let spec = set.spec.clone().unwrap_or_default();
    let old = set.status.clone().unwrap_or_default();
    let template_labels = spec
        .template
        .and_then(|template| template.metadata?.labels)
        .unwrap_or_default();
    let fully_labeled = |pod: &&Arc<Pod>| {
        let labels = pod.metadata.labels.as_ref();
        template_labels
            .iter()
            .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let availability: Vec<Availability> = active
        .iter()
        .map(|pod| pod::availability(pod, min_ready, now))
        .collect();
    let count = |number: usize| Some(i32::try_from(number).unwrap_or(i32::MAX));
    let terminating = owned
        .iter()
        .filter(|pod| pod::is_deleting(pod) && !pod::is_terminal(pod))
        .count();
    let mut conditions = old.conditions.unwrap_or_default();
    match failure.and_then(|failure| failure_condition(failure, now)) {
        Some(condition) => set_condition(&mut conditions, condition),
        None => without_condition(&mut conditions, REPLICA_FAILURE),
    }
    let status = ReplicaSetStatus {
        replicas: i32::try_from(active.len()).unwrap_or(i32::MAX),
        fully_labeled_replicas: nonzero(count(active.iter().filter(fully_labeled).count())),
        ready_replicas: nonzero(count(active.iter().filter(|pod| pod::is_ready(pod)).count())),
        available_replicas: nonzero(count(
            availability.iter().filter(|a| **a == Availability::Available).count(),
        )),
        terminating_replicas: count(terminating),
        observed_generation: set.metadata.generation,
        conditions: (!conditions.is_empty()).then_some(conditions),
    };
    let next = availability.iter().filter_map(|availability| match availability {
        Availability::After(delay) => Some(*delay),
        Availability::Available | Availability::NotReady => None,
    });
    (status, next.min())
}

/// Zero is left out of the wire form of these fields.
fn nonzero(number: Option<i32>) -> Option<i32> {
    number.filter(|number| *number != 0)
}

fn failure_condition(failure: &Failure, now: Timestamp) -> Option<ReplicaSetCondition> {
    let reason = match failure.change {
        FailedChange::Create => "FailedCreate",
        FailedChange::Delete => "FailedDelete",
        FailedChange::Update => return None,
    };
    Some(ReplicaSetCondition {
        type_: REPLICA_FAILURE.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(failure.message.clone()),
        last_transition_time: Some(whole_seconds(now)),
    })
}

#[cfg(test)]
mod tests;
