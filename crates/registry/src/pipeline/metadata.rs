//! The metadata that the server keeps itself: identity, times, generation.

use jiff::Timestamp;
use kube_types::dynamic::{Map, Object, Value};

use crate::kinds::ResourceKind;

/// A time as objects carry it.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Metadata that clients cannot set.
const SYSTEM: &[&str] = &[
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];

/// Gives a new object its identity.
pub(crate) fn fill(kind: &ResourceKind, object: &mut Object, uid: String, now: Timestamp) {
    let metadata = object.metadata_mut();
    for field in SYSTEM.iter().chain(&["selfLink", "resourceVersion", "managedFields"]) {
        metadata.remove(*field);
    }
    metadata.insert("uid".to_owned(), uid.into());
    metadata.insert("creationTimestamp".to_owned(), stamp(now).into());
    if kind.rules.generation {
        metadata.insert("generation".to_owned(), 1.into());
    }
}

/// Restores in a changed object what the server keeps.
pub(crate) fn restore(object: &mut Object, old: &Object) {
    let empty = Map::new();
    let kept = old.metadata().unwrap_or(&empty);
    let metadata = object.metadata_mut();
    metadata.remove("selfLink");
    metadata.remove("managedFields");
    for field in SYSTEM
        .iter()
        .chain(&["resourceVersion", "generateName", "name", "namespace"])
    {
        match kept.get(*field) {
            Some(value) => metadata.insert((*field).to_owned(), value.clone()),
            None => metadata.remove(*field),
        };
    }
}

/// Adds one to the generation, if the kind counts.
pub(crate) fn bump_generation(object: &mut Object) {
    if let Some(generation) = object
        .metadata()
        .and_then(|m| m.get("generation"))
        .and_then(Value::as_i64)
    {
        object
            .metadata_mut()
            .insert("generation".to_owned(), (generation + 1).into());
    }
}

/// Whether two objects differ outside metadata and status.
pub(crate) fn spec_differs(new: &Object, old: &Object) -> bool {
    let counted = |name: &str| !matches!(name, "metadata" | "status" | "kind" | "apiVersion");
    let all = |a: &Object, b: &Object| {
        a.0.iter()
            .filter(|(key, _)| counted(key))
            .all(|(key, v)| b.0.get(key) == Some(v))
    };
    !(all(new, old) && all(old, new))
}

/// Whether two objects are the same but for their resourceVersion.
pub(crate) fn same(new: &Object, old: &Object) -> bool {
    let strip = |object: &Object| {
        let mut object = object.clone();
        object.metadata_mut().remove("resourceVersion");
        object
    };
    strip(new) == strip(old)
}

/// Marks an object as being deleted: time now, grace 0, generation counted once. Source: `markAsDeleting`.
pub(crate) fn mark_deleting(object: &mut Object, now: Timestamp) {
    let marked = object
        .metadata_text("deletionTimestamp")
        .and_then(|text| text.parse::<Timestamp>().ok());
    if marked.is_none() {
        bump_generation(object);
    }
    let metadata = object.metadata_mut();
    if marked.is_none_or(|time| time > now) {
        metadata.insert("deletionTimestamp".to_owned(), stamp(now).into());
    }
    metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
}

/// Whether an object that is being deleted has nothing left to wait for.
pub(crate) fn may_go(kind: &ResourceKind, object: &Object) -> bool {
    let grace = object
        .metadata()
        .and_then(|m| m.get("deletionGracePeriodSeconds"))
        .and_then(Value::as_i64);
    object.is_deleting() && grace.unwrap_or(0) == 0 && object.finalizers().is_empty() && !(kind.rules.held)(object)
}
