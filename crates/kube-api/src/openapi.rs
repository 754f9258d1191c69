//! OpenAPI: version 3 as an index and one document for each group and version, version 2 as one document; documents in JSON and
//! in protobuf. All are made from the table of kinds when they are asked for.
//!
//! Clients keep documents by the hash in their address or by their tag, so making one is rare and nothing is kept here.

mod definitions;
mod gnostic;
mod operations;
mod remote;
#[cfg(test)]
mod tests;
mod version2;
mod version3;

use std::sync::Arc;

use axum::body::Body;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, VARY};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use registry::kinds::Group;
use registry::{KindTable, StatusError};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use crate::aggregation::Aggregated;
use crate::api::{Call, KubeApi};
use crate::respond::{self, Answer, Wire};

/// Path of the version 2 document.
const VERSION_2: &str = "/openapi/v2";

/// Whether a path is that of a document whose forms are not those of other answers.
pub(crate) fn has_own_forms(path: &str) -> bool {
    path == VERSION_2 || path.starts_with("/openapi/v3/")
}

/// Answers `/openapi/…`.
pub(crate) async fn answer(api: &KubeApi, parts: &Parts, call: &Call) -> Answer {
    let kinds = api.0.registry.kinds();
    let path = call.info.path.trim_end_matches('/').to_owned();
    let wire = call.negotiated.wire;
    let git_version = api.version().git_version;
    match path.as_str() {
        "/openapi/v3" => {
            let mut index = index(&kinds, &git_version);
            remote::add_to_index(&mut index, &api.0.aggregation.now());
            respond::document(StatusCode::OK, index.to_string().into(), wire)
        }
        VERSION_2 => version2(kinds, api.0.aggregation.now(), git_version, &parts.headers, wire).await,
        _ => match path
            .strip_prefix("/openapi/v3")
            .and_then(|of| api.0.aggregation.route_of(of))
        {
            // What comes from another server is JSON.
            Some(_) if chosen(&parts.headers, &[]).is_none() => not_acceptable(&[], wire),
            Some(route) => {
                let asked = parts.uri.path_and_query().map_or(path.as_str(), |asked| asked.as_str());
                remote::version3(api, &route, asked, wire).await
            }
            None => version3(kinds, &path, &git_version, &parts.headers, call).await,
        },
    }
}

async fn version3(kinds: Arc<KindTable>, path: &str, git_version: &str, headers: &HeaderMap, call: &Call) -> Answer {
    let wire = call.negotiated.wire;
    let Some(protobuf) = chosen(headers, gnostic::version3::MEDIA_TYPES) else {
        return not_acceptable(gnostic::version3::MEDIA_TYPES, wire);
    };
    let Some((group, version)) = group_version(path) else {
        return respond::page_not_found();
    };
    let current = hash(&kinds, git_version, |kind| {
        *kind.group == *group && *kind.version == *version
    });
    let asked = call.query.iter().find(|(key, _)| key == "hash");
    if asked.is_some_and(|(_, hash)| *hash != current) && kinds.of_version(&group, &version).next().is_some() {
        return moved(&format!("{path}?hash={current}"));
    }
    let made = making(
        move || {
            let document = version3::document(&kinds, &group, &version)?;
            Some(match protobuf {
                true => gnostic::version3::encode(&document),
                false => document.to_string().into_bytes(),
            })
        },
        wire,
    )
    .await;
    let mut answer = match made {
        Ok(Some(bytes)) => written(bytes, protobuf.then_some(gnostic::version3::MEDIA_TYPES[0]), wire),
        Ok(None) => return respond::page_not_found(),
        Err(failed) => return failed,
    };
    set_header(&mut answer, ETAG, &format!("\"{current}\""));
    if asked.is_some() {
        // What an address with a hash names never changes.
        set_header(&mut answer, CACHE_CONTROL, "public, immutable, max-age=31536000");
    }
    answer
}

