//! What the issuer of a cluster's service-account tokens publishes to anybody: its discovery document and its keys.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde_json::json;

use crate::partition::Partition;
use crate::region::Region;

/// The issuer of a new cluster's tokens: a URL that the region's own endpoint answers, for clients such as eksctl go there.
pub fn of_cluster(region: &Region, id: &str) -> String {
    format!("{}/id/{id}", region.tls_endpoint)
}

/// The port of this machine that an issuer's URL names.
pub fn port_of(url: &str) -> Option<u16> {
    let (host, _) = url.strip_prefix("https://localhost:")?.split_once('/')?;
    host.parse().ok()
}

/// The routes.
pub fn routes(partition: &Arc<Partition>) -> Router {
    Router::new()
        .route("/id/{id}/.well-known/openid-configuration", get(discovery))
        .route("/id/{id}/keys", get(keys))
        .with_state(Arc::clone(partition))
}

/// The issuer's URL and its keys. The id alone tells: the host name and port by which a client came are its own affair.
fn find(partition: &Partition, id: &str) -> Option<(String, String)> {
    let is_meant = |issuer: &str| issuer.rsplit_once("/id/").is_some_and(|(_, own)| own == id);
    partition.of_clusters(|cluster| {
        let issuer = &cluster.network.oidc_issuer;
        is_meant(issuer).then(|| Some((issuer.clone(), cluster.issuer_keys.clone()?)))?
    })
}

async fn discovery(Extract(partition): Extract<Arc<Partition>>, Path(id): Path<String>) -> Response {
    let Some((issuer, _)) = find(&partition, &id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let document = json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
        "authorization_endpoint": "urn:kubernetes:programmatic_authorization",
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "claims_supported": ["sub", "iss"], "id_token_signing_alg_values_supported": ["RS256"],
    });
    axum::Json(document).into_response()
}

async fn keys(Extract(partition): Extract<Arc<Partition>>, Path(id): Path<String>) -> Response {
    match find(&partition, &id) {
        Some((_, keys)) => ([(header::CONTENT_TYPE, "application/json")], keys).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
