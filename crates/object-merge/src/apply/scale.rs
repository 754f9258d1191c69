//! Owners of the replicas of a workload, as its `scale` names them, and back. Source: `scalehandler.go`.

use super::managers::{Managed, Manager, Owner};
use super::path::PathElement;
use super::set::Set;

/// The version of `scale`.
pub const SCALE_VERSION: &str = "autoscaling/v1";

fn in_scale() -> Set {
    Set::of_fields(&[&["spec", "replicas"]])
}

/// The owners of the replicas, as owners of the scale's. `replicas` is where the workload keeps them in a version.
pub fn to_scale<'p>(parent: &Managed, replicas: impl Fn(&str) -> Option<&'p [PathElement]>) -> Managed {
    let owners = parent.owners.iter().filter(|owner| {
        let path = replicas(&owner.manager.api_version);
        path.is_some_and(|path| owner.set.has(path))
    });
    let owners = owners.map(|owner| Owner {
        manager: Manager {
            api_version: SCALE_VERSION.to_owned(),
            ..owner.manager.clone()
        },
        time: owner.time.clone(),
        set: in_scale(),
    });
    let mut managed = Managed::default();
    owners.for_each(|owner| managed.set(owner));
    managed
}

/// The workload's owners after its scale was written: who lost the replicas there loses them here. `replicas` is as in
/// [`to_scale`]; new owners own them in `api_version`.
pub fn to_parent<'p>(
    parent: Managed,
    mut scale: Managed,
    api_version: &str,
    replicas: impl Fn(&str) -> Option<&'p [PathElement]>,
) -> Managed {
    let mut managed = Managed::default();
    for mut owner in parent.owners {
        let Some(path) = replicas(&owner.manager.api_version) else {
            continue;
        };
        if owner.set.has(path) {
            let there = Manager {
                api_version: SCALE_VERSION.to_owned(),
                ..owner.manager.clone()
            };
            match scale.take(&there) {
                Some(kept) => owner.time = kept.time,
                None => owner.set = owner.set.difference(&Set::of(path)),
            }
        }
        if !owner.set.is_empty() {
            managed.set(owner);
        }
    }
    let Some(path) = replicas(api_version) else {
        return managed;
    };
    for owner in scale.owners {
        managed.set(Owner {
            manager: Manager {
                api_version: api_version.to_owned(),
                ..owner.manager
            },
            time: owner.time,
            set: Set::of(path),
        });
    }
    managed
}
