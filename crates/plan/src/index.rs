//! The objects of one kind, findable by key, by namespace, by controlling owner and by one relation of the kind's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use kube_types::ObjectKey;

use crate::controller_of;
use crate::kinds::{AnyObject, Kind, Observation, World};

/// A kind that controllers may look at.
pub trait Observed: Resource + Metadata<Ty = ObjectMeta> + Clone + Send + Sync + 'static {
    /// The kind's variant in the closed list of observed kinds.
    const KIND_TAG: Kind;

    /// The kind's objects in a world.
    fn index(world: &World) -> &Index<Self>;

    /// The kind's objects in a world, to be brought up to date.
    fn index_mut(world: &mut World) -> &mut Index<Self>;

    /// The object as an observation.
    fn observation(&self) -> Observation<'_>;

    /// The object as part of a change.
    fn into_any(self) -> AnyObject;

    /// The key under which [`Index::related`] finds the object: a pod's node, a slice's service.
    fn relation(&self) -> Option<&str>;
}

/// All objects of one kind, kept up to date object by object.
#[derive(Clone, Debug)]
pub struct Index<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    by_owner: BTreeMap<String, BTreeSet<ObjectKey>>,
    orphans: BTreeSet<ObjectKey>,
    by_relation: BTreeMap<String, BTreeSet<ObjectKey>>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            by_owner: BTreeMap::new(),
            orphans: BTreeSet::new(),
            by_relation: BTreeMap::new(),
        }
    }
}

impl<K: Observed> Index<K> {
    /// The object with this key.
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<K>> {
        self.objects.get(key)
    }

    /// The object with this namespace and name.
    pub fn named(&self, namespace: &str, name: &str) -> Option<&Arc<K>> {
        self.objects.get(&ObjectKey::namespaced(namespace, name))
    }

    /// The cluster-scoped object with this name.
    pub fn cluster(&self, name: &str) -> Option<&Arc<K>> {
        self.objects.get(&ObjectKey::cluster(name))
    }

    /// Every object, by namespace and name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<K>> + Clone {
        self.objects.values()
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.keys()
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace<'a, 'n>(&'a self, namespace: &'n str) -> impl Iterator<Item = &'a Arc<K>> + use<'a, 'n, K> {
        within(&self.objects, namespace)
    }

    /// The objects whose managing controller has this uid.
    pub fn controlled_by(&self, uid: &str) -> impl Iterator<Item = &Arc<K>> {
        self.found(self.by_owner.get(uid))
    }

    /// The objects of a namespace that no controller manages.
    pub fn orphans_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<K>> {
        let first = ObjectKey::namespaced(namespace, "");
        self.orphans
            .range(first..)
            .take_while(move |key| key.namespace.as_deref() == Some(namespace))
            .filter_map(|key| self.objects.get(key))
    }

    /// The objects with this relation of their kind (see [`Observed::relation`]).
    pub fn related(&self, to: &str) -> impl Iterator<Item = &Arc<K>> {
        self.found(self.by_relation.get(to))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Is there no object?
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Puts an object in the place of its predecessor, which is returned.
    pub fn insert(&mut self, object: Arc<K>) -> Option<Arc<K>> {
        let key = ObjectKey::of(object.as_ref());
        let previous = self.remove(&key);
        match controller_of(object.metadata()) {
            Some(owner) => {
                self.by_owner.entry(owner.uid.clone()).or_default().insert(key.clone());
            }
            None => {
                self.orphans.insert(key.clone());
            }
        }
        if let Some(relation) = object.relation() {
            self.by_relation
                .entry(relation.to_owned())
                .or_default()
                .insert(key.clone());
        }
        self.objects.insert(key, object);
        previous
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        let previous = self.objects.remove(key)?;
        match controller_of(previous.metadata()) {
            Some(owner) => forget(&mut self.by_owner, &owner.uid, key),
            None => {
                self.orphans.remove(key);
            }
        }
        if let Some(relation) = previous.relation() {
            forget(&mut self.by_relation, relation, key);
        }
        Some(previous)
    }

    fn found<'a>(&'a self, keys: Option<&'a BTreeSet<ObjectKey>>) -> impl Iterator<Item = &'a Arc<K>> {
        keys.into_iter().flatten().filter_map(|key| self.objects.get(key))
    }
}

fn within<'a, 'n, V>(
    map: &'a BTreeMap<ObjectKey, V>,
    namespace: &'n str,
) -> impl Iterator<Item = &'a V> + use<'a, 'n, V> {
    map.range(ObjectKey::namespaced(namespace, "")..)
        .take_while(move |(key, _)| key.namespace.as_deref() == Some(namespace))
        .map(|(_, value)| value)
}

fn forget(map: &mut BTreeMap<String, BTreeSet<ObjectKey>>, at: &str, key: &ObjectKey) {
    if let Some(keys) = map.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(at);
        }
    }
}

#[cfg(test)]
mod tests;
