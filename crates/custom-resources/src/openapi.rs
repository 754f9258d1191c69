//! The schema of a version as OpenAPI documents publish it. Source: `controller/openapi/builder`.

use kube_types::dynamic::{Map, Value, json};
use object_rules::tree::Node;

use crate::definition::{Definition, Version};

/// Which OpenAPI a document is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Version 2, which knows no alternatives and no nulls.
    V2,
    /// Version 3.
    V3,
}

impl Dialect {
    fn reference(self, name: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        }
    }
}

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// Name of a kind's schema: the group backwards, the version, the kind.
pub fn model_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').collect();
    parts.reverse();
    format!("{}.{version}.{kind}", parts.join("."))
}

/// The schemas of a version: its kind and the list of it, by name.
pub fn schemas(definition: &Definition, version: &Version, dialect: Dialect) -> Vec<(String, Value)> {
    let names = &definition.names;
    let name = model_name(&definition.group, &version.name, &names.kind);
    let list = model_name(&definition.group, &version.name, &names.list_kind);
    let gvk = |kind: &str| json!([{"group": definition.group, "kind": kind, "version": version.name}]);
    let mut schema = kind(version, dialect);
    schema.insert("x-kubernetes-group-version-kind".to_owned(), gvk(&names.kind));
    if !version.selectable.is_empty() && dialect == Dialect::V3 {
        let fields: Vec<Value> = version
            .selectable
            .iter()
            .map(|(path, _)| json!({"fieldPath": path}))
            .collect();
        schema.insert("x-kubernetes-selectable-fields".to_owned(), fields.into());
    }
    let items = json!({
        "description": format!("List of {}. More info: {CONVENTIONS}", names.plural),
        "type": "array",
        "items": {"$ref": dialect.reference(&name)},
    });
    let listed = json!({
        "description": format!("{} is a list of {}", names.list_kind, names.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": api_version(),
            "items": items,
            "kind": kind_name(),
            "metadata": meta(LIST_META, dialect, "Standard list metadata. More info:"),
        },
        "x-kubernetes-group-version-kind": gvk(&names.list_kind),
    });
    vec![(name, Value::Object(schema)), (list, listed)]
}

fn api_version() -> Value {
    json!({"type": "string", "description": format!("APIVersion defines the versioned schema of this representation of an \
        object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized \
        values. More info: {CONVENTIONS}#resources")})
}

fn kind_name() -> Value {
    json!({"type": "string", "description": format!("Kind is a string value representing the REST resource this object \
        represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In \
        CamelCase. More info: {CONVENTIONS}#types-kinds")})
}

fn meta(name: &str, dialect: Dialect, words: &str) -> Value {
    let description = format!("{words} {CONVENTIONS}#metadata");
    let reference = json!({"$ref": dialect.reference(name)});
    match dialect {
        Dialect::V2 => json!({"description": description, "$ref": dialect.reference(name)}),
        Dialect::V3 => json!({"description": description, "allOf": [reference], "default": {}}),
    }
}

fn kind(version: &Version, dialect: Dialect) -> Node {
    // Clients of version 2 refuse unknown fields wherever a field is named.
    if version.document.is_empty() || (dialect == Dialect::V2 && version.schema.preserve_unknown) {
        return Map::from_iter([("type".to_owned(), Value::from("object"))]);
    }
    let mut schema = version.document.clone();
    publish(&mut schema, dialect);
    resource(&mut schema, dialect);
    schema
}

/// Adds what every object has.
fn resource(schema: &mut Node, dialect: Dialect) {
    let properties = object_rules::tree::ensure(schema, "properties");
    properties.insert("apiVersion".to_owned(), api_version());
    properties.insert("kind".to_owned(), kind_name());
    let words = "Standard object's metadata. More info:";
    properties.insert("metadata".to_owned(), meta(OBJECT_META, dialect, words));
}

fn publish(schema: &mut Node, dialect: Dialect) {
    let preserves = schema.get(PRESERVE) == Some(&Value::Bool(true));
    if dialect == Dialect::V2 {
        simplify(schema);
    }
    for field in ["items", "additionalProperties", "not"] {
        if let Some(Value::Object(below)) = schema.get_mut(field) {
            publish(below, dialect);
        }
    }
    for field in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(list)) = schema.get_mut(field) {
            list.iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(|below| publish(below, dialect));
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for below in properties.values_mut().filter_map(Value::as_object_mut) {
            publish(below, dialect);
        }
    }
    let embedded = schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true));
    if embedded && !(preserves && dialect == Dialect::V2) {
        resource(schema, dialect);
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
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
        && dialect == Dialect::V3
        && !schema.contains_key("anyOf")
        && !schema.contains_key("allOf")
    {
        schema.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
    }
}

/// Leaves out what version 2 does not know; a value that may be null, or of which fields are unknown, has no type there.
fn simplify(schema: &mut Node) {
    for field in ["allOf", "anyOf", "oneOf", "not"] {
        schema.shift_remove(field);
    }
    let nullable = schema.shift_remove("nullable") == Some(Value::Bool(true));
    let preserves = schema.get(PRESERVE) == Some(&Value::Bool(true));
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        schema.shift_remove("type");
    }
    if nullable {
        for field in ["type", "items", "properties"] {
            schema.shift_remove(field);
        }
    }
    if preserves {
        for field in ["items", "properties"] {
            schema.shift_remove(field);
        }
        if schema.get("type") != Some(&Value::from("object")) {
            schema.shift_remove("type");
        }
    }
}
