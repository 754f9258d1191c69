//! What an update or an apply does to objects and to the entries of their owners.
//!
//! Source of the rules: `structured-merge-diff/merge/update.go` and `apimachinery/pkg/util/managedfields`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube_types::dynamic::{Map, Value};

use super::compare::{Comparison, compare};
use super::conflict::Conflict;
use super::field_set::field_set;
use super::filter::Filter;
use super::managers::{Managed, Manager, Operation, Owner};
use super::merge::merge;
use super::reconcile::reconcile;
use super::remove::remove;
use super::schema::ObjectType;
use super::set::Set;
use super::validate::TypedError;

/// The versions in which the objects of one kind are known.
pub trait Versions {
    /// The type of the objects in a version; `None` when it is not served any more.
    fn object_type(&self, api_version: &str) -> Option<ObjectType>;
    /// An object, whose `apiVersion` says what it is, in another version; `None` when that is not served any more.
    fn convert(&self, object: &Map<String, Value>, api_version: &str) -> Option<Map<String, Value>>;
    /// Which fields writers of this endpoint can own in a version.
    fn filter(&self, api_version: &str) -> Filter;
}

/// Why an apply is refused.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// An object does not fit its type.
    #[error(transparent)]
    Typed(#[from] TypedError),
    /// Others own fields that would change.
    #[error("{} conflicts", .0.len())]
    Conflicts(Vec<Conflict>),
}

/// The rules of one endpoint and version.
pub(crate) struct Updater<'a> {
    pub versions: &'a dyn Versions,
    pub api_version: &'a str,
    pub of: &'a ObjectType,
}

