//! The metadata that the server keeps itself: identity, times, generation.

use jiff::Timestamp;
use kube_types::dynamic::{Map, Object, Value};

use super::ownership::FIELD as OWNERS;
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

/// Drops from a new object what only the server says.
pub(crate) fn forget(object: &mut Object) {
    let metadata = object.metadata_mut();
    for field in SYSTEM.iter().chain(&["selfLink", "resourceVersion"]) {
        metadata.remove(*field);
    }
}

/// Gives a new object its identity.
pub(crate) fn fill(kind: &ResourceKind, object: &mut Object, uid: String, now: Timestamp, owners: Option<Value>) {
    forget(object);
    let metadata = object.metadata_mut();
    set_owners(metadata, owners);
    metadata.insert("uid".to_owned(), uid.into());
    metadata.insert("creationTimestamp".to_owned(), stamp(now).into());
    if kind.rules.generation {
        metadata.insert("generation".to_owned(), 1.into());
    }
}

fn set_owners(metadata: &mut Map<String, Value>, owners: Option<Value>) {
    match owners {
        Some(owners) => metadata.insert(OWNERS.to_owned(), owners),
        None => metadata.remove(OWNERS),
    };
}

/// Restores in a changed object what the server keeps, and says who owns its fields.
pub(crate) fn restore(object: &mut Object, old: &Object, owners: Option<Value>) {
    let empty = Map::new();
    let kept = old.metadata().unwrap_or(&empty);
    let metadata = object.metadata_mut();
    metadata.remove("selfLink");
    set_owners(metadata, owners);
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

/// Whether two objects differ in what a kind's generation counts: everything but metadata and, unless it is that of a
/// custom resource without a status subresource, status.
pub(crate) fn spec_differs(kind: &ResourceKind, new: &Object, old: &Object) -> bool {
    let with_status = kind.custom.is_some() && !kind.rules.status;
    let counted = |name: &str| !matches!(name, "metadata" | "kind" | "apiVersion") && (with_status || name != "status");
    let all = |a: &Object, b: &Object| {
        a.0.iter()
            .filter(|(key, _)| counted(key))
            .all(|(key, v)| b.0.get(key) == Some(v))
    };
    !(all(new, old) && all(old, new))
}

/// Whether two objects are the same but for their resourceVersion and for when their owners last wrote.
pub(crate) fn same(new: &Object, old: &Object) -> bool {
    let empty = Map::new();
    let (there, here) = (old.metadata().unwrap_or(&empty), new.metadata().unwrap_or(&empty));
    let counted = |field: &str| !matches!(field, "resourceVersion" | OWNERS);
    let others = |map: &Map<String, Value>| map.keys().filter(|field| counted(field)).count();
    new.0.len() == old.0.len()
        && others(here) == others(there)
        && here
            .iter()
            .filter(|(field, _)| counted(field))
            .all(|(field, value)| there.get(field) == Some(value))
        && same_owners(here.get(OWNERS), there.get(OWNERS))
        && new
            .0
            .iter()
            .filter(|(field, _)| *field != "metadata")
            .all(|(field, value)| old.0.get(field) == Some(value))
}

fn same_owners(new: Option<&Value>, old: Option<&Value>) -> bool {
    let entries = |owners: Option<&Value>| owners.and_then(Value::as_array).map_or(0, Vec::len);
    let timeless = |entry: &Value| {
        let mut entry = entry.clone();
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("time");
        }
        entry
    };
    new == old
        || (entries(new) == entries(old)
            && new
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .zip(old.and_then(Value::as_array).into_iter().flatten())
                .all(|(new, old)| timeless(new) == timeless(old)))
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
