//! Who owns whom, and what follows when an owner goes: dependents are deleted, orphaned, or waited for.
//!
//! Source of the rules: upstream's garbage collector (`attemptToDeleteItem`, `processDeletingDependentsItem`, `orphanDependents`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use plan::{Change, MetadataPatch, Plan, Propagation, ResourceName, Target};

/// Name of the controller.
pub const NAME: &str = "garbage-collector-controller";

/// Finalizer of an owner that waits for its dependents to be deleted.
const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an owner that waits for its dependents to be let go.
const ORPHAN: &str = "orphan";

/// As much of an object as ownership needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The object's resource.
    pub resource: ResourceName,
    /// Its namespace, absent when it is cluster scoped.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub resource_version: Option<String>,
    /// Its owners.
    pub owners: Vec<OwnerReference>,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// Is it being deleted?
    pub deleting: bool,
}

/// What to do about an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing.
    Nothing,
    /// Ask the API server whether these owners exist: they were not seen, which may mean that they are new.
    Verify(Vec<OwnerReference>),
    /// Carry this out.
    Act(Plan),
}

/// Every object that can own or be owned.
#[derive(Debug, Default)]
pub struct Graph {
    items: BTreeMap<String, Item>,
    dependents: BTreeMap<String, BTreeSet<String>>,
    absent: BTreeSet<String>,
}

impl Item {
    /// Takes what is needed from an object's metadata.
    pub fn new(resource: ResourceName, metadata: &ObjectMeta) -> Self {
        Self {
            resource,
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone(),
            owners: metadata.owner_references.clone().unwrap_or_default(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }

    fn has(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|own| own == finalizer)
    }

    fn waits_for_dependents(&self) -> bool {
        self.deleting && self.has(FOREGROUND)
    }

    fn target(&self) -> Target {
        Target {
            resource: self.resource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: Some(self.uid.clone()),
            resource_version: self.resource_version.clone(),
        }
    }

    fn patched(&self, patch: MetadataPatch) -> Change {
        Change::PatchMetadata {
            target: self.target(),
            patch,
        }
    }

    fn without_finalizer(&self, finalizer: &str) -> Change {
        let kept = self
            .finalizers
            .iter()
            .filter(|own| *own != finalizer)
            .cloned()
            .collect();
        self.patched(MetadataPatch {
            finalizers: Some(kept),
            ..MetadataPatch::default()
        })
    }

    fn without_owners(&self, gone: &BTreeSet<&str>) -> Change {
        let kept = self
            .owners
            .iter()
            .filter(|owner| !gone.contains(owner.uid.as_str()))
            .cloned()
            .collect();
        self.patched(MetadataPatch {
            owner_references: Some(kept),
            ..MetadataPatch::default()
        })
    }
}

impl Graph {
    /// Takes in an object's present state. Gives the uids of the objects to look at because of it.
    pub fn put(&mut self, item: Item) -> BTreeSet<String> {
        let mut affected = BTreeSet::from([item.uid.clone()]);
        self.absent.remove(&item.uid);
        if let Some(old) = self.items.get(&item.uid).cloned() {
            self.unlink(&old);
            affected.extend(old.owners.into_iter().map(|owner| owner.uid));
        }
        for owner in &item.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(item.uid.clone());
            // A dependent that no longer blocks, or a new one that does, matters to an owner that waits.
            affected.insert(owner.uid.clone());
        }
        if item.waits_for_dependents() {
            affected.extend(self.dependents.get(&item.uid).into_iter().flatten().cloned());
        }
        self.items.insert(item.uid.clone(), item);
        affected.retain(|uid| self.is_of_interest(uid));
        affected
    }

    /// Takes out an object that is gone. Gives the uids of the objects to look at because of it.
    pub fn remove(&mut self, uid: &str) -> BTreeSet<String> {
        let mut affected: BTreeSet<String> = self.dependents.get(uid).cloned().unwrap_or_default();
        if let Some(old) = self.items.remove(uid) {
            self.unlink(&old);
            affected.extend(old.owners.into_iter().map(|owner| owner.uid));
        }
        affected.retain(|uid| self.is_of_interest(uid));
        affected
    }

