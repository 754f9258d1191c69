//! `/healthz`, `/livez`, `/readyz`, `/version`, `/metrics` and the OIDC documents.

use axum::body::Body;
use http::request::Parts;
use http::{Method, StatusCode};
use registry::{Context, GetOptions, Target};
use serde::Serialize;

use crate::api::{Call, KubeApi};
use crate::metrics::format_for;
use crate::respond::{self, Answer};
use crate::{fairness, openapi};

/// What `/version` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// Major version, `1`.
    pub major: String,
    /// Minor version, as `33`.
    pub minor: String,
    /// The whole version with EKS's suffix, as `v1.33.5-eks-113cf36`.
    pub git_version: String,
    /// Commit the server was built from.
    pub git_commit: String,
    /// `clean`.
    pub git_tree_state: String,
    /// When it was built, RFC 3339.
    pub build_date: String,
    /// What upstream's field of that name says of the compiler; here the Rust one.
    pub go_version: String,
    /// The compiler.
    pub compiler: String,
    /// Operating system and architecture, as `linux/amd64`.
    pub platform: String,
}

impl VersionInfo {
    /// The version of an EKS cluster: `kubernetes` is `1.33`, `patch` the patch release, `suffix` such as `eks-113cf36`.
    #[must_use]
    pub fn eks(kubernetes: &str, patch: u32, suffix: &str) -> Self {
        let (major, minor) = kubernetes.split_once('.').unwrap_or((kubernetes, "0"));
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            major: major.to_owned(),
            minor: minor.to_owned(),
            git_version: format!("v{kubernetes}.{patch}-{suffix}"),
            git_commit: String::new(),
            git_tree_state: "clean".to_owned(),
            build_date: "1970-01-01T00:00:00Z".to_owned(),
            go_version: "rust".to_owned(),
            compiler: "rustc".to_owned(),
            platform: format!("{}/{architecture}", std::env::consts::OS),
        }
    }
}

/// The checks behind each health path, in upstream's order as far as they mean something here.
const LIVE: &[&str] = &["ping", "log", "etcd"];
const READY: &[&str] = &["ping", "log", "etcd", "etcd-readiness", "informer-sync", "shutdown"];

/// The check of key services, which is there where they are; upstream's follows those of the store.
const KEY_SERVICES: &str = "kms-providers";
const AFTER_STORE: usize = 3;

/// Answers a path that is neither a resource nor discovery.
pub(crate) async fn answer(api: &KubeApi, request: &Parts, call: &Call) -> Answer {
    let path = call.info.path.trim_end_matches('/');
    let wire = call.negotiated.wire;
    let json = |bytes: Vec<u8>| respond::document(StatusCode::OK, bytes.into(), wire);
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return respond::page_not_found();
    }
    if let Some(answer) = fairness::dump(&api.0.fairness, path) {
        return answer;
    }
    match path {
        "/version" => json(serde_json::to_vec_pretty(&api.version()).expect("texts always serialize")),
        "/metrics" => metrics(api, request),
        "/.well-known/openid-configuration" => json(api.0.tokens.provider_configuration()),
        "/openid/v1/jwks" => respond::with_type(
            StatusCode::OK,
            "application/jwk-set+json",
            Body::from(api.0.tokens.key_set()),
        ),
        _ if path.starts_with("/openapi/") => openapi::answer(api, request, call).await,
        _ => match path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((path.trim_start_matches('/'), ""))
        {
            (kind @ ("healthz" | "livez" | "readyz"), check) => health(api, call, kind, check).await,
            _ => respond::page_not_found(),
        },
    }
}

fn metrics(api: &KubeApi, request: &Parts) -> Answer {
    let format = format_for(&request.headers);
    match api.0.metrics.encode(api, format) {
        Ok(text) => respond::with_type(StatusCode::OK, format.media_type(), Body::from(text)),
        Err(error) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn health(api: &KubeApi, call: &Call, kind: &str, only: &str) -> Answer {
    let mut all = if kind == "readyz" { READY } else { LIVE }.to_vec();
    if api.0.registry.encryption_health().is_some() {
        all.insert(AFTER_STORE, KEY_SERVICES);
    }
    if !only.is_empty() {
        return match all.into_iter().find(|check| *check == only) {
            Some(check) if run(api, check).await => respond::text(StatusCode::OK, "ok"),
            Some(_) => respond::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal server error: reason withheld\n",
            ),
            None => respond::page_not_found(),
        };
    }
    let excluded = call.query.iter().filter(|(key, _)| key == "exclude");
    let mut excluded: Vec<&str> = excluded.flat_map(|(_, value)| value.split(',')).collect();
    let mut lines = String::new();
    let mut failed = false;
    for check in all {
        if let Some(place) = excluded.iter().position(|name| *name == check) {
            excluded.remove(place);
            lines.push_str(&format!("[+]{check} excluded: ok\n"));
        } else if run(api, check).await {
            lines.push_str(&format!("[+]{check} ok\n"));
        } else {
            lines.push_str(&format!("[-]{check} failed: reason withheld\n"));
            failed = true;
        }
    }
    if !excluded.is_empty() {
        let names: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
        lines.push_str(&format!(
            "warn: some health checks cannot be excluded: no matches for {}\n",
            names.join(",")
        ));
    }
    if failed {
        let text = format!("{lines}{kind} check failed\n");
        return respond::text(StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    let verbose = call.query.iter().any(|(key, _)| key == "verbose");
    let text = if verbose {
        format!("{lines}{kind} check passed\n")
    } else {
        "ok".to_owned()
    };
    respond::text(StatusCode::OK, text)
}

/// The store is asked for an object that every cluster has; not finding it is an answer too.
async fn run(api: &KubeApi, check: &str) -> bool {
    match check {
        "etcd" | "etcd-readiness" => {}
        KEY_SERVICES => return api.0.registry.encryption_health().is_none_or(|health| health.is_ok()),
        // Whoever asks before connections are closed learns to go elsewhere.
        "shutdown" => return !api.0.lifecycle.is_stopping(),
        // The caches are full before the first request is served.
        _ => return true,
    }
    let namespaces = kube_types::GroupVersionResource::new("", "v1", "namespaces");
    let context = Context::for_user(access_rules::User::master("system:apiserver"));
    let found = api
        .0
        .registry
        .get(
            &context,
            &Target::object(namespaces, None, "default"),
            GetOptions::default(),
        )
        .await;
    match found {
        Ok(_) => true,
        Err(error) => error.is_not_found(),
    }
}
