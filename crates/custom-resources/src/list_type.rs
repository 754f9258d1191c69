//! Lists whose items must be distinct: sets, and maps by their keys.

use std::collections::BTreeMap;

use kube_types::dynamic::{Map, Value};
use object_rules::field::Errors;

use crate::path::Path;
use crate::schema::{ListType, Schema};

/// What occurs twice in an object.
pub fn duplicates(object: &Map<String, Value>, schema: &Schema, errors: &mut Errors) {
    in_object(object, schema, &Path::root(""), errors);
}

fn in_object(object: &Map<String, Value>, schema: &Schema, at: &Path<'_>, errors: &mut Errors) {
    for (name, value) in object {
        match schema.properties.get(name) {
            Some(below) => in_value(value, below, &at.field(name), errors),
            None => {
                if let Some(below) = schema.field(name) {
                    in_value(value, below, &at.key(name), errors);
                }
            }
        }
    }
}

fn in_value(value: &Value, schema: &Schema, at: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::Object(object) => in_object(object, schema, at, errors),
        Value::Array(items) => {
            match schema.list_type {
                ListType::Atomic => {}
                ListType::Set => {
                    let keys = items.iter().map(Value::to_string).collect();
                    twice(keys, |index| items[index].clone(), at, errors);
                }
                ListType::Map => by_keys(items, schema, at, errors),
            }
            if let Some(below) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    in_value(item, below, &at.index(index), errors);
                }
            }
        }
        _ => {}
    }
}

fn by_keys(items: &[Value], schema: &Schema, at: &Path<'_>, errors: &mut Errors) {
    if let Some(index) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        let detail = "must be an object for an array of list-type map";
        return errors.invalid(at.index(index).to_string(), items[index].clone(), detail);
    }
    let key = |item: &Value| {
        let keys = schema.list_keys.iter();
        let given = keys.filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
        Value::Object(given.collect())
    };
    let keys: Vec<Value> = items.iter().map(key).collect();
    let texts = keys.iter().map(Value::to_string).collect();
    twice(texts, |index| keys[index].clone(), at, errors);
}

/// Names the first repetition of each key.
fn twice(keys: Vec<String>, shown: impl Fn(usize) -> Value, at: &Path<'_>, errors: &mut Errors) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, key) in keys.into_iter().enumerate() {
        let times = seen.entry(key).or_default();
        *times += 1;
        if *times == 2 {
            errors.duplicate(at.index(index).to_string(), shown(index));
        }
    }
}