impl Updater<'_> {
    /// Brings the sets of all owners into the form of the present schema.
    fn reconcile(&self, managed: &mut Managed) {
        for owner in &mut managed.owners {
            let of = self.versions.object_type(&owner.manager.api_version);
            if let Some(changed) = of.and_then(|of| reconcile(&of, &owner.set)) {
                owner.set = changed;
            }
        }
    }

    /// Takes from the other owners what changes, or names the conflicts. Owners at versions that are gone go too.
    fn disown(
        &self,
        managed: &mut Managed,
        live: &Map<String, Value>,
        new: &Map<String, Value>,
        found: Comparison,
        writer: Option<&Manager>,
        force: bool,
    ) -> Result<(), UpdateError> {
        let mut versions: BTreeMap<String, Option<Comparison>> = BTreeMap::new();
        versions.insert(
            self.api_version.to_owned(),
            Some(self.filtered(self.api_version, found)),
        );
        let mut conflicts = Vec::new();
        let mut kept = Vec::with_capacity(managed.owners.len());
        for mut owner in std::mem::take(&mut managed.owners) {
            if writer.is_some_and(|writer| writer.is(&owner.manager)) {
                kept.push(owner);
                continue;
            }
            let version = &owner.manager.api_version;
            if !versions.contains_key(version) {
                let compared = self.compare_in(version, live, new)?;
                versions.insert(version.clone(), compared);
            }
            let Some(Some(compared)) = versions.get(version) else {
                continue;
            };
            let taken = owner.set.intersection(&compared.modified.union(&compared.added));
            if !taken.is_empty() {
                if !force {
                    let paths = taken.paths().into_iter();
                    conflicts.extend(paths.map(|path| Conflict::new(&owner, path)));
                }
                owner.set = owner.set.difference(&taken);
            }
            if !compared.removed.is_empty() {
                owner.set = owner.set.difference(&compared.removed);
            }
            if !owner.set.is_empty() {
                kept.push(owner);
            }
        }
        managed.owners = kept;
        if conflicts.is_empty() {
            Ok(())
        } else {
            conflicts.sort_by(|a, b| a.manager.cmp(&b.manager));
            Err(UpdateError::Conflicts(conflicts))
        }
    }

    fn filtered(&self, api_version: &str, compared: Comparison) -> Comparison {
        match self.versions.filter(api_version) {
            Filter::All => compared,
            filter => compared.map(|set| filter.apply(set)),
        }
    }

    fn compare_in(
        &self,
        api_version: &str,
        live: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Result<Option<Comparison>, TypedError> {
        let Some(of) = self.versions.object_type(api_version) else {
            return Ok(None);
        };
        let (Some(live), Some(new)) = (
            self.versions.convert(live, api_version),
            self.versions.convert(new, api_version),
        ) else {
            return Ok(None);
        };
        let compared = compare(&of, &live, &new)?;
        Ok(Some(self.filtered(api_version, compared)))
    }

    /// What the writer of an update owns afterwards besides what it owned before. `found` is what differs.
    pub fn update(
        &self,
        managed: &mut Managed,
        live: &Map<String, Value>,
        new: &Map<String, Value>,
        found: Comparison,
    ) -> Result<Set, UpdateError> {
        let owned = if managed.is_empty() {
            found.modified.joined(found.added)
        } else {
            let owned = found.modified.union(&found.added);
            self.reconcile(managed);
            self.disown(managed, live, new, found, None, true)?;
            owned
        };
        Ok(self.versions.filter(self.api_version).apply(owned))
    }

    /// The live object with an applied configuration, and who owns what then.
    pub fn apply(
        &self,
        managed: &mut Managed,
        live: &Map<String, Value>,
        applied: &Map<String, Value>,
        writer: &Manager,
        force: bool,
    ) -> Result<Map<String, Value>, UpdateError> {
        self.reconcile(managed);
        let merged = merge(self.of, live, applied)?;
        let set = field_set(self.of, applied);
        let set = self.versions.filter(self.api_version).apply(set);
        let last = managed.take(writer);
        let time = last.as_ref().and_then(|last| last.time.clone());
        managed.set(Owner {
            manager: writer.clone(),
            time,
            set,
        });
        let object = match &last {
            Some(last) if !last.set.is_empty() => self.prune(merged, managed, last),
            _ => merged,
        };
        let found = compare(self.of, live, &object)?;
        self.disown(managed, live, &object, found, Some(writer), force)?;
        managed.owners.retain(|owner| !owner.set.is_empty());
        Ok(object)
    }

    /// Removes what the writer applied last time, does not apply now, and nobody else owns.
    fn prune(&self, merged: Map<String, Value>, managed: &Managed, last: &Owner) -> Map<String, Value> {
        let version = last.manager.api_version.as_str();
        let Some(of) = self.type_in(version) else { return merged };
        let Some(whole) = self.in_version(&merged, version, self.api_version) else {
            return merged;
        };
        let named = |set: &Set| set.with_named_fields(&of.schema, of.root);
        let last = named(&last.set);
        let pruned = self.add_back_owned(&whole, remove(&of, &whole, &last), version, managed);
        // What is gone now, and was not the writer's, comes back.
        let gone = named(&field_set(&of, &whole)).difference(&named(&field_set(&of, &pruned)));
        let pruned = remove(&of, &whole, &gone.intersection(&last));
        match self.in_version(&pruned, self.api_version, version) {
            Some(pruned) => pruned.into_owned(),
            None => merged,
        }
    }

    fn type_in(&self, version: &str) -> Option<ObjectType> {
        if version == self.api_version {
            Some(self.of.clone())
        } else {
            self.versions.object_type(version)
        }
    }

    fn in_version<'o>(
        &self,
        object: &'o Map<String, Value>,
        version: &str,
        present: &str,
    ) -> Option<Cow<'o, Map<String, Value>>> {
        if version == present {
            Some(Cow::Borrowed(object))
        } else {
            self.versions.convert(object, version).map(Cow::Owned)
        }
    }

    /// Adds back to a pruned object what anybody owns. Both objects are in `present`.
    fn add_back_owned(
        &self,
        merged: &Map<String, Value>,
        mut pruned: Map<String, Value>,
        present: &str,
        managed: &Managed,
    ) -> Map<String, Value> {
        let mut owned: BTreeMap<&str, Set> = BTreeMap::new();
        for owner in &managed.owners {
            let set = owned.entry(&owner.manager.api_version).or_default();
            *set = set.union(&owner.set);
        }
        // The present version first: what its fields need must be there before anything is converted.
        let mut sets: Vec<(&str, Set)> = owned.into_iter().collect();
        sets.sort_by_key(|(version, _)| *version != present);
        for (version, set) in sets {
            let Some(of) = self.type_in(version) else { continue };
            let (Some(whole), Some(part)) = (
                self.in_version(merged, version, present),
                self.in_version(&pruned, version, present),
            ) else {
                continue;
            };
            let back = add_back(&of, &whole, &part, &set);
            if let Some(back) = self.in_version(&back, present, version) {
                pruned = back.into_owned();
            }
        }
        pruned
    }

    /// The manager that writes as `name` through `subresource`.
    pub fn writer(&self, name: &str, operation: Operation, subresource: &str) -> Manager {
        Manager {
            name: if name.is_empty() {
                "unknown".to_owned()
            } else {
                name.to_owned()
            },
            operation,
            api_version: self.api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

/// The merged object without what is neither in the pruned one nor owned.
fn add_back(
    of: &ObjectType,
    merged: &Map<String, Value>,
    pruned: &Map<String, Value>,
    owned: &Set,
) -> Map<String, Value> {
    let named = |set: Set| set.with_named_fields(&of.schema, of.root);
    let whole = named(field_set(of, merged));
    let kept = named(field_set(of, pruned)).union(&named(owned.clone()));
    remove(of, merged, &whole.difference(&kept))
}
