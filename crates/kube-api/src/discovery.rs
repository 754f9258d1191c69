//! Which groups, versions and resources there are: the plain documents and the aggregated ones.

mod aggregated;
mod catalogue;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use kube_types::meta::{
    APIGroup, APIGroupList, APIResource, APIResourceList, APIVersions, GroupVersionForDiscovery,
    ServerAddressByClientCIDR,
};
use registry::KindTable;
use registry::kinds::{ResourceKind, Subresource, Verb};
use sha2::{Digest, Sha256};

use self::catalogue::{Catalogue, Group};
use crate::aggregation::Aggregated;
use crate::api::{Call, KubeApi};
use crate::negotiate::aggregated_discovery;
use crate::resources::header;
use crate::respond::{self, Answer, Wire};

/// The aggregated documents, kept until the kind table or what is aggregated changes.
#[derive(Default)]
pub(crate) struct Cache(ArcSwapOption<Built>);

struct Built {
    table: Arc<KindTable>,
    aggregated: Arc<Aggregated>,
    core: Document,
    groups: Document,
}

struct Document {
    json: Bytes,
    tag: String,
}

impl Cache {
    fn get(&self, table: Arc<KindTable>, aggregated: Arc<Aggregated>) -> Arc<Built> {
        let known = self.0.load_full();
        let is_current =
            |built: &Arc<Built>| Arc::ptr_eq(&built.table, &table) && Arc::ptr_eq(&built.aggregated, &aggregated);
        if let Some(built) = known.filter(is_current) {
            return built;
        }
        let catalogue = Catalogue::of(&table, &aggregated);
        let document = |core: bool| {
            let json = aggregated::document(&table, &catalogue, core);
            let tag = format!("\"{}\"", hex::encode_upper(Sha256::digest(&json)));
            Document { json: json.into(), tag }
        };
        let built = Arc::new(Built {
            core: document(true),
            groups: document(false),
            table,
            aggregated,
        });
        self.0.store(Some(built.clone()));
        built
    }
}

/// Answers a discovery path; `None` for any other.
pub(crate) fn answer(api: &KubeApi, request: &Parts, call: &Call) -> Option<Answer> {
    let path = call.info.path.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let kinds = api.0.registry.kinds();
    let wire = call.negotiated.wire;
    let (headers, address) = (&request.headers, api.0.external_address.as_str());
    let catalogue = || Catalogue::of(&kinds, &api.0.aggregation.now());
    let found = match parts.as_slice() {
        ["api" | "apis"] if aggregated_discovery(headers).is_some() => {
            let built = api.0.discovery.get(kinds, api.0.aggregation.now());
            aggregated_answer(if path == "/api" { &built.core } else { &built.groups }, headers)
        }
        ["api"] => json(&versions(address), wire),
        ["apis"] => json(&group_list(&catalogue()), wire),
        ["apis", group] if !group.is_empty() => {
            let catalogue = catalogue();
            let found = catalogue.group(group);
            found.map_or_else(respond::page_not_found, |group| json(&api_group(group), wire))
        }
        ["api", version] => resource_answer(&kinds, "", version, wire),
        ["apis", group, version] => resource_answer(&kinds, group, version, wire),
        [""] | [] => json(&paths(&catalogue()), wire),
        _ => return None,
    };
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    Some(if reads { found } else { respond::page_not_found() })
}

