//! OpenAPI v3: the index and one document for each group and version, made when they are asked for.
//!
//! Clients keep documents by the hash in their address, so making one is rare and nothing is kept here. The version 2
//! document is not served: clients that know version 3 do not ask for it, and others are told that it is not there.

mod document;
#[cfg(test)]
mod tests;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::request::Parts;
use registry::KindTable;
use registry::kinds::Group;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::{Call, KubeApi};
use crate::respond::{self, Answer};

/// Answers `/openapi/…`.
pub(crate) fn answer(api: &KubeApi, _request: &Parts, call: &Call) -> Answer {
    let kinds = api.0.registry.kinds();
    let path = call.info.path.trim_end_matches('/');
    let wire = call.negotiated.wire;
    let json = |value: &Value| respond::document(StatusCode::OK, value.to_string().into(), wire);
    if path == "/openapi/v3" {
        return json(&index(&kinds, &api.0.version.git_version));
    }
    let parts: Vec<&str> = path.trim_start_matches("/openapi/v3/").split('/').collect();
    let found = match parts.as_slice() {
        ["api", version] => document::of_version(&kinds, "", version),
        ["apis", group, version] => document::of_version(&kinds, group, version),
        _ => None,
    };
    let Some(document) = found else {
        return respond::page_not_found();
    };
    let mut answer = json(&document);
    if call.query.iter().any(|(key, _)| key == "hash") {
        // What an address with a hash names never changes.
        answer
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    }
    answer
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
