//! Documents of aggregated API servers: those of version 3 are passed on, those of version 2 become part of the one that
//! this server answers. Source: `kube-aggregator/pkg/controllers/openapi*`, `kube-openapi/pkg/aggregator`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::aggregation::{Aggregated, Route, fetch};
use crate::api::KubeApi;
use crate::respond::{self, Answer, Wire};

const REFERENCE: &str = "#/definitions/";

/// Adds the places of aggregated documents to the index of version 3.
pub(super) fn add_to_index(index: &mut Value, aggregated: &Aggregated) {
    for route in aggregated.routes() {
        let place = aggregated
            .documents(route)
            .and_then(|documents| documents.version3.as_ref());
        if let Some(url) = place {
            index["paths"][route.path().trim_start_matches('/')] = json!({"serverRelativeURL": url});
        }
    }
}

/// The document of a route, as its server answers it.
pub(super) async fn version3(api: &KubeApi, route: &Route, path_and_query: &str, wire: Wire) -> Answer {
    match fetch(api, route, path_and_query, "application/json", None).await {
        Ok(fetched) if fetched.status.is_success() => respond::document(fetched.status, fetched.body, wire),
        Ok(fetched) => respond::text(fetched.status, String::from_utf8_lossy(&fetched.body).into_owned()),
        Err(problem) => respond::text(http::StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}

/// The tags of all documents of version 2 that belong to the whole, for its own tag.
pub(super) fn tags(aggregated: &Aggregated) -> String {
    let documents = aggregated.routes().filter_map(|route| aggregated.documents(route));
    let tags = documents.filter_map(|documents| Some(documents.version2.as_ref()?.0.as_str()));
    tags.collect::<Vec<_>>().join(" ")
}

/// Adds what is below the routes' paths, and the definitions that it needs, to the document of version 2.
pub(super) fn merge(document: &mut Value, aggregated: &Aggregated) {
    for route in aggregated.routes() {
        let documents = aggregated.documents(route);
        let Some((_, bytes)) = documents.and_then(|documents| documents.version2.as_ref()) else {
            continue;
        };
        match serde_json::from_slice::<Value>(bytes) {
            Ok(other) => add(document, &other, &route.path()),
            Err(error) => tracing::debug!(api_service = route.name, %error, "its OpenAPI document is no JSON"),
        }
    }
}

fn add(document: &mut Value, other: &Value, below: &str) {
    let prefix = format!("{below}/");
    let mut paths: Map<String, Value> = Map::new();
    for (path, item) in other["paths"].as_object().into_iter().flatten() {
        if path == below || path.starts_with(&prefix) {
            paths.insert(path.clone(), item.clone());
        }
    }
    let mut wanted = BTreeSet::new();
    paths.values().for_each(|item| references(item, &mut wanted));
    let mut waiting: Vec<String> = wanted.iter().cloned().collect();
    while let Some(name) = waiting.pop() {
        let mut further = BTreeSet::new();
        references(&other["definitions"][&name], &mut further);
        waiting.extend(further.into_iter().filter(|name| wanted.insert(name.clone())));
    }
    let renames = renames(document, other, &wanted);
    let renamed = |name: &str| renames.iter().find(|(old, _)| old == name).map(|(_, new)| new.clone());
    for name in &wanted {
        let mut definition = other["definitions"][name].clone();
        rewrite(&mut definition, &renamed);
        let name = renamed(name).unwrap_or_else(|| name.clone());
        document["definitions"][&name] = definition;
    }
    for (path, mut item) in paths {
        rewrite(&mut item, &renamed);
        document["paths"][&path] = item;
    }
}

/// Names that mean something else here get a number.
fn renames(document: &Value, other: &Value, wanted: &BTreeSet<String>) -> Vec<(String, String)> {
    let known = &document["definitions"];
    let mut renames = Vec::new();
    for name in wanted {
        let differs = known.get(name).is_some_and(|here| *here != other["definitions"][name]);
        if differs {
            let free = (2..).map(|number| format!("{name}_v{number}"));
            let mut free = free.filter(|candidate| known.get(candidate).is_none());
            renames.extend(free.next().map(|new| (name.clone(), new)));
        }
    }
    renames
}

/// The names of the definitions that a value refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                found.extend(name.strip_prefix(REFERENCE).map(str::to_owned));
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn rewrite(value: &mut Value, renamed: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::Object(fields) => {
            let old = fields.get("$ref").and_then(Value::as_str);
            let new = old.and_then(|old| renamed(old.strip_prefix(REFERENCE)?));
            if let Some(new) = new {
                fields.insert("$ref".to_owned(), format!("{REFERENCE}{new}").into());
            }
            fields.values_mut().for_each(|field| rewrite(field, renamed));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, renamed)),
        _ => {}
    }
}
