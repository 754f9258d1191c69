//! Empties a namespace that is being deleted, pods first, and lets it go when nothing is left.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use plan::{Change, Plan, ResourceName, set_condition, whole_seconds};

/// The finalizer in `spec.finalizers` that this controller removes.
const FINALIZER: &str = "kubernetes";

/// How soon a namespace with objects that wait for others is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Name of the controller.
pub const NAME: &str = "namespace-controller";

/// What is left in a namespace that is being deleted.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Objects of each resource that can be deleted and listed.
    pub remaining: BTreeMap<ResourceName, Remaining>,
    /// Resources that could not be listed, with the error.
    pub failures: BTreeMap<String, String>,
}

/// The objects of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// How many there are.
    pub count: usize,
    /// How many of them are already being deleted.
    pub deleting: usize,
    /// How often each finalizer is found.
    pub finalizers: BTreeMap<String, usize>,
}

/// Is the namespace being deleted?
pub fn is_going(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_some() || phase == Some("Terminating")
}

/// What to do about a namespace that is being deleted and still has `contents`.
///
/// Source of the rules: `namespacedResourcesDeleter`, with the order of `OrderedNamespaceDeletion`: nothing but pods is
/// deleted while there are pods, so that what protects them (network policies) outlives them.
pub fn plan_deletion(namespace: &Namespace, contents: &Contents, now: Timestamp) -> Plan {
    let name = namespace.metadata.name.as_deref().unwrap_or_default();
    let finalizers = namespace
        .spec
        .as_ref()
        .and_then(|spec| spec.finalizers.clone())
        .unwrap_or_default();
    if !is_going(namespace) || !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        return Plan::nothing();
    }
    let left: Vec<(&ResourceName, &Remaining)> = contents
        .remaining
        .iter()
        .filter(|(_, remaining)| remaining.count > 0)
        .collect();
    let mut plan = Plan::nothing();
    if left.is_empty() && contents.failures.is_empty() {
        let mut finalized = namespace.clone();
        let kept: Vec<String> = finalizers
            .into_iter()
            .filter(|finalizer| finalizer != FINALIZER)
            .collect();
        finalized.spec.get_or_insert_default().finalizers = Some(kept);
        plan.then(Change::Finalize(Box::new(finalized)));
        return plan;
    }
    let is_pods = |resource: &ResourceName| resource.group.is_empty() && resource.plural == "pods";
    let pods_left = left.iter().any(|(resource, _)| is_pods(resource));
    for (resource, remaining) in &left {
        if remaining.deleting < remaining.count && (!pods_left || is_pods(resource)) {
            plan.then(Change::DeleteCollection {
                resource: (*resource).clone(),
                namespace: name.to_owned(),
            });
        }
    }
    let mut status = namespace.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.take().unwrap_or_default();
    for condition in conditions_of(&left, contents, now) {
        set_condition(&mut conditions, condition);
    }
    status.conditions = Some(conditions);
    if namespace.status.as_ref() != Some(&status) {
        let mut told = namespace.clone();
        told.status = Some(status);
        plan.then(Change::update_status(told));
    }
    plan.look_again(LOOK_AGAIN);
    plan
}

fn conditions_of(left: &[(&ResourceName, &Remaining)], contents: &Contents, now: Timestamp) -> Vec<NamespaceCondition> {
    let condition = |kind: &str, told: Option<String>, trouble: &str, fine: (&str, &str)| NamespaceCondition {
        type_: kind.to_owned(),
        status: if told.is_some() { "True" } else { "False" }.to_owned(),
        reason: Some(if told.is_some() { trouble } else { fine.0 }.to_owned()),
        message: Some(told.unwrap_or_else(|| fine.1.to_owned())),
        last_transition_time: Some(whole_seconds(now)),
    };
    vec![
        condition(
            "NamespaceDeletionContentFailure",
            failures_told(contents),
            "ContentDeletionFailed",
            (
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        condition(
            "NamespaceContentRemaining",
            remaining_told(left),
            "SomeResourcesRemain",
            ("ContentRemoved", "All content successfully removed"),
        ),
        condition(
            "NamespaceFinalizersRemaining",
            finalizers_told(left),
            "SomeFinalizersRemain",
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]
}

fn failures_told(contents: &Contents) -> Option<String> {
    let failures: Vec<&str> = contents.failures.values().map(String::as_str).collect();
    let count = failures.len();
    (count > 0).then(|| {
        format!(
            "Failed to delete all resource types, {count} remaining: {}",
            failures.join(", ")
        )
    })
}

fn remaining_told(left: &[(&ResourceName, &Remaining)]) -> Option<String> {
    let counted = left.iter().map(|(resource, remaining)| {
        let name = resource.group_version_resource().group_resource();
        format!("{name} has {} resource instances", remaining.count)
    });
    let counted: Vec<String> = counted.collect();
    (!counted.is_empty()).then(|| format!("Some resources are remaining: {}", counted.join(", ")))
}

fn finalizers_told(left: &[(&ResourceName, &Remaining)]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (finalizer, count) in left.iter().flat_map(|(_, remaining)| &remaining.finalizers) {
        *counts.entry(finalizer).or_insert(0) += count;
    }
    let counted = counts
        .into_iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"));
    let counted: Vec<String> = counted.collect();
    let told = || {
        format!(
            "Some content in the namespace has finalizers remaining: {}",
            counted.join(", ")
        )
    };
    (!counted.is_empty()).then(told)
}

#[cfg(test)]
mod tests;
