//! The table of everything that is served.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube_types::{GroupVersionKind, GroupVersionResource};

use super::{ResourceKind, access, apps, core, extensions, network, platform};

/// Every served kind.
#[derive(Clone, Debug, Default)]
pub struct KindTable {
    kinds: Vec<Arc<ResourceKind>>,
    by_resource: BTreeMap<GroupVersionResource, usize>,
    by_kind: BTreeMap<GroupVersionKind, usize>,
    /// The built-in kinds in their stored versions, sorted by plural name and group: every request looks up several.
    stored: Vec<usize>,
}

/// A group and its versions, the preferred first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Name; empty for core.
    pub name: String,
    /// Versions, the preferred first.
    pub versions: Vec<String>,
}

impl KindTable {
    /// Every built-in kind that upstream 1.36 serves by default.
    pub fn built_in() -> Self {
        let declared = [
            core::kinds(),
            apps::kinds(),
            network::kinds(),
            access::kinds(),
            platform::kinds(),
            extensions::kinds(),
        ];
        Self::new(declared.into_iter().flatten())
    }

    /// A table of given kinds; a later kind of the same resource replaces an earlier one.
    pub fn new(kinds: impl IntoIterator<Item = ResourceKind>) -> Self {
        let mut table = Self::default();
        for kind in kinds {
            table.by_resource.insert(kind.gvr(), table.kinds.len());
            table.by_kind.insert(kind.gvk(), table.kinds.len());
            table.kinds.push(Arc::new(kind));
        }
        let is_stored = |kind: &ResourceKind| kind.storage.is_some() && kind.custom.is_none() && !kind.converts();
        table.stored = (0..table.kinds.len())
            .filter(|index| is_stored(&table.kinds[*index]))
            .collect();
        table.stored.sort_by_key(|index| by_name(&table.kinds[*index]));
        table
    }

    /// All kinds in the order of the declarations.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ResourceKind>> {
        self.kinds.iter()
    }

    /// The kind behind a path.
    pub fn find(&self, gvr: &GroupVersionResource) -> Option<&Arc<ResourceKind>> {
        self.by_resource.get(gvr).map(|index| &self.kinds[*index])
    }

    /// The entry of a kind.
    pub fn by_kind(&self, gvk: &GroupVersionKind) -> Option<&Arc<ResourceKind>> {
        self.by_kind.get(gvk).map(|index| &self.kinds[*index])
    }

    /// The built-in kinds whose objects lie under a storage prefix, in their stored version.
    pub fn stored_kinds(&self) -> impl Iterator<Item = &Arc<ResourceKind>> {
        self.stored.iter().map(|index| &self.kinds[*index])
    }

    /// A built-in kind in its stored version.
    pub fn stored_kind(&self, group: &str, plural: &str) -> Option<&Arc<ResourceKind>> {
        let of = |index: &usize| &self.kinds[*index];
        let found = self
            .stored
            .binary_search_by(|index| by_name(of(index)).cmp(&(plural, group)));
        found.ok().map(|at| of(&self.stored[at]))
    }

    /// This table with custom resources, which never take the place of what is there already.
    pub(crate) fn with_custom(&self, custom: impl IntoIterator<Item = Arc<ResourceKind>>) -> Self {
        let mut table = self.clone();
        for kind in custom {
            let (gvr, gvk) = (kind.gvr(), kind.gvk());
            if !table.by_resource.contains_key(&gvr) && !table.by_kind.contains_key(&gvk) {
                table.by_resource.insert(gvr, table.kinds.len());
                table.by_kind.insert(gvk, table.kinds.len());
                table.kinds.push(kind);
            }
        }
        table
    }

    /// Groups in upstream's order of priority: core, then as declared.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for kind in &self.kinds {
            let version = kind.version.to_string();
            match groups.iter_mut().find(|group| group.name == kind.group) {
                Some(group) if group.versions.contains(&version) => {}
                Some(group) => group.versions.push(version),
                None => groups.push(Group {
                    name: kind.group.to_string(),
                    versions: vec![version],
                }),
            }
        }
        groups
    }

    /// Kinds of one group and version.
    pub fn of_version<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<ResourceKind>> {
        self.kinds
            .iter()
            .filter(move |kind| kind.group == group && kind.version == version)
    }
}

fn by_name(kind: &ResourceKind) -> (&str, &str) {
    (&kind.plural, &kind.group)
}
