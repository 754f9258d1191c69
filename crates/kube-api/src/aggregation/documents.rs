//! What an aggregated API server says of itself: its resources, and its documents of OpenAPI.

use bytes::Bytes;
use http::StatusCode;
use http::header::ETAG;
use kube_types::meta::APIResource;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Route;
use super::proxy::fetch;
use crate::api::KubeApi;

/// The documents as they were when they were asked for last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Documents {
    /// The resources of the group and version.
    pub resources: Vec<APIResource>,
    /// Where the document of version 3 is, with the hash of what is there.
    pub version3: Option<String>,
    /// The document of version 2, and the tag by which the server knows it.
    pub version2: Option<(String, Bytes)>,
}

/// Reads an `APIResourceList`.
pub(super) fn resources(body: &[u8]) -> Result<Vec<APIResource>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct List {
        #[serde(default)]
        resources: Vec<APIResource>,
    }
    serde_json::from_slice::<List>(body).map(|list| list.resources)
}

/// Asks for the documents of OpenAPI. A server without them is none the worse.
pub(super) async fn complete(api: &KubeApi, route: &Route, known: &mut Documents) {
    match fetch(api, route, "/openapi/v3", "application/json", None).await {
        Ok(index) if index.status == StatusCode::OK => known.version3 = place(&index.body, route),
        Ok(_) => known.version3 = None,
        Err(problem) => tracing::debug!(api_service = route.name, problem, "no OpenAPI index"),
    }
    let tag = known.version2.as_ref().map(|(tag, _)| tag.clone());
    match fetch(api, route, "/openapi/v2", "application/json", tag.as_deref()).await {
        Ok(document) if document.status == StatusCode::OK => {
            let tag = document.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
            let tag = tag.map_or_else(|| hex::encode(Sha256::digest(&document.body)), str::to_owned);
            known.version2 = Some((tag, document.body));
        }
        Ok(document) if document.status == StatusCode::NOT_MODIFIED => {}
        Ok(_) => known.version2 = None,
        Err(problem) => tracing::debug!(api_service = route.name, problem, "no OpenAPI document"),
    }
}

/// Where an index says that the document of a route is.
fn place(index: &[u8], route: &Route) -> Option<String> {
    let index: Value = serde_json::from_slice(index).ok()?;
    let path = route.path();
    let url = index["paths"][path.trim_start_matches('/')]["serverRelativeURL"].as_str()?;
    url.starts_with("/openapi/v3/").then(|| url.to_owned())
}
