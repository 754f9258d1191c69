//! The resources that an aggregated API server lists, in the form of the aggregated document.
//!
//! Source: `apiserver/pkg/endpoints/installer.go`, `ConvertGroupVersionIntoToDiscovery`.

use kube_types::meta::APIResource;
use registry::kinds::Name;

use super::{Kind, ResourceItem, SubresourceItem};

/// What a group and version has, from its plain list. A subresource whose resource is not listed (metrics of one's own
/// are served so) gets one without a kind.
pub(super) fn resources(group: &str, version: &str, listed: &[APIResource]) -> Vec<ResourceItem> {
    let mut items: Vec<ResourceItem> = Vec::new();
    for one in listed.iter().filter(|one| !one.name.contains('/')) {
        items.push(item(one, &one.name, kind(group, version, one), one));
    }
    for one in listed {
        let Some((parent, below)) = one.name.split_once('/') else {
            continue;
        };
        let found = items.iter().position(|item| item.resource == parent);
        let index = found.unwrap_or_else(|| {
            let none = Kind {
                group: String::new(),
                version: String::new(),
                kind: String::new(),
            };
            items.push(item(&APIResource::default(), parent, none, one));
            items.len() - 1
        });
        items[index].subresources.push(SubresourceItem {
            subresource: below.to_owned(),
            response_kind: kind(group, version, one),
            verbs: names(&one.verbs),
        });
    }
    items
}

fn item(one: &APIResource, name: &str, response_kind: Kind, scope: &APIResource) -> ResourceItem {
    ResourceItem {
        resource: name.to_owned(),
        response_kind,
        scope: if scope.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: one.singular_name.clone(),
        verbs: names(&one.verbs),
        short_names: names(one.short_names.as_deref().unwrap_or_default()),
        categories: names(one.categories.as_deref().unwrap_or_default()),
        subresources: Vec::new(),
    }
}

fn kind(group: &str, version: &str, one: &APIResource) -> Kind {
    let other = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Kind {
        group: other(&one.group).unwrap_or_else(|| group.to_owned()),
        version: other(&one.version).unwrap_or_else(|| version.to_owned()),
        kind: one.kind.clone(),
    }
}

fn names(texts: &[String]) -> Vec<Name> {
    texts.iter().map(|text| Name::from(text.clone())).collect()
}
