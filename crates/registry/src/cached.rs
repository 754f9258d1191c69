//! What the caches hold now, for those who serve the registry: they look often, and must not wait for the store.

use kube_types::dynamic::Object;
use kube_types::{GroupVersionResource, ObjectKey};
use store::Revision;
use tokio::sync::watch;

use crate::registry::Registry;

impl Registry {
    /// The objects of a built-in resource, of one namespace or of all, in the order of their names.
    pub fn objects(&self, group: &str, plural: &str, namespace: Option<&str>) -> Vec<Object> {
        let Ok(resource) = self.built_in(group, plural) else {
            return Vec::new();
        };
        let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let (items, _) = resource.cache.select(&prefix, None, |_| true, usize::MAX);
        items.iter().map(|item| item.object()).collect()
    }

    /// One object of a built-in resource.
    pub fn object(&self, group: &str, plural: &str, key: &ObjectKey) -> Option<Object> {
        self.cached(group, plural, key)
    }

    /// How many objects of a resource there are, in all namespaces; `None` for what is not stored.
    pub fn stored(&self, resource: &GroupVersionResource) -> Option<usize> {
        let kind = self.kinds().find(resource)?.clone();
        Some(self.resource_of(kind).ok()?.cache.len())
    }

    /// Wakes when a built-in resource changes; `None` for one that is not stored.
    pub fn changes(&self, group: &str, plural: &str) -> Option<watch::Receiver<Revision>> {
        let resource = self.built_in(group, plural).ok()?;
        Some(resource.cache.subscribe())
    }

    /// Whether the key services behind what the store holds are well; `None` when there is none.
    pub fn encryption_health(&self) -> Option<Result<(), String>> {
        self.encryption.health()
    }
}