async fn version2(
    kinds: Arc<KindTable>,
    aggregated: Arc<Aggregated>,
    git_version: String,
    headers: &HeaderMap,
    wire: Wire,
) -> Answer {
    let Some(protobuf) = chosen(headers, gnostic::MEDIA_TYPES) else {
        return not_acceptable(gnostic::MEDIA_TYPES, wire);
    };
    // The hash of the whole takes up the tags of its parts as if they were of the version.
    let of = format!("{git_version}{}", remote::tags(&aggregated));
    let tag = format!("\"{}\"", hash(&kinds, &of, |_| true));
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        let mut answer = respond::with_type(StatusCode::NOT_MODIFIED, "application/json", Body::empty());
        set_header(&mut answer, ETAG, &tag);
        return answer;
    }
    let made = making(
        move || {
            let mut document = version2::document(&kinds, &git_version);
            remote::merge(&mut document, &aggregated);
            if protobuf {
                gnostic::encode(&document)
            } else {
                document.to_string().into_bytes()
            }
        },
        wire,
    )
    .await;
    let mut answer = match made {
        Ok(bytes) => written(bytes, protobuf.then_some(gnostic::MEDIA_TYPES[0]), wire),
        Err(failed) => return failed,
    };
    set_header(&mut answer, ETAG, &tag);
    set_header(&mut answer, VARY, "Accept");
    answer
}

/// A document as JSON, or as the protobuf of a media type.
fn written(bytes: Vec<u8>, protobuf: Option<&'static str>, wire: Wire) -> Answer {
    if let Some(media) = protobuf {
        return respond::with_type(StatusCode::OK, media, Body::from(bytes));
    }
    let wire = Wire {
        written: respond::Written::Json,
        ..wire
    };
    respond::document(StatusCode::OK, bytes.into(), wire)
}

fn not_acceptable(protobuf: &[&str], wire: Wire) -> Answer {
    let served: Vec<&str> = std::iter::once("application/json")
        .chain(protobuf.first().copied())
        .collect();
    respond::status(&StatusError::not_acceptable(&served), wire)
}

/// Whether the first media type that can be served is one of the protobuf ones; `None` when none can.
fn chosen(headers: &HeaderMap, protobuf: &[&str]) -> Option<bool> {
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if accept.trim().is_empty() {
        return Some(false);
    }
    let types = accept
        .split(',')
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    types
        .filter_map(|media| match media {
            "application/json" | "application/*" | "*/*" => Some(false),
            other => protobuf.contains(&other).then_some(true),
        })
        .next()
}

/// Tens of milliseconds of work, which must not hold up other requests.
async fn making<T: Send + 'static>(make: impl FnOnce() -> T + Send + 'static, wire: Wire) -> Result<T, Answer> {
    let made = tokio::task::spawn_blocking(make).await;
    made.map_err(|error| respond::status(&StatusError::internal(error), wire))
}

fn moved(to: &str) -> Answer {
    let mut answer = respond::with_type(StatusCode::MOVED_PERMANENTLY, "text/plain", Body::empty());
    set_header(&mut answer, LOCATION, to);
    answer
}

fn set_header(answer: &mut Answer, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// `/openapi/v3/apis/apps/v1` to `apps` and `v1`.
fn group_version(path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path.strip_prefix("/openapi/v3/")?.split('/').collect();
    match parts.as_slice() {
        ["api", version] => Some((String::new(), (*version).to_owned())),
        ["apis", group, version] => Some(((*group).to_owned(), (*version).to_owned())),
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
            let hash = hash(kinds, git_version, |kind| {
                *kind.group == *name && *kind.version == *version
            });
            paths.insert(
                path.clone(),
                json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}),
            );
        }
    }
    json!({"paths": paths})
}

/// Documents change with the program, with the kinds that are served, and with the schemas that kinds bring along.
fn hash(kinds: &KindTable, git_version: &str, wanted: impl Fn(&registry::kinds::ResourceKind) -> bool) -> String {
    let mut digest = Sha512::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    digest.update(git_version);
    for kind in kinds.iter().filter(|kind| wanted(kind)) {
        digest.update(format!("{}/{}/{}/{}", kind.group, kind.version, kind.kind, kind.plural));
        for below in &kind.subresources {
            digest.update(&*below.name);
        }
        if let Some(own) = definitions::own_schema(kind, definitions::Dialect::V3) {
            digest.update(own.to_string());
        }
    }
    hex::encode_upper(digest.finalize())
}
