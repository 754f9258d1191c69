//! One group and version as an OpenAPI v3 document: its schemas with merge rules, and its paths as far as clients look.

use std::collections::BTreeSet;

use kube_types::schema;
use object_merge::{FieldRule, ListType, MergeRules, merge_keys};
use registry::KindTable;
use registry::kinds::{ResourceKind, Verb};
use serde_json::{Map, Value, json};

const DEFINITIONS: &str = "#/$defs/";
const SCHEMAS: &str = "#/components/schemas/";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// The document; `None` when nothing is served under that group and version.
pub(super) fn of_version(kinds: &KindTable, group: &str, version: &str) -> Option<Value> {
    let served: Vec<_> = kinds.of_version(group, version).collect();
    if served.is_empty() {
        return None;
    }
    let (mut schemas, mut paths) = (Map::new(), Map::new());
    for kind in served {
        let Some(name) = add_schemas(kind, &mut schemas) else {
            continue;
        };
        add_paths(kind, &name, &mut paths);
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// Adds the kind's schema and all that it refers to; answers its name. Kinds that are not built in have none yet.
fn add_schemas(kind: &ResourceKind, schemas: &mut Map<String, Value>) -> Option<String> {
    let gvk = kind.gvk();
    let Value::Object(mut root) = schema::document(&gvk)? else {
        return None;
    };
    let definitions = root.shift_remove("$defs");
    root.shift_remove("$schema");
    let name = root.shift_remove("title")?.as_str()?.to_owned();
    root.insert(
        "x-kubernetes-group-version-kind".to_owned(),
        json!([{"group": gvk.group, "kind": gvk.kind, "version": gvk.version}]),
    );
    schemas.insert(name.clone(), Value::Object(root));
    if let Some(Value::Object(definitions)) = definitions {
        for (name, definition) in definitions {
            schemas.entry(name).or_insert(definition);
        }
    }
    let mut seen = BTreeSet::new();
    finish(schemas, &name, merge_keys(&gvk), &mut seen);
    Some(name)
}

/// Brings a schema, and those below it, into OpenAPI's form and adds how lists merge. A schema that another kind has
/// brought is finished already, which its references show.
fn finish(schemas: &mut Map<String, Value>, name: &str, rules: MergeRules, seen: &mut BTreeSet<String>) {
    if !seen.insert(name.to_owned()) {
        return;
    }
    let Some(schema) = schemas.get_mut(name) else { return };
    match name {
        QUANTITY => replace_by(schema, &json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
        INT_OR_STRING => {
            replace_by(
                schema,
                &json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            );
        }
        _ => {}
    }
    let mut below = Vec::new();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (field, property) in properties {
            if let Some(rule) = rules.field(field) {
                annotate(property, rule);
            }
            rewrite(property, &mut |referred| {
                below.push((referred.to_owned(), rules.below(field)))
            });
        }
    }
    rewrite(schema, &mut |referred| below.push((referred.to_owned(), rules)));
    for (referred, rules) in below {
        finish(schemas, &referred, rules, seen);
    }
}

fn replace_by(schema: &mut Value, form: &Value) {
    let description = schema.get("description").cloned();
    *schema = form.clone();
    if let Some(description) = description {
        schema["description"] = description;
    }
}

fn annotate(property: &mut Value, rule: &FieldRule) {
    let Value::Object(property) = property else { return };
    if rule.merge || rule.retain_keys || rule.replace {
        let names = [
            (rule.merge, "merge"),
            (rule.retain_keys, "retainKeys"),
            (rule.replace, "replace"),
        ];
        let strategies: Vec<&str> = names
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, name)| name)
            .collect();
        property.insert("x-kubernetes-patch-strategy".to_owned(), strategies.join(",").into());
    }
    if let Some(key) = rule.patch_key {
        property.insert("x-kubernetes-patch-merge-key".to_owned(), key.into());
    }
    if !rule.list {
        return;
    }
    let kind = match &rule.list_type {
        ListType::Atomic => "atomic",
        ListType::Set => "set",
        ListType::Map(keys) => {
            property.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
            "map"
        }
    };
    property.insert("x-kubernetes-list-type".to_owned(), kind.into());
}

