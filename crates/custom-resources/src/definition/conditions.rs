//! The status of a definition: what the API server finds out about it, and when it is served.

use kube_types::dynamic::{Object, Value, json};
use object_rules::tree::{Node, at, child, ensure, items, items_mut, text};

use super::names::Taken;
use super::{Names, own_rules};

/// Holds a definition until its objects are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// One condition, without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    of: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Condition {
    /// A condition.
    pub fn new(of: &'static str, status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            of,
            status,
            reason,
            message: message.into(),
        }
    }
}

/// Whether a condition has a status.
pub fn condition_is(object: &Object, of: &str, status: &str) -> bool {
    find(object, of).is_some_and(|found| text(found, "status") == status)
}

fn find<'o>(object: &'o Object, of: &str) -> Option<&'o Node> {
    items(child(&object.0, "status")?, "conditions").find(|found| text(found, "type") == of)
}

/// Adds or replaces a condition; the time is kept while the status is the same.
pub fn set_condition(object: &mut Object, condition: &Condition, now: &str) {
    let status = ensure(&mut object.0, "status");
    let Condition {
        of,
        status: state,
        reason,
        message,
    } = condition;
    if let Some(found) = items_mut(status, "conditions").find(|found| text(found, "type") == *of) {
        if text(found, "status") != *state || text(found, "lastTransitionTime").is_empty() {
            found.insert("lastTransitionTime".to_owned(), now.into());
        }
        found.insert("status".to_owned(), (*state).into());
        found.insert("reason".to_owned(), (*reason).into());
        found.insert("message".to_owned(), message.as_str().into());
        return;
    }
    let new = json!({"lastTransitionTime": now, "message": message, "reason": reason, "status": state, "type": of});
    match status.entry("conditions").or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(new),
        other => *other = json!([new]),
    }
}

/// Brings the status up to date: names, whether they are accepted, whether the resource is served, and whether a
/// protected group was approved.
pub fn settle(definition: &mut Object, taken: &Taken, now: &str) {
    let wanted = Names::read(at(&definition.0, &["spec", "names"]));
    let held = Names::read(at(&definition.0, &["status", "acceptedNames"]));
    if wanted != held || find(definition, "NamesAccepted").is_none() {
        let (names, condition) = taken.accept(&wanted, &held);
        ensure(&mut definition.0, "status").insert("acceptedNames".to_owned(), write(&names));
        set_condition(definition, &condition, now);
    }
    let accepted = condition_is(definition, "NamesAccepted", "True");
    if accepted && !condition_is(definition, "Established", "True") {
        let message = "the initial names have been accepted";
        set_condition(
            definition,
            &Condition::new("Established", "True", "InitialNamesAccepted", message),
            now,
        );
    } else if !accepted && find(definition, "Established").is_none() {
        let message = "not all names are accepted";
        set_condition(
            definition,
            &Condition::new("Established", "False", "NotAccepted", message),
            now,
        );
    }
    if let Some(approval) = own_rules::approval_condition(definition) {
        set_condition(definition, &approval, now);
    }
}

fn write(names: &Names) -> Value {
    let mut written = json!({"kind": names.kind, "listKind": names.list_kind, "plural": names.plural,
        "singular": names.singular});
    if !names.categories.is_empty() {
        written["categories"] = json!(names.categories);
    }
    if !names.short_names.is_empty() {
        written["shortNames"] = json!(names.short_names);
    }
    written
}

/// Whether a definition waits for its objects to go.
pub fn needs_cleanup(definition: &Object) -> bool {
    definition.is_deleting() && definition.finalizers().iter().any(|name| name == CLEANUP_FINALIZER)
}

/// Lets a definition go.
pub fn remove_finalizer(definition: &mut Object) {
    let mut left = definition.finalizers();
    left.retain(|name| name != CLEANUP_FINALIZER);
    let metadata = definition.metadata_mut();
    if left.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), left.into());
    }
}