fn aggregated_answer(document: &Document, headers: &HeaderMap) -> Answer {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let version = aggregated_discovery(headers).unwrap_or("v2");
    let mut answer = if known == Some(document.tag.as_str()) {
        respond::with_type(StatusCode::NOT_MODIFIED, "application/json", Body::empty())
    } else {
        let body = aggregated::in_version(&document.json, version);
        respond::document(
            StatusCode::OK,
            body,
            Wire {
                gzip: Wire::reads_gzip(headers),
                ..Wire::default()
            },
        )
    };
    let media_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let answered = answer.headers_mut();
    answered.insert(CONTENT_TYPE, header(&media_type));
    answered.insert(ETAG, header(&document.tag));
    answered.insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

fn json<T: serde::Serialize>(document: &T, wire: Wire) -> Answer {
    let json = serde_json::to_vec(document).expect("discovery documents hold texts and lists only");
    respond::document(StatusCode::OK, json.into(), wire)
}

fn versions(address: &str) -> APIVersions {
    APIVersions {
        server_address_by_client_cidrs: vec![ServerAddressByClientCIDR {
            client_cidr: "0.0.0.0/0".to_owned(),
            server_address: address.to_owned(),
        }],
        versions: vec!["v1".to_owned()],
    }
}

fn group_list(catalogue: &Catalogue) -> WithKind<APIGroupList> {
    let groups = catalogue
        .groups
        .iter()
        .filter(|group| !group.name.is_empty())
        .map(api_group)
        .collect();
    WithKind(APIGroupList { groups })
}

/// The top of a document that k8s-openapi writes with its kind already; kept as a name for the reader.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct WithKind<T>(T);

fn api_group(group: &Group) -> APIGroup {
    let entry = |version: &catalogue::Version| GroupVersionForDiscovery {
        group_version: format!("{}/{}", group.name, version.name),
        version: version.name.clone(),
    };
    APIGroup {
        name: group.name.clone(),
        preferred_version: group.versions.first().map(entry),
        versions: group.versions.iter().map(entry).collect(),
        server_address_by_client_cidrs: None,
    }
}

fn resource_answer(kinds: &KindTable, group: &str, version: &str, wire: Wire) -> Answer {
    let mut resources: Vec<APIResource> = Vec::new();
    for kind in kinds.of_version(group, version) {
        resources.push(resource(kind));
        resources.extend(kind.subresources.iter().map(|below| subresource(kind, below)));
    }
    if resources.is_empty() {
        return respond::page_not_found();
    }
    resources.sort_by(|left, right| left.name.cmp(&right.name));
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    json(
        &APIResourceList {
            group_version,
            resources,
        },
        wire,
    )
}

fn resource(kind: &ResourceKind) -> APIResource {
    let texts = |names: &[registry::kinds::Name]| {
        (!names.is_empty()).then(|| names.iter().map(ToString::to_string).collect::<Vec<String>>())
    };
    APIResource {
        name: kind.plural.to_string(),
        singular_name: kind.singular.to_string(),
        namespaced: kind.namespaced,
        kind: kind.kind.to_string(),
        verbs: verbs(kind.verbs),
        short_names: texts(&kind.short_names),
        categories: texts(&kind.categories),
        storage_version_hash: storage_version_hash(kind),
        ..APIResource::default()
    }
}

/// What changes when objects are stored in another version. Source: `discovery.StorageVersionHash`.
fn storage_version_hash(kind: &ResourceKind) -> Option<String> {
    let storage = kind.storage.as_ref()?;
    let text = format!("{}/{}/{}", storage.group, storage.version, kind.kind);
    Some(STANDARD.encode(&Sha256::digest(text)[..8]))
}

fn subresource(kind: &ResourceKind, below: &Subresource) -> APIResource {
    let other = below.kind.as_ref();
    APIResource {
        name: format!("{}/{}", kind.plural, below.name),
        namespaced: kind.namespaced,
        kind: other.map_or_else(|| kind.kind.to_string(), |other| other.kind.clone()),
        group: other
            .filter(|other| other.group != kind.group)
            .map(|other| other.group.clone()),
        version: other
            .filter(|other| other.group != kind.group)
            .map(|other| other.version.clone()),
        verbs: verbs(below.verbs),
        ..APIResource::default()
    }
}

fn verbs(verbs: &[Verb]) -> Vec<String> {
    verbs.iter().map(|verb| verb.as_str().to_owned()).collect()
}

/// The document of `/`.
#[derive(serde::Serialize)]
struct Paths {
    paths: Vec<String>,
}

fn paths(catalogue: &Catalogue) -> Paths {
    let fixed = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis"];
    let rest = [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ];
    let mut paths: Vec<String> = fixed.into_iter().chain(rest).map(str::to_owned).collect();
    for group in catalogue.groups.iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(
            group
                .versions
                .iter()
                .map(|version| format!("/apis/{}/{}", group.name, version.name)),
        );
    }
    paths.sort();
    Paths { paths }
}
