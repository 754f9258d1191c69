//! Which groups and versions there are, whoever answers them: this server's own and the aggregated ones, in one order.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use registry::KindTable;

use crate::aggregation::{Aggregated, Documents, Route, local};

/// Every group, the one of the highest priority first.
pub(super) struct Catalogue {
    pub groups: Vec<Group>,
}

/// A group and its versions, the preferred first.
pub(super) struct Group {
    pub name: String,
    pub versions: Vec<Version>,
    priority: i64,
}

/// A version of a group.
pub(super) struct Version {
    pub name: String,
    /// Who answers it, if it is not this server, and what that one said of itself.
    pub remote: Option<(Arc<Route>, Option<Arc<Documents>>)>,
    priority: i64,
}

impl Catalogue {
    /// Source: `helpers.SortedByGroupAndVersion`.
    pub fn of(kinds: &KindTable, aggregated: &Aggregated) -> Self {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        let mut add = |name: &str, of_group: i64, version: Version| {
            let group = groups.entry(name.to_owned()).or_insert_with(|| Group {
                name: name.to_owned(),
                versions: Vec::new(),
                priority: of_group,
            });
            group.priority = group.priority.max(of_group);
            group.versions.push(version);
        };
        for group in kinds.groups() {
            for name in group.versions {
                if aggregated.route(&group.name, &name).is_none() {
                    let (of_group, priority) = local::priorities(&group.name, &name);
                    let remote = None;
                    add(&group.name, of_group, Version { name, remote, priority });
                }
            }
        }
        for route in aggregated.routes() {
            let version = Version {
                name: route.version.clone(),
                remote: Some((route.clone(), aggregated.documents(route).cloned())),
                priority: route.version_priority,
            };
            add(&route.group, route.group_priority, version);
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        for group in &mut groups {
            // Versions of one priority stay as the table of kinds has them: the newer before the older.
            group.versions.sort_by_key(|version| Reverse(version.priority));
        }
        groups.sort_by_key(|group| Reverse(group.priority));
        Self { groups }
    }

    /// The group of a name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}
