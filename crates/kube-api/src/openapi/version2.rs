//! Everything that is served as one Swagger 2 document, for clients that do not know version 3.

use registry::KindTable;
use serde_json::{Map, Value, json};

use super::definitions::{self, Definitions, Dialect};
use super::operations::{self, Operation, Path};
use super::version3::{tag, word};

const PRODUCED: &[&str] = &["application/json", "application/yaml"];

/// The document.
pub(super) fn document(kinds: &KindTable, git_version: &str) -> Value {
    let mut names = vec![
        definitions::delete_options_name(),
        definitions::patch_name(),
        definitions::status_name(),
    ];
    let mut paths = Map::new();
    for kind in kinds.iter() {
        let Some(name) = definitions::name_of(kind) else {
            continue;
        };
        for path in operations::of_kind(kind, &name) {
            let responses = path.operations.iter().flat_map(|operation| &operation.responses);
            names.extend(responses.map(|(_, schema)| schema.clone()));
            paths.insert(path.path.clone(), written(&path, &kind.group, &kind.version));
        }
        names.push(name);
    }
    let schemas = Definitions::of(kinds, Dialect::V2).written(names.iter().map(String::as_str));
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": git_version},
        "paths": paths,
        "definitions": schemas,
    })
}

fn written(path: &Path, group: &str, version: &str) -> Value {
    let mut item: Map<String, Value> = path
        .operations
        .iter()
        .map(|one| (one.method.to_owned(), operation(one, group, version)))
        .collect();
    let parameters = path
        .names
        .iter()
        .map(|name| json!({"name": name, "in": "path", "required": true, "type": "string", "uniqueItems": true}));
    item.insert("parameters".to_owned(), parameters.collect());
    Value::Object(item)
}

fn operation(one: &Operation, group: &str, version: &str) -> Value {
    let mut parameters: Vec<Value> = one
        .parameters
        .iter()
        .map(|(name, of)| json!({"name": name, "in": "query", "type": of, "uniqueItems": true}))
        .collect();
    let mut consumed: &[&str] = &["*/*"];
    if let Some(body) = &one.body {
        let mut parameter = json!({"name": "body", "in": "body", "schema": Dialect::V2.reference(&body.schema)});
        if body.required {
            parameter["required"] = true.into();
        }
        parameters.push(parameter);
        if !body.types.is_empty() {
            consumed = body.types;
        }
    }
    let mut responses: Map<String, Value> = one
        .responses
        .iter()
        .map(|(code, schema)| {
            let response = json!({"description": word(code), "schema": Dialect::V2.reference(schema)});
            ((*code).to_owned(), response)
        })
        .collect();
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    let [of_group, of_version, of_kind] = &one.kind;
    json!({
        "tags": [tag(group, version)],
        "description": one.description,
        "operationId": one.id,
        "consumes": consumed,
        "produces": PRODUCED,
        "schemes": ["https"],
        "parameters": parameters,
        "responses": responses,
        "x-kubernetes-action": one.action,
        "x-kubernetes-group-version-kind": {"group": of_group, "kind": of_kind, "version": of_version},
    })
}