/// References point into `components`; beside a description they stand in `allOf`, since OpenAPI 3.0 ignores siblings.
fn rewrite(schema: &mut Value, refers: &mut impl FnMut(&str)) {
    let Value::Object(members) = schema else { return };
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = members.get_mut(inner) {
            rewrite(inner, refers);
        }
    }
    for alternatives in ["anyOf", "oneOf"] {
        if let Some(Value::Array(alternatives)) = members.get_mut(alternatives) {
            alternatives.iter_mut().for_each(|one| rewrite(one, refers));
        }
    }
    if let Some(name) = members
        .get("allOf")
        .and_then(|all| all[0]["$ref"].as_str()?.strip_prefix(SCHEMAS))
    {
        refers(name);
    }
    let Some(reference) = members.shift_remove("$ref") else {
        return;
    };
    let text = reference.as_str().unwrap_or_default();
    let name = text
        .strip_prefix(DEFINITIONS)
        .or_else(|| text.strip_prefix(SCHEMAS))
        .unwrap_or(text)
        .to_owned();
    refers(&name);
    let reference = json!(format!("{SCHEMAS}{name}"));
    if members.is_empty() {
        members.insert("$ref".to_owned(), reference);
    } else {
        members.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
}

/// The collection and the object of a kind, with the operations by which clients find kind, patch types and parameters.
fn add_paths(kind: &ResourceKind, schema: &str, paths: &mut Map<String, Value>) {
    let group = if kind.group.is_empty() {
        "/api".to_owned()
    } else {
        format!("/apis/{}", kind.group)
    };
    let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{group}/{}{scope}/{}", kind.version, kind.plural);
    let object = format!("{collection}/{{name}}");
    let operations = |verbs: &[(Verb, &str)]| {
        let served = verbs.iter().filter(|(verb, _)| kind.has(*verb));
        served
            .map(|(verb, method)| ((*method).to_owned(), operation(kind, *verb, schema)))
            .collect::<Map<_, _>>()
    };
    let on_collection = operations(&[
        (Verb::List, "get"),
        (Verb::Create, "post"),
        (Verb::DeleteCollection, "delete"),
    ]);
    let on_object = operations(&[
        (Verb::Get, "get"),
        (Verb::Update, "put"),
        (Verb::Patch, "patch"),
        (Verb::Delete, "delete"),
    ]);
    for (path, mut item, names) in [(collection, on_collection, false), (object, on_object, true)] {
        if item.is_empty() {
            continue;
        }
        let mut parameters = Vec::new();
        if names {
            parameters.push(path_parameter("name"));
        }
        if kind.namespaced {
            parameters.push(path_parameter("namespace"));
        }
        item.insert("parameters".to_owned(), Value::Array(parameters));
        paths.insert(path, Value::Object(item));
    }
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
}

fn operation(kind: &ResourceKind, verb: Verb, schema: &str) -> Value {
    let names: &[&str] = match verb {
        Verb::Create | Verb::Update => &["dryRun", "fieldManager", "fieldValidation"],
        Verb::Patch => &["dryRun", "fieldManager", "fieldValidation", "force"],
        Verb::Delete | Verb::DeleteCollection => &["dryRun", "gracePeriodSeconds", "propagationPolicy"],
        Verb::Get | Verb::List | Verb::Watch => &["resourceVersion"],
    };
    let action = match verb {
        Verb::Create => "post",
        Verb::Update => "put",
        other => other.as_str(),
    };
    let parameters: Vec<Value> = names
        .iter()
        .map(|name| {
            let of = match *name {
                "force" => "boolean",
                "gracePeriodSeconds" => "integer",
                _ => "string",
            };
            json!({"name": name, "in": "query", "schema": {"type": of, "uniqueItems": true}})
        })
        .collect();
    let own = json!({"schema": {"$ref": format!("{SCHEMAS}{schema}")}});
    let mut operation = json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": own}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind":
            {"group": kind.group, "kind": kind.kind, "version": kind.version},
    });
    let bodies: Map<String, Value> = match verb {
        Verb::Create | Verb::Update => [("application/json".to_owned(), own)].into_iter().collect(),
        Verb::Patch => PATCH_TYPES
            .iter()
            .map(|media| ((*media).to_owned(), json!({"schema": {"type": "object"}})))
            .collect(),
        _ => Map::new(),
    };
    if !bodies.is_empty() {
        operation["requestBody"] = json!({"content": bodies, "required": true});
    }
    operation
}
