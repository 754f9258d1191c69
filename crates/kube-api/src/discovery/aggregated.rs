//! The aggregated discovery document: every resource of every group in one answer.

mod remote;

use bytes::Bytes;
use registry::KindTable;
use registry::kinds::{Name, ResourceKind, Subresource, Verb};
use serde::Serialize;

use super::catalogue::{Catalogue, Group, Version};

const CURRENT: &str = "\"apiVersion\":\"apidiscovery.k8s.io/v2\"";
const BETA: &str = "\"apiVersion\":\"apidiscovery.k8s.io/v2beta1\"";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupList<'a> {
    kind: &'a str,
    api_version: &'a str,
    metadata: Empty,
    items: Vec<GroupItem>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct GroupItem {
    metadata: GroupMetadata,
    versions: Vec<VersionItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupMetadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    creation_timestamp: Option<()>,
}

#[derive(Serialize)]
struct VersionItem {
    version: String,
    resources: Vec<ResourceItem>,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceItem {
    resource: String,
    response_kind: Kind,
    scope: &'static str,
    singular_resource: String,
    verbs: Vec<Name>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<Name>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<Name>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<SubresourceItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubresourceItem {
    subresource: String,
    response_kind: Kind,
    verbs: Vec<Name>,
}

#[derive(Serialize)]
struct Kind {
    group: String,
    version: String,
    kind: String,
}

/// The document of `/api` (the core group) or of `/apis` (all others), in version v2.
pub(super) fn document(kinds: &KindTable, catalogue: &Catalogue, core: bool) -> Vec<u8> {
    let groups = catalogue.groups.iter().filter(|group| group.name.is_empty() == core);
    let items = groups.map(|group| GroupItem {
        versions: group
            .versions
            .iter()
            .map(|version| version_item(kinds, group, version))
            .collect(),
        metadata: GroupMetadata {
            name: group.name.clone(),
            creation_timestamp: None,
        },
    });
    let list = GroupList {
        kind: "APIGroupDiscoveryList",
        api_version: "apidiscovery.k8s.io/v2",
        metadata: Empty {},
        items: items.collect(),
    };
    serde_json::to_vec(&list).expect("discovery documents hold texts and lists only")
}

fn version_item(kinds: &KindTable, group: &Group, version: &Version) -> VersionItem {
    let (resources, current) = match &version.remote {
        None => {
            let own = kinds.of_version(&group.name, &version.name);
            (own.map(|kind| resource(kind)).collect(), true)
        }
        Some((route, documents)) => {
            let listed = documents.as_ref().map(|documents| documents.resources.as_slice());
            let listed = remote::resources(&route.group, &route.version, listed.unwrap_or_default());
            (listed, route.available && documents.is_some())
        }
    };
    VersionItem {
        version: version.name.clone(),
        resources,
        freshness: if current { "Current" } else { "Stale" },
    }
}

/// The same document in another version, which differs in its name only.
pub(super) fn in_version(json: &Bytes, version: &str) -> Bytes {
    if version == "v2" {
        return json.clone();
    }
    String::from_utf8_lossy(json)
        .replacen(CURRENT, BETA, 1)
        .into_bytes()
        .into()
}

fn resource(kind: &ResourceKind) -> ResourceItem {
    ResourceItem {
        resource: kind.plural.to_string(),
        response_kind: own_kind(kind),
        scope: if kind.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: kind.singular.to_string(),
        verbs: verbs(kind.verbs),
        short_names: kind.short_names.clone(),
        categories: kind.categories.clone(),
        subresources: kind.subresources.iter().map(|below| subresource(kind, below)).collect(),
    }
}

fn subresource(kind: &ResourceKind, below: &Subresource) -> SubresourceItem {
    let response_kind = match &below.kind {
        Some(other) => Kind {
            group: other.group.clone(),
            version: other.version.clone(),
            kind: other.kind.clone(),
        },
        None => own_kind(kind),
    };
    SubresourceItem {
        subresource: below.name.to_string(),
        response_kind,
        verbs: verbs(below.verbs),
    }
}

fn own_kind(kind: &ResourceKind) -> Kind {
    Kind {
        group: kind.group.to_string(),
        version: kind.version.to_string(),
        kind: kind.kind.to_string(),
    }
}

fn verbs(verbs: &[Verb]) -> Vec<Name> {
    verbs.iter().map(|verb| verb.as_str().into()).collect()
}