    /// Remembers that no object with this uid exists.
    pub fn set_absent(&mut self, uid: String) {
        if !self.items.contains_key(&uid) {
            self.absent.insert(uid);
        }
    }

    /// Is there an object with this uid?
    pub fn contains(&self, uid: &str) -> bool {
        self.items.contains_key(uid)
    }

    /// The uids of the objects of a resource.
    pub fn uids_of<'a>(&'a self, resource: &'a ResourceName) -> impl Iterator<Item = &'a str> {
        self.items
            .values()
            .filter(move |item| item.resource == *resource)
            .map(|item| item.uid.as_str())
    }

    /// The namespace of an object, in which its owners are looked for.
    pub fn namespace_of(&self, uid: &str) -> Option<&str> {
        self.items.get(uid)?.namespace.as_deref()
    }

    /// What to do about the object with this uid.
    pub fn decide(&self, uid: &str) -> Decision {
        let Some(item) = self.items.get(uid) else {
            return Decision::Nothing;
        };
        if item.deleting {
            return self.decide_deleting(item);
        }
        let mut unknown = Vec::new();
        let mut gone = BTreeSet::new();
        let mut waiting = BTreeSet::new();
        let mut solid = 0;
        for owner in &item.owners {
            match self.items.get(&owner.uid) {
                Some(found) if !is_named_by(found, owner, item) => {
                    gone.insert(owner.uid.as_str());
                }
                Some(found) if found.waits_for_dependents() && owner.block_owner_deletion == Some(true) => {
                    waiting.insert(owner.uid.as_str());
                }
                Some(_) => solid += 1,
                None if self.absent.contains(&owner.uid) => {
                    gone.insert(owner.uid.as_str());
                }
                None => unknown.push(owner.clone()),
            }
        }
        if !unknown.is_empty() {
            return Decision::Verify(unknown);
        }
        if gone.is_empty() && waiting.is_empty() {
            return Decision::Nothing;
        }
        if solid > 0 {
            let lost = gone.union(&waiting).copied().collect();
            return Decision::Act(item.without_owners(&lost).into());
        }
        let has_dependents = self
            .dependents
            .get(uid)
            .is_some_and(|dependents| !dependents.is_empty());
        let propagation = if item.has(ORPHAN) {
            Propagation::Orphan
        } else if item.has(FOREGROUND) || (!waiting.is_empty() && has_dependents) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let delete = Change::Delete {
            target: item.target(),
            propagation: Some(propagation),
            grace_seconds: None,
        };
        Decision::Act(delete.into())
    }

    fn decide_deleting(&self, item: &Item) -> Decision {
        let dependents = self.dependents.get(&item.uid).into_iter().flatten();
        let dependents: Vec<&Item> = dependents.filter_map(|uid| self.items.get(uid)).collect();
        if item.has(ORPHAN) {
            let mut plan = Plan::nothing();
            let owner = BTreeSet::from([item.uid.as_str()]);
            dependents
                .iter()
                .for_each(|dependent| plan.then(dependent.without_owners(&owner)));
            plan.then(item.without_finalizer(ORPHAN));
            return Decision::Act(plan);
        }
        let blocks = |dependent: &&&Item| {
            let mut owners = dependent.owners.iter();
            owners.any(|owner| owner.uid == item.uid && owner.block_owner_deletion == Some(true))
        };
        if item.has(FOREGROUND) && dependents.iter().find(blocks).is_none() {
            return Decision::Act(item.without_finalizer(FOREGROUND).into());
        }
        Decision::Nothing
    }

    fn is_of_interest(&self, uid: &str) -> bool {
        self.items
            .get(uid)
            .is_some_and(|item| !item.owners.is_empty() || (item.deleting && !item.finalizers.is_empty()))
    }

    fn unlink(&mut self, item: &Item) {
        for owner in &item.owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(&item.uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                    self.absent.remove(&owner.uid);
                }
            }
        }
    }
}

/// Does the reference name the found object? A reference across namespaces or to another kind owns nothing.
fn is_named_by(found: &Item, owner: &OwnerReference, dependent: &Item) -> bool {
    let in_reach = found.namespace.is_none() || found.namespace == dependent.namespace;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    in_reach && found.resource.kind == owner.kind && found.resource.group == group && found.name == owner.name
}

#[cfg(test)]
mod tests;
