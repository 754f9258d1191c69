//! Says how many pods of a PodDisruptionBudget may be evicted now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_types::ObjectKey;
use kube_types::int_or_string::{Rounding, scaled};
use kube_types::selector::LabelSelector;
use plan::{
    Change, Controller, EventRecord, Kind, Observation, Plan, World, controller_of, object_reference, since,
    whole_seconds,
};

use crate::claim::matches;
use crate::pod;

/// How long an eviction that was allowed is counted although its pod is not seen to go.
const DELETION_TIMEOUT: Duration = Duration::from_secs(120);

/// The disruption controller.
pub struct DisruptionBudgets;

/// The numbers of a budget.
struct Budget {
    expected: i32,
    desired_healthy: i32,
}

impl Controller for DisruptionBudgets {
    type Root = PodDisruptionBudget;
    const NAME: &'static str = "disruption-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod, Kind::Deployment, Kind::ReplicaSet, Kind::StatefulSet];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        let metadata = changed.metadata();
        let budgets = world
            .pod_disruption_budgets
            .in_namespace(metadata.namespace.as_deref().unwrap_or_default());
        // A workload's number of replicas matters to whichever budget has its pods.
        let concerned = budgets.filter(|budget| match changed {
            Observation::Pod(_) => selector(budget).is_some_and(|selector| matches(&selector, metadata)),
            _ => true,
        });
        concerned.map(|budget| ObjectKey::of(budget.as_ref())).collect()
    }

    fn plan(&self, budget: &PodDisruptionBudget, world: &World, now: Timestamp) -> Plan {
        let Some(selector) = selector(budget) else {
            return Plan::nothing();
        };
        let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
        let pods: Vec<&Arc<Pod>> = world
            .pods
            .in_namespace(namespace)
            .filter(|pod| matches(&selector, &pod.metadata))
            .collect();
        let Some(numbers) = numbers(budget, &pods, world) else {
            let message = "the number of pods cannot be found: a pod has no controller with a scale";
            let event = EventRecord::warning(object_reference(budget), "CalculateExpectedPodCountFailed", message);
            return Plan {
                events: vec![event],
                ..Plan::default()
            };
        };
        let disrupted = disrupted(budget, &pods, now);
        let mut plan = Plan::nothing();
        let expiry = |time: &Time| DELETION_TIMEOUT.saturating_sub(since(time, now));
        disrupted
            .values()
            .map(expiry)
            .min()
            .into_iter()
            .for_each(|delay| plan.look_again(delay));
        let status = status(budget, &numbers, &pods, disrupted, now);
        if budget.status.as_ref() != Some(&status) {
            let mut told = budget.clone();
            told.status = Some(status);
            plan.then(Change::update_status(told));
        }
        plan
    }
}

fn selector(budget: &PodDisruptionBudget) -> Option<LabelSelector> {
    LabelSelector::from_optional(budget.spec.as_ref()?.selector.as_ref()).ok()
}

/// Source of the rule: `getExpectedPodCount`.
fn numbers(budget: &PodDisruptionBudget, pods: &[&Arc<Pod>], world: &World) -> Option<Budget> {
    let spec = budget.spec.clone().unwrap_or_default();
    if let Some(IntOrString::Int(least)) = spec.min_available {
        return Some(Budget {
            expected: i32::try_from(pods.len()).unwrap_or(i32::MAX),
            desired_healthy: least,
        });
    }
    let expected = expected_of_controllers(pods, world)?;
    // Validation lets only numbers and percentages in.
    let resolved = |value: &IntOrString| scaled(value, expected, Rounding::Up).unwrap_or(0);
    let desired_healthy = match (&spec.min_available, &spec.max_unavailable) {
        (Some(least), _) => resolved(least),
        (None, Some(most)) => (expected - resolved(most)).max(0),
        (None, None) => 0,
    };
    Some(Budget {
        expected,
        desired_healthy,
    })
}

/// The replicas that the controllers of the pods ask for; nothing when a pod has none that says.
fn expected_of_controllers(pods: &[&Arc<Pod>], world: &World) -> Option<i32> {
    let mut scales: BTreeMap<String, i32> = BTreeMap::new();
    for pod in pods {
        let owner = controller_of(&pod.metadata)?;
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let (uid, scale) = match owner.kind.as_str() {
            "ReplicaSet" => {
                let set = world.replica_sets.named(namespace, &owner.name)?;
                let deployment = controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment");
                let deployment = deployment.and_then(|owner| world.deployments.named(namespace, &owner.name));
                match deployment {
                    Some(found) => (found.metadata.uid.clone(), found.spec.as_ref()?.replicas),
                    None => (set.metadata.uid.clone(), set.spec.as_ref()?.replicas),
                }
            }
            "StatefulSet" => {
                let set = world.stateful_sets.named(namespace, &owner.name)?;
                (set.metadata.uid.clone(), set.spec.as_ref()?.replicas)
            }
            _ => return None,
        };
        scales.insert(uid.unwrap_or_default(), scale.unwrap_or(1));
    }
    Some(scales.values().sum())
}

/// Evictions that were allowed and whose pods are still there.
fn disrupted(budget: &PodDisruptionBudget, pods: &[&Arc<Pod>], now: Timestamp) -> BTreeMap<String, Time> {
    let present = budget
        .status
        .as_ref()
        .and_then(|status| status.disrupted_pods.clone())
        .unwrap_or_default();
    let still_there = |name: &str| {
        pods.iter()
            .any(|pod| pod.metadata.name.as_deref() == Some(name) && !pod::is_deleting(pod))
    };
    present
        .into_iter()
        .filter(|(name, time)| still_there(name) && since(time, now) < DELETION_TIMEOUT)
        .collect()
}

fn status(
    budget: &PodDisruptionBudget,
    numbers: &Budget,
    pods: &[&Arc<Pod>],
    disrupted: BTreeMap<String, Time>,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let healthy = pods.iter().filter(|pod| {
        let going = pod
            .metadata
            .name
            .as_ref()
            .is_some_and(|name| disrupted.contains_key(name));
        pod::is_ready(pod) && !pod::is_deleting(pod) && !going
    });
    let current = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
    let allowed = if numbers.expected == 0 {
        0
    } else {
        (current - numbers.desired_healthy).max(0)
    };
    let old = budget
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref()?.first().cloned());
    let holds = if allowed > 0 { "True" } else { "False" };
    let transition = old
        .filter(|old| old.status == holds)
        .map_or_else(|| whole_seconds(now), |old| old.last_transition_time);
    PodDisruptionBudgetStatus {
        current_healthy: Some(current),
        desired_healthy: Some(numbers.desired_healthy),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(numbers.expected),
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        observed_generation: budget.metadata.generation,
        conditions: Some(vec![Condition {
            type_: "DisruptionAllowed".to_owned(),
            status: holds.to_owned(),
            reason: if allowed > 0 {
                "SufficientPods"
            } else {
                "InsufficientPods"
            }
            .to_owned(),
            message: String::new(),
            last_transition_time: transition,
            observed_generation: budget.metadata.generation,
        }]),
    }
}

#[cfg(test)]
mod tests;
