//! Conditions of a status: one list, one entry per type, a transition time that moves only with the status.

use k8s_openapi::api::apps::v1::{DeploymentCondition, ReplicaSetCondition};
use k8s_openapi::api::core::v1::{NamespaceCondition, NodeCondition, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// An entry of a list of conditions.
pub trait Condition: Clone {
    /// The type, which is unique in the list.
    fn kind(&self) -> &str;
    /// `True`, `False` or `Unknown`.
    fn status(&self) -> &str;
    /// Short CamelCase reason.
    fn reason(&self) -> &str;
    /// When the status last changed.
    fn transition(&self) -> Option<&Time>;
    /// Sets when the status last changed.
    fn set_transition(&mut self, at: Option<Time>);
}

macro_rules! conditions {
    ($($type:ident),+) => {$(
        impl Condition for $type {
            fn kind(&self) -> &str {
                &self.type_
            }
            fn status(&self) -> &str {
                &self.status
            }
            fn reason(&self) -> &str {
                self.reason.as_deref().unwrap_or_default()
            }
            fn transition(&self) -> Option<&Time> {
                self.last_transition_time.as_ref()
            }
            fn set_transition(&mut self, at: Option<Time>) {
                self.last_transition_time = at;
            }
        }
    )+};
}

conditions!(
    DeploymentCondition,
    ReplicaSetCondition,
    PodCondition,
    NodeCondition,
    NamespaceCondition
);

/// Puts `new` in the place of the entry of its type. The old transition time stays when the status is the same; an entry with
/// the same status and reason stays as it is.
///
/// Source of the rule: `SetDeploymentCondition` and its siblings.
pub fn set_condition<C: Condition>(conditions: &mut Vec<C>, mut new: C) {
    if let Some(old) = conditions.iter().find(|old| old.kind() == new.kind()) {
        if old.status() == new.status() && old.reason() == new.reason() {
            return;
        }
        if old.status() == new.status() {
            new.set_transition(old.transition().cloned());
        }
    }
    conditions.retain(|old| old.kind() != new.kind());
    conditions.push(new);
}

/// Removes the entry of a type.
pub fn without_condition<C: Condition>(conditions: &mut Vec<C>, kind: &str) {
    conditions.retain(|condition| condition.kind() != kind);
}
