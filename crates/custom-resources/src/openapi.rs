//! The schema of a version as OpenAPI documents publish it. Source: `controller/openapi/builder`.

use kube_types::dynamic::{Map, Value, json};
use object_rules::tree::Node;

use crate::definition::Version;

/// Where the metadata's schema is, for who puts documents together.
const OBJECT_META: &str = "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/// The schema of the objects of a version, with what every object has.
pub fn document(version: &Version) -> Value {
    if version.document.is_empty() {
        return json!({"type": "object"});
    }
    let mut schema = version.document.clone();
    publish(&mut schema);
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

fn publish(schema: &mut Node) {
    for field in ["items", "additionalProperties", "not"] {
        if let Some(Value::Object(below)) = schema.get_mut(field) {
            publish(below);
        }
    }
    for field in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(list)) = schema.get_mut(field) {
            list.iter_mut().filter_map(Value::as_object_mut).for_each(publish);
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(publish);
    }
    let says = |schema: &Map<String, Value>, name: &str| schema.get(name) == Some(&Value::Bool(true));
    if says(schema, "x-kubernetes-embedded-resource") {
        resource(schema);
        let mut required: Vec<Value> = match schema.get("required") {
            Some(Value::Array(list)) => list.clone(),
            _ => Vec::new(),
        };
        for name in ["kind", "apiVersion"] {
            if !required.contains(&Value::from(name)) {
                required.push(name.into());
            }
        }
        schema.insert("required".to_owned(), required.into());
    }
    let alternatives = schema.contains_key("anyOf") || schema.contains_key("allOf");
    if says(schema, "x-kubernetes-int-or-string") && !alternatives {
        schema.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
    }
}
