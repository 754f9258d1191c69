//! Filling in defaults, on write and on read.

use kube_types::dynamic::{Map, Value};

use crate::schema::{Additional, Schema};

/// Drops nulls that may not be there and fills what is left out.
pub fn fill(object: &mut Map<String, Value>, schema: &Schema) {
    drop_nulls_in(object, schema);
    fill_object(object, schema);
}

/// A null where none may be, of which no default can be made.
fn is_refused_null(value: &Value, schema: Option<&Schema>) -> bool {
    value.is_null() && schema.is_some_and(|schema| !schema.nullable && schema.default.is_none())
}

fn drop_nulls(value: &mut Value, schema: Option<&Schema>) {
    match (value, schema) {
        (Value::Object(object), Some(schema)) => drop_nulls_in(object, schema),
        (Value::Array(items), Some(schema)) => {
            for item in items {
                drop_nulls(item, schema.items.as_deref());
            }
        }
        _ => {}
    }
}

fn drop_nulls_in(object: &mut Map<String, Value>, schema: &Schema) {
    object.retain(|name, value| {
        let below = schema.field(name);
        drop_nulls(value, below);
        !is_refused_null(value, below)
    });
}

fn fill_value(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(object) => fill_object(object, schema),
        Value::Array(items) => {
            let Some(below) = schema.items.as_deref() else { return };
            for item in items {
                replace_null(item, below);
                fill_value(item, below);
            }
        }
        _ => {}
    }
}

fn replace_null(value: &mut Value, schema: &Schema) {
    if value.is_null() && !schema.nullable {
        *value = schema.default.clone().unwrap_or(Value::Null);
    }
}

fn fill_object(object: &mut Map<String, Value>, schema: &Schema) {
    for (name, property) in &schema.properties {
        let Some(default) = &property.default else { continue };
        if object
            .get(name)
            .is_none_or(|value| value.is_null() && !property.nullable)
        {
            object.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in object.iter_mut() {
        match (schema.properties.get(name), &schema.additional) {
            (Some(property), _) => fill_value(value, property),
            (None, Some(Additional::Schema(schema))) => {
                replace_null(value, schema);
                fill_value(value, schema);
            }
            _ => {}
        }
    }
}
