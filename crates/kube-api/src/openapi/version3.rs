//! One group and version as an OpenAPI 3.0 document.

use registry::KindTable;
use serde_json::{Map, Value, json};

use super::definitions::{self, Definitions, Dialect};
use super::operations::{self, Operation, Path};

/// The document; `None` when nothing is served under that group and version.
pub(super) fn document(kinds: &KindTable, group: &str, version: &str) -> Option<Value> {
    let served: Vec<_> = kinds.of_version(group, version).collect();
    if served.is_empty() {
        return None;
    }
    let mut names = vec![
        definitions::delete_options_name(),
        definitions::patch_name(),
        definitions::status_name(),
    ];
    let mut paths = Map::new();
    for kind in served {
        let Some(name) = definitions::name_of(kind) else {
            continue;
        };
        for path in operations::of_kind(kind, &name) {
            let responses = path.operations.iter().flat_map(|operation| &operation.responses);
            names.extend(responses.map(|(_, schema)| schema.clone()));
            let bodies = path.operations.iter().filter_map(|operation| operation.body.as_ref());
            names.extend(bodies.map(|body| body.schema.clone()));
            paths.insert(path.path.clone(), written(&path, group, version));
        }
        names.push(name);
    }
    let schemas = Definitions::of(kinds, Dialect::V3).written(names.iter().map(String::as_str));
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn written(path: &Path, group: &str, version: &str) -> Value {
    let mut item: Map<String, Value> = path
        .operations
        .iter()
        .map(|one| (one.method.to_owned(), operation(one, group, version)))
        .collect();
    let parameters = path.names.iter().map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}}),
    );
    item.insert("parameters".to_owned(), parameters.collect());
    Value::Object(item)
}

fn operation(one: &Operation, group: &str, version: &str) -> Value {
    let parameters: Vec<Value> = one
        .parameters
        .iter()
        .map(|(name, of)| json!({"name": name, "in": "query", "schema": {"type": of, "uniqueItems": true}}))
        .collect();
    let mut responses: Map<String, Value> = one
        .responses
        .iter()
        .map(|(code, schema)| {
            let content = json!({"schema": Dialect::V3.reference(schema)});
            let content = json!({"application/json": content, "application/yaml": content});
            (
                (*code).to_owned(),
                json!({"description": word(code), "content": content}),
            )
        })
        .collect();
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    let [of_group, of_version, of_kind] = &one.kind;
    let mut written = json!({
        "tags": [tag(group, version)],
        "description": one.description,
        "operationId": one.id,
        "parameters": parameters,
        "responses": responses,
        "x-kubernetes-action": one.action,
        "x-kubernetes-group-version-kind": {"group": of_group, "kind": of_kind, "version": of_version},
    });
    if let Some(body) = &one.body {
        let types: &[&str] = if body.types.is_empty() { &["*/*"] } else { body.types };
        let content: Map<String, Value> = types
            .iter()
            .map(|media| {
                (
                    (*media).to_owned(),
                    json!({"schema": Dialect::V3.reference(&body.schema)}),
                )
            })
            .collect();
        written["requestBody"] = json!({"content": content});
        if body.required {
            written["requestBody"]["required"] = true.into();
        }
    }
    written
}

/// What a code means.
pub(super) fn word(code: &str) -> &'static str {
    match code {
        "201" => "Created",
        "202" => "Accepted",
        _ => "OK",
    }
}

/// The tag of a group and version, as `apps_v1`.
pub(super) fn tag(group: &str, version: &str) -> String {
    let group = match group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    format!("{group}_{version}")
}
