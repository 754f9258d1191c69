//! The schema of a version as OpenAPI documents publish it. Source: `controller/openapi/builder`.

use kube_types::dynamic::{Value, json};
use object_rules::tree::{Node, text};

use crate::definition::{Definition, Version};

#[cfg(test)]
mod tests;

/// Where the metadata's schema is, for who puts documents together.
const OBJECT_META: &str = "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

const KEEPS_UNKNOWN: &str = "x-kubernetes-preserve-unknown-fields";

/// A version of OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Swagger 2, which knows no alternatives and no null.
    V2,
    /// 3.0.
    V3,
}

/// The schema of the objects of a version, with what every object has.
pub fn document(definition: &Definition, version: &Version, form: Form) -> Value {
    let mut schema = version.document.clone();
    // With properties in the older form, kubectl would take all other fields for unknown.
    let is_open = form == Form::V2 && (definition.preserve_unknown || says(&schema, KEEPS_UNKNOWN));
    if schema.is_empty() || is_open {
        return json!({"type": "object"});
    }
    if form == Form::V2 {
        simplify(&mut schema);
    }
    publish(&mut schema, form);
    resource(&mut schema);
    if !version.selectable.is_empty() {
        let fields: Vec<Value> = version
            .selectable
            .iter()
            .map(|(path, _)| json!({"fieldPath": path}))
            .collect();
        schema.insert("x-kubernetes-selectable-fields".to_owned(), fields.into());
    }
    Value::Object(schema)
}

fn resource(schema: &mut Node) {
    let api_version = format!(
        "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized \
         schemas to the latest internal value, and may reject unrecognized values. More info: {CONVENTIONS}#resources"
    );
    let kind = format!(
        "Kind is a string value representing the REST resource this object represents. Servers may infer this from the \
         endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: {CONVENTIONS}#types-kinds"
    );
    let metadata = format!("Standard object's metadata. More info: {CONVENTIONS}#metadata");
    let properties = object_rules::tree::ensure(schema, "properties");
    properties.insert(
        "apiVersion".to_owned(),
        json!({"type": "string", "description": api_version}),
    );
    properties.insert("kind".to_owned(), json!({"type": "string", "description": kind}));
    properties.insert(
        "metadata".to_owned(),
        json!({"description": metadata, "$ref": OBJECT_META}),
    );
}

fn says(schema: &Node, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

/// The schemas that stand for values below.
fn below(schema: &mut Node) -> Vec<&mut Node> {
    let mut found = Vec::new();
    for (field, value) in schema.iter_mut() {
        match (field.as_str(), value) {
            ("items" | "additionalProperties", Value::Object(one)) => found.push(one),
            ("properties", Value::Object(properties)) => {
                found.extend(properties.values_mut().filter_map(Value::as_object_mut));
            }
            _ => {}
        }
    }
    found
}

/// Leaves out what Swagger 2 does not know, and what kubectl makes errors of there. Source: `controller/openapi/v2`.
fn simplify(schema: &mut Node) {
    let (nullable, keeps_unknown) = (says(schema, "nullable"), says(schema, KEEPS_UNKNOWN));
    schema.retain(|field, _| match field.as_str() {
        "allOf" | "anyOf" | "oneOf" | "not" | "nullable" => false,
        "items" | "properties" => !nullable && !keeps_unknown,
        _ => true,
    });
    let untyped = match text(schema, "type") {
        "array" => nullable || !schema.contains_key("items"),
        "object" => nullable || keeps_unknown,
        _ => nullable,
    };
    let nullables: Vec<String> = match schema.get("properties") {
        Some(Value::Object(properties)) => properties
            .iter()
            .filter(|(_, property)| property["nullable"] == true)
            .map(|(name, _)| name.clone())
            .collect(),
        _ => Vec::new(),
    };
    let mut required: Vec<Value> = match schema.get("additionalProperties") {
        Some(values) if values["nullable"] == true => Vec::new(),
        _ => items_of(schema, "required"),
    };
    required.retain(|name| !nullables.iter().any(|nullable| name == nullable));
    schema.retain(|field, _| match field.as_str() {
        "type" => !untyped,
        "required" => !required.is_empty(),
        _ => true,
    });
    if let Some(field) = schema.get_mut("required") {
        *field = required.into();
    }
    below(schema).into_iter().for_each(simplify);
}

fn items_of(schema: &Node, field: &str) -> Vec<Value> {
    match schema.get(field) {
        Some(Value::Array(list)) => list.clone(),
        _ => Vec::new(),
    }
}

fn publish(schema: &mut Node, form: Form) {
    below(schema).into_iter().for_each(|schema| publish(schema, form));
    let closed = form == Form::V3 || !says(schema, KEEPS_UNKNOWN);
    if closed && says(schema, "x-kubernetes-embedded-resource") {
        resource(schema);
        let mut required = items_of(schema, "required");
        for name in ["kind", "apiVersion"] {
            if !required.contains(&Value::from(name)) {
                required.push(name.into());
            }
        }
        schema.insert("required".to_owned(), required.into());
    }
    let alternatives = schema.contains_key("anyOf") || schema.contains_key("allOf");
    if form == Form::V3 && says(schema, "x-kubernetes-int-or-string") && !alternatives {
        schema.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
    }
}
