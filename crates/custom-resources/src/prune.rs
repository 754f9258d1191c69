//! Dropping what a schema does not know, in one pass that also tells what was dropped.

use kube_types::dynamic::{Map, Value};

use crate::path::Path;
use crate::schema::{Additional, Schema};

/// Fields that a resource has whatever its schema says.
const META: &[&str] = &["apiVersion", "kind", "metadata"];

/// Drops unknown fields of a whole resource; answers their paths, sorted.
pub fn prune(object: &mut Map<String, Value>, schema: &Schema) -> Vec<String> {
    let mut unknown = Vec::new();
    let root = Path::root("");
    if schema.preserve_unknown {
        keep_object(object, schema, true, &root, &mut unknown);
    } else {
        prune_object(object, schema, true, &root, &mut unknown);
    }
    unknown.sort();
    unknown
}

/// Whether a default says nothing that its schema does not know.
pub(crate) fn is_pruned(value: &Value, schema: &Schema) -> bool {
    let mut unknown = Vec::new();
    prune_value(&mut value.clone(), Some(schema), &Path::root(""), &mut unknown);
    unknown.is_empty()
}

fn prune_value(value: &mut Value, schema: Option<&Schema>, at: &Path<'_>, unknown: &mut Vec<String>) {
    match (value, schema) {
        (value, Some(schema)) if schema.preserve_unknown => keep_value(value, schema, at, unknown),
        (Value::Object(object), Some(schema)) => prune_object(object, schema, schema.embedded, at, unknown),
        (Value::Object(object), None) => {
            unknown.extend(object.keys().map(|name| at.field(name).to_string()));
            object.clear();
        }
        (Value::Array(items), schema) => {
            let below = schema.and_then(|schema| schema.items.as_deref());
            for (index, item) in items.iter_mut().enumerate() {
                prune_value(item, below, &at.index(index), unknown);
            }
        }
        _ => {}
    }
}

fn prune_object(
    object: &mut Map<String, Value>,
    schema: &Schema,
    resource: bool,
    at: &Path<'_>,
    unknown: &mut Vec<String>,
) {
    object.retain(|name, value| {
        if resource && META.contains(&name.as_str()) {
            return true;
        }
        let below = at.field(name);
        match (schema.properties.get(name), &schema.additional) {
            (Some(property), _) => prune_value(value, Some(property), &below, unknown),
            (None, Some(Additional::Schema(schema))) => prune_value(value, Some(schema), &below, unknown),
            (None, Some(Additional::Any(_))) => prune_value(value, None, &below, unknown),
            (None, None) => {
                unknown.push(below.to_string());
                return false;
            }
        }
        true
    });
}

/// Unknown fields stay, but what is known below is pruned.
fn keep_value(value: &mut Value, schema: &Schema, at: &Path<'_>, unknown: &mut Vec<String>) {
    match (value, &schema.items) {
        (Value::Object(object), _) => keep_object(object, schema, schema.embedded, at, unknown),
        (Value::Array(items), Some(below)) => {
            for (index, item) in items.iter_mut().enumerate() {
                keep_value(item, below, &at.index(index), unknown);
            }
        }
        _ => {}
    }
}

fn keep_object(
    object: &mut Map<String, Value>,
    schema: &Schema,
    resource: bool,
    at: &Path<'_>,
    unknown: &mut Vec<String>,
) {
    for (name, value) in object.iter_mut() {
        if resource && META.contains(&name.as_str()) {
            continue;
        }
        if let Some(below) = schema.field(name) {
            prune_value(value, Some(below), &at.field(name), unknown);
        }
    }
}
