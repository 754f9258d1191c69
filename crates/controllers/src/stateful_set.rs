//! Keeps the numbered pods of a StatefulSet, each with its name, its claims and its place in the order.
//!
//! Source of the rules: upstream's `StatefulSetControl`. With ordered management a plan takes one step and the next decision follows from what
//! came of it; with parallel management it takes all at once.

mod claims;
mod history;
mod order;
mod pods;
mod rolling;
mod status;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;
use plan::{Change, Controller, EventRecord, Kind, Observation, Plan, Step, World, controller_of, object_reference};

use crate::claim::{Claim, claim_members, matches};
use crate::pod::{self, Availability};

/// The StatefulSet controller.
pub struct StatefulSets;

impl Controller for StatefulSets {
    type Root = StatefulSet;
    const NAME: &'static str = "statefulset-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod, Kind::ControllerRevision, Kind::PersistentVolumeClaim];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        let metadata = changed.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        match (changed, controller_of(metadata)) {
            (_, Some(owner)) if owner.kind == "StatefulSet" => vec![ObjectKey::namespaced(namespace, &owner.name)],
            (Observation::Pod(pod), None) => {
                let name = pods::parent(pod).map(|(name, _)| name);
                let set = name.and_then(|name| world.stateful_sets.named(namespace, name));
                let selecting = set.filter(|set| selector(set).is_some_and(|selector| matches(&selector, metadata)));
                selecting.map(|set| ObjectKey::of(set.as_ref())).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn plan(&self, set: &StatefulSet, world: &World, now: Timestamp) -> Plan {
        let Some(selector) = selector(set) else {
            return Plan::nothing();
        };
        let name = set.metadata.name.clone().unwrap_or_default();
        let is_member = |pod: &Pod| pods::parent(pod).is_some_and(|(parent, _)| parent == name);
        let Claim { owned, steps } = claim_members::<StatefulSet, Pod>(set, &selector, world, is_member);
        let mut plan = Plan {
            steps,
            ..Plan::default()
        };
        let revisions = history::revisions(set, world);
        plan.steps.extend(revisions.steps.iter().cloned());
        let state = State::new(set, world, &revisions, owned, now);
        if set.metadata.deletion_timestamp.is_none() {
            plan.steps.extend(state.manage());
        }
        let told = status::of(&state);
        if set.status.as_ref() != Some(&told) {
            let mut changed = set.clone();
            changed.status = Some(told);
            plan.then(Change::update_status(changed));
        }
        if set.metadata.deletion_timestamp.is_none() {
            plan.steps.extend(history::clean_up(&state));
        }
        if let Some(delay) = state.next_available() {
            plan.look_again(delay);
        }
        plan
    }
}

/// What one decision is made from.
struct State<'a> {
    set: &'a StatefulSet,
    world: &'a World,
    now: Timestamp,
    /// The revision that updates lead to, and its template.
    update: (String, PodTemplateSpec),
    /// The revision that pods below the partition keep, and its template.
    current: (String, PodTemplateSpec),
    /// The pods that should be there, by position; `None` where one is missing.
    replicas: Vec<(i32, Option<Arc<Pod>>)>,
    /// The pods that should not be there, the highest number first.
    condemned: Vec<Arc<Pod>>,
    /// Every pod of the set.
    owned: Vec<Arc<Pod>>,
}

impl<'a> State<'a> {
    fn new(
        set: &'a StatefulSet,
        world: &'a World,
        revisions: &history::Revisions,
        owned: Vec<Arc<Pod>>,
        now: Timestamp,
    ) -> Self {
        let first = first_ordinal(set);
        let wanted = first..first.saturating_add(replicas(set));
        let number = |pod: &Pod| pods::parent(pod).map_or(-1, |(_, number)| number);
        let present = |ordinal: i32| owned.iter().find(|pod| number(pod) == ordinal).cloned();
        let mut condemned: Vec<Arc<Pod>> = owned
            .iter()
            .filter(|pod| !wanted.contains(&number(pod)))
            .cloned()
            .collect();
        condemned.sort_by_key(|pod| std::cmp::Reverse(number(pod)));
        Self {
            set,
            world,
            now,
            update: revisions.update.clone(),
            current: revisions.current.clone(),
            replicas: wanted.map(|ordinal| (ordinal, present(ordinal))).collect(),
            condemned,
            owned,
        }
    }

    /// Are pods begun and ended one after the other?
    fn is_ordered(&self) -> bool {
        let spec = self.set.spec.as_ref();
        spec.and_then(|spec| spec.pod_management_policy.as_deref()) != Some("Parallel")
    }

    fn availability(&self, pod: &Pod) -> Availability {
        let spec = self.set.spec.as_ref();
        let min_ready = spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        if pod::phase(pod) != "Running" {
            return Availability::NotReady;
        }
        pod::availability(pod, min_ready, self.now)
    }

    fn is_available(&self, pod: &Pod) -> bool {
        self.availability(pod) == Availability::Available
    }

    /// When a ready pod will have been ready for long enough.
    fn next_available(&self) -> Option<Duration> {
        let pending = self.owned.iter().filter_map(|pod| match self.availability(pod) {
            Availability::After(delay) => Some(delay),
            Availability::Available | Availability::NotReady => None,
        });
        pending.min()
    }

    /// A step about a pod with upstream's event for it.
    fn about(&self, change: Change, verb: &str, object: &str) -> Step {
        let set = self.set.metadata.name.as_deref().unwrap_or_default();
        let title = |word: &str| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().collect::<String>() + letters.as_str()
            })
        };
        let subject = || object_reference(self.set);
        Step::from(change)
            .succeeding_with(EventRecord::normal(
                subject(),
                &format!("Successful{}", title(verb)),
                format!("{verb} {object} in StatefulSet {set} successful"),
            ))
            .failing_with(EventRecord::warning(
                subject(),
                &format!("Failed{}", title(verb)),
                format!("{verb} {object} in StatefulSet {set} failed error: {{error}}"),
            ))
    }

    fn deletion(&self, pod: &Pod) -> Step {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        self.about(Change::delete(pod), "delete", &format!("Pod {name}"))
    }
}

/// The set's selector, unless it cannot be read or selects everything (validation does not let such sets in).
fn selector(set: &StatefulSet) -> Option<LabelSelector> {
    let selector = LabelSelector::from_typed(&set.spec.as_ref()?.selector).ok()?;
    (!selector.is_everything()).then_some(selector)
}

/// The number of replicas asked for.
fn replicas(set: &StatefulSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// The number of the first pod.
fn first_ordinal(set: &StatefulSet) -> i32 {
    let ordinals = set.spec.as_ref().and_then(|spec| spec.ordinals.as_ref());
    ordinals.and_then(|ordinals| ordinals.start).unwrap_or(0)
}

#[cfg(test)]
mod tests;
