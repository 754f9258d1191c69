//! Who decides: a controller, and the form in which all controllers can stand in one list.

use jiff::Timestamp;
use kube_types::ObjectKey;

use crate::change::Plan;
use crate::index::Observed;
use crate::kinds::{Kind, Observation, World};

/// A kind's reconciliation, as a decision without side effects.
///
/// A controller is told which object to look at, never what happened: its plan must follow from what is observed alone.
pub trait Controller: Send + Sync + 'static {
    /// The kind whose desired state this controller realises.
    type Root: Observed;

    /// Upstream's name of the controller; the source of its events and its label in metrics.
    const NAME: &'static str;

    /// Kinds, other than the root's, whose changes can change a plan.
    const WATCHES: &'static [Kind];

    /// The roots whose plan may change because `changed` did. Asked for the old and for the new state of an object.
    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey>;

    /// Decides what should change so that the world matches `root`.
    fn plan(&self, root: &Self::Root, world: &World, now: Timestamp) -> Plan;

    /// Decides what should change because there is no root with this key (any more).
    fn plan_absent(&self, _key: &ObjectKey, _world: &World, _now: Timestamp) -> Plan {
        Plan::nothing()
    }
}

/// A decision and the state of the root that it was made for.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The decision.
    pub plan: Plan,
    /// Does the root exist?
    pub root_exists: bool,
}

/// A controller whose root kind is known only at run time.
pub trait AnyController: Send + Sync + 'static {
    /// See [`Controller::NAME`].
    fn name(&self) -> &'static str;
    /// The root's kind.
    fn root(&self) -> Kind;
    /// Every kind the controller looks at, the root's first.
    fn kinds(&self) -> Vec<Kind>;
    /// See [`Controller::roots_of`]; a changed root maps to itself.
    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey>;
    /// Decides for the root with this key, whether it exists or not.
    fn plan(&self, root: &ObjectKey, world: &World, now: Timestamp) -> Planned;
}

impl<C: Controller> AnyController for C {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn root(&self) -> Kind {
        C::Root::KIND_TAG
    }

    fn kinds(&self) -> Vec<Kind> {
        let others = C::WATCHES.iter().copied().filter(|kind| *kind != C::Root::KIND_TAG);
        std::iter::once(C::Root::KIND_TAG).chain(others).collect()
    }

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        let mut roots = Vec::new();
        if changed.kind() == C::Root::KIND_TAG {
            let metadata = changed.metadata();
            roots.push(ObjectKey {
                namespace: metadata.namespace.clone(),
                name: metadata.name.clone().unwrap_or_default(),
            });
        }
        if C::WATCHES.contains(&changed.kind()) {
            roots.extend(Controller::roots_of(self, changed, world));
        }
        roots.sort();
        roots.dedup();
        roots
    }

    fn plan(&self, root: &ObjectKey, world: &World, now: Timestamp) -> Planned {
        match C::Root::index(world).get(root) {
            Some(object) => Planned {
                plan: Controller::plan(self, object.as_ref(), world, now),
                root_exists: true,
            },
            None => Planned {
                plan: self.plan_absent(root, world, now),
                root_exists: false,
            },
        }
    }
}
