//! What is served: the table of kinds and the cache of each resource, which definitions change while others are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use custom_resources::Definition;
use kube_types::dynamic::{Object, Value};

use super::{Item, ResourceCache};
use crate::kinds::{DEFINITIONS, KindTable, ResourceKind, kinds_of};

/// The kinds and caches at one moment.
pub(crate) struct Served {
    pub kinds: Arc<KindTable>,
    built_in: Arc<KindTable>,
    /// Sorted by prefix; no prefix begins another.
    resources: Vec<(String, Arc<ResourceCache>)>,
    /// The served definitions by name.
    definitions: BTreeMap<String, Declaration>,
}

/// A served definition.
#[derive(Clone)]
struct Declaration {
    /// What of the definition the kinds follow from.
    origin: Arc<Vec<Value>>,
    stored: Arc<ResourceKind>,
    served: Vec<Arc<ResourceKind>>,
}

impl Declaration {
    fn prefix(&self) -> &str {
        self.stored.storage.as_ref().map_or("", |storage| &storage.prefix)
    }
}

/// The parts of a definition that its kinds follow from.
fn origin(definition: &Object) -> Vec<Value> {
    let part = |field: &str| definition.0.get(field).cloned().unwrap_or(Value::Null);
    let status = part("status");
    vec![
        part("spec"),
        status["acceptedNames"].clone(),
        definition.is_deleting().into(),
    ]
}

/// What a change of definitions leads to.
pub(crate) struct Next {
    /// What will be served.
    pub served: Served,
    /// Caches that must be filled before.
    pub empty: Vec<Arc<ResourceCache>>,
    /// Caches that are served no more.
    pub left: Vec<Arc<ResourceCache>>,
}

impl Served {
    /// The built-in kinds.
    pub fn built_in(kinds: KindTable) -> Self {
        let kinds = Arc::new(kinds);
        let mut resources: Vec<(String, Arc<ResourceCache>)> = kinds
            .stored_kinds()
            .filter_map(|kind| {
                let prefix = kind.storage.as_ref()?.prefix.to_string();
                Some((prefix, Arc::new(ResourceCache::new(kind.clone()))))
            })
            .collect();
        resources.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            built_in: kinds.clone(),
            kinds,
            resources,
            definitions: BTreeMap::new(),
        }
    }

    /// What is served under other definitions. Those that have not changed keep their kinds and caches.
    pub fn with_definitions(&self, definitions: impl Iterator<Item = Object>) -> Next {
        let mut declared = BTreeMap::new();
        for definition in definitions.filter(Definition::is_established) {
            let name = definition.name().unwrap_or_default().to_owned();
            let origin = origin(&definition);
            let known = self.definitions.get(&name).filter(|known| *known.origin == origin);
            let declaration = match known {
                Some(known) => Some(known.clone()),
                None => kinds_of(Definition::read(&definition)).map(|kinds| Declaration {
                    origin: Arc::new(origin),
                    stored: kinds.stored,
                    served: kinds.served,
                }),
            };
            declared.extend(declaration.map(|declaration| (name, declaration)));
        }
        self.with(declared)
    }

    fn with(&self, declared: BTreeMap<String, Declaration>) -> Next {
        let (mut resources, mut empty, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (prefix, cache) in &self.resources {
            let kept = cache.kind.custom.is_none()
                || declared
                    .values()
                    .any(|declaration| Arc::ptr_eq(&declaration.stored, &cache.kind));
            if kept {
                resources.push((prefix.clone(), cache.clone()));
            } else {
                left.push(cache.clone());
            }
        }
        let built_in: Vec<String> = self
            .resources
            .iter()
            .filter(|(_, cache)| cache.kind.custom.is_none())
            .map(|(prefix, _)| prefix.clone())
            .collect();
        for declaration in declared.values() {
            let prefix = declaration.prefix();
            let is_kept = resources.iter().any(|(of, _)| of == prefix);
            let overlaps = built_in
                .iter()
                .any(|of| of.starts_with(prefix) || prefix.starts_with(of.as_str()));
            if !is_kept && !overlaps {
                let cache = Arc::new(ResourceCache::new(declaration.stored.clone()));
                resources.push((prefix.to_owned(), cache.clone()));
                empty.push(cache);
            }
        }
        resources.sort_by(|a, b| a.0.cmp(&b.0));
        let mut served: Vec<Arc<ResourceKind>> = declared
            .values()
            .flat_map(|declaration| declaration.served.iter().cloned())
            .collect();
        served.sort_by(|a, b| {
            let key = |kind: &ResourceKind| (kind.group.clone(), priority(&kind.version), kind.plural.clone());
            key(a).cmp(&key(b))
        });
        let served = Self {
            kinds: Arc::new(self.built_in.with_custom(served)),
            built_in: self.built_in.clone(),
            resources,
            definitions: declared,
        };
        Next { served, empty, left }
    }

    /// The definitions among the cached objects, by name.
    pub fn definitions(&self) -> BTreeMap<String, Object> {
        let items = self
            .by_prefix(DEFINITIONS)
            .map(|cache| cache.select("", None, |_| true, usize::MAX).0);
        let items = items.unwrap_or_default();
        let named = |item: &Arc<Item>| (item.extract.name.to_string(), item.object());
        items.iter().map(named).collect()
    }

    /// All caches and their prefixes.
    pub fn resources(&self) -> &[(String, Arc<ResourceCache>)] {
        &self.resources
    }

    /// The cache of the resource stored under a prefix.
    pub fn by_prefix(&self, prefix: &str) -> Option<&Arc<ResourceCache>> {
        let index = self
            .resources
            .binary_search_by(|(candidate, _)| candidate.as_str().cmp(prefix))
            .ok()?;
        Some(&self.resources[index].1)
    }

    /// Number of the cache that a key belongs to, and the key within it.
    pub fn locate<'k>(&self, key: &'k str) -> Option<(usize, &'k str)> {
        let index = self
            .resources
            .partition_point(|(prefix, _)| prefix.as_str() <= key)
            .checked_sub(1)?;
        Some((index, key.strip_prefix(self.resources[index].0.as_str())?))
    }
}

/// Order of versions, the preferred first: releases before betas before alphas, the newer first, then other names.
/// Source: `apimachinery/pkg/version.CompareKubeAwareVersionStrings`.
fn priority(version: &str) -> (u8, i64, i64, String) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major: i64 = rest[..end].parse().ok()?;
        let (rank, minor) = match rest[end..].get(..) {
            Some("") => (0, 0),
            Some(text) if text.starts_with("beta") => (1, text[4..].parse().ok()?),
            Some(text) if text.starts_with("alpha") => (2, text[5..].parse().ok()?),
            _ => return None,
        };
        Some((rank, -major, -minor, String::new()))
    };
    parse().unwrap_or_else(|| (3, 0, 0, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_kubernetes_order() {
        let mut versions = ["foo1", "v1alpha1", "v2", "v1beta2", "v10", "v1", "v1beta1", "v11alpha2"];
        versions.sort_by_key(|version| priority(version));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v1beta2", "v1beta1", "v11alpha2", "v1alpha1", "foo1"]
        );
    }
}
