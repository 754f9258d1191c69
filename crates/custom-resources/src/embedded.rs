//! Objects inside of objects: their metadata are brought into form and checked as those of every object.

use kube_types::dynamic::{Map, Object, Value};
use kube_types::{GroupVersionKind, schema};
use object_rules::field::{Error, Errors};
use object_rules::names;

use crate::path::Path;
use crate::schema::Schema;

/// Brings the metadata of an object, and of all objects inside of it, into form; answers the unknown fields.
///
/// # Errors
/// A field of a wrong type, as upstream's decoder words it.
pub fn coerce(object: &mut Map<String, Value>, schema: &Schema) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    let root = Path::root("");
    metadata(object, &root, &mut unknown)?;
    below(object, schema, &root, &mut unknown)?;
    Ok(unknown)
}

fn metadata(object: &mut Map<String, Value>, at: &Path<'_>, unknown: &mut Vec<String>) -> Result<(), String> {
    let Some(metadata) = object.get_mut("metadata") else {
        return Ok(());
    };
    // Every kind has the same metadata; this one has little else.
    let kind = GroupVersionKind::new("", "v1", "ConfigMap");
    let known = schema::lookup(&kind).ok_or("the schema of metadata is missing")?;
    let mut wrapped = Map::new();
    wrapped.insert("metadata".to_owned(), metadata.take());
    let found = known.normalize(&mut wrapped).map_err(|error| error.to_string())?;
    unknown.extend(found.0.iter().map(|name| at.field(name).to_string()));
    match wrapped.remove("metadata") {
        Some(normal) => *metadata = normal,
        None => {
            object.remove("metadata");
        }
    }
    Ok(())
}

fn below(
    object: &mut Map<String, Value>,
    schema: &Schema,
    at: &Path<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    if schema.properties.is_empty() && schema.additional.is_none() {
        return Ok(());
    }
    for (name, value) in object.iter_mut() {
        if let Some(schema) = schema.field(name) {
            inside(value, schema, &at.field(name), unknown)?;
        }
    }
    Ok(())
}

fn inside(value: &mut Value, schema: &Schema, at: &Path<'_>, unknown: &mut Vec<String>) -> Result<(), String> {
    match value {
        Value::Object(object) => {
            if schema.embedded {
                for name in ["apiVersion", "kind"] {
                    if object.get(name).is_some_and(|value| !value.is_string()) {
                        return Err(format!("{}: Invalid value: must be a string", at.field(name)));
                    }
                }
                metadata(object, at, unknown)?;
            }
            below(object, schema, at, unknown)
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else {
                return Ok(());
            };
            for (index, item) in items.iter_mut().enumerate() {
                inside(item, schema, &at.index(index), unknown)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What is wrong with the objects inside of an object.
pub fn validate(object: &Map<String, Value>, schema: &Schema, errors: &mut Errors) {
    if schema.any(&|schema| schema.embedded) {
        fields(object, schema, &Path::root(""), errors);
    }
}

fn fields(object: &Map<String, Value>, schema: &Schema, at: &Path<'_>, errors: &mut Errors) {
    for (name, value) in object {
        if let Some(schema) = schema.field(name) {
            check(value, schema, &at.field(name), errors);
        }
    }
}

fn check(value: &Value, schema: &Schema, at: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::Object(object) => {
            if schema.embedded {
                resource(object, at, errors);
            }
            fields(object, schema, at, errors);
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                check(item, schema, &at.index(index), errors);
            }
        }
        _ => {}
    }
}

fn resource(object: &Map<String, Value>, at: &Path<'_>, errors: &mut Errors) {
    for name in ["apiVersion", "kind"] {
        let path = at.field(name).to_string();
        match object.get(name) {
            None => errors.required(path, ""),
            Some(Value::String(text)) if text.is_empty() => errors.invalid(path, "", "must not be empty"),
            Some(Value::String(text)) if name == "kind" => {
                let problems = names::dns1035_label(&text.to_lowercase());
                if !problems.is_empty() {
                    let detail = format!(
                        "may have mixed case, but should otherwise match: {}",
                        problems.join(",")
                    );
                    errors.invalid(path, text.as_str(), detail);
                }
            }
            Some(Value::String(text)) if text.matches('/').count() > 1 => {
                let detail = format!("unexpected GroupVersion string: {text}");
                errors.invalid(path, text.as_str(), detail);
            }
            Some(Value::String(_)) => {}
            Some(other) => errors.invalid(path, other.clone(), "must be a string"),
        }
    }
    let mut shell = Object::default();
    if let Some(metadata) = object.get("metadata") {
        shell.0.insert("metadata".to_owned(), metadata.clone());
    }
    if shell.name().is_none() {
        shell.metadata_mut().insert("name".to_owned(), "fakename".into());
    }
    let namespaced = shell.namespace().is_some();
    let mut found = Errors::new();
    object_rules::metadata::validate(&shell, namespaced, names::path_segment, &mut found);
    errors.extend(found.into_iter().map(|error| Error {
        field: at.field(&error.field).to_string(),
        ..error
    }));
}
