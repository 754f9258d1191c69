//! OpenAPI v3: the index and one document for each group and version, made when they are asked for.
//!
//! Clients keep documents by the hash in their address, so making one is rare and nothing is kept here. The version 2
//! document is not served: clients that know version 3 do not ask for it, and others are told that it is not there.

mod document;
#[cfg(test)]
mod tests;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use registry::kinds::Group;
use registry::{KindTable, StatusError};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::{Call, KubeApi};
use crate::respond::{self, Answer};

/// Answers `/openapi/…`.
pub(crate) async fn answer(api: &KubeApi, call: &Call) -> Answer {
    let kinds = api.0.registry.kinds();
    let path = call.info.path.trim_end_matches('/').to_owned();
    let wire = call.negotiated.wire;
    if path == "/openapi/v3" {
        let index = index(&kinds, &api.version().git_version);
        return respond::document(StatusCode::OK, index.to_string().into(), wire);
    }
    // Tens of milliseconds of work, which must not hold up other requests.
    let made = tokio::task::spawn_blocking(move || {
        let document = document(&kinds, &path)?;
        Some(respond::document(StatusCode::OK, document.to_string().into(), wire))
    });
    let mut answer = match made.await {
        Ok(Some(answer)) => answer,
        Ok(None) => return respond::page_not_found(),
        Err(error) => return respond::status(&StatusError::internal(error), wire),
    };
    if call.query.iter().any(|(key, _)| key == "hash") {
        // What an address with a hash names never changes.
        let forever = HeaderValue::from_static("public, immutable, max-age=31536000");
        answer.headers_mut().insert(CACHE_CONTROL, forever);
    }
    answer
}

fn document(kinds: &KindTable, path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.strip_prefix("/openapi/v3/")?.split('/').collect();
    match parts.as_slice() {
        ["api", version] => document::of_version(kinds, "", version),
        ["apis", group, version] => document::of_version(kinds, group, version),
        _ => None,
    }
}

fn index(kinds: &KindTable, git_version: &str) -> Value {
    let mut paths = Map::new();
    for Group { name, versions } in kinds.groups() {
        for version in versions {
            let path = if name.is_empty() {
                format!("api/{version}")
            } else {
                format!("apis/{name}/{version}")
            };
            let hash = hash(kinds, git_version, &name, &version);
            paths.insert(
                path.clone(),
                json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}),
            );
        }
    }
    json!({"paths": paths})
}

/// Schemas change with the program and with the kinds that are served.
fn hash(kinds: &KindTable, git_version: &str, group: &str, version: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    digest.update(git_version);
    for kind in kinds.of_version(group, version) {
        digest.update(format!("{}/{}/{}", kind.group, kind.version, kind.kind));
    }
    hex::encode_upper(digest.finalize())
}
