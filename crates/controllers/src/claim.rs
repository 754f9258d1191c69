//! Which dependents an owner has: those that name it, those it adopts, and those it lets go.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube_types::selector::LabelSelector;
use plan::{Change, MetadataPatch, Observed, Step, Target, World, controller_reference};

/// What an owner may count as its own, and the changes that make the references say so.
pub(crate) struct Claim<K> {
    /// The dependents, adopted ones included.
    pub owned: Vec<Arc<K>>,
    /// Adoptions and releases.
    pub steps: Vec<Step>,
}

/// Dependents of `owner` in its namespace: objects it controls whose labels match, and orphans that match.
///
/// An owner that is being deleted neither adopts nor releases; an object that is being deleted is not adopted.
/// Source of the rule: `BaseControllerRefManager.ClaimObject`.
pub(crate) fn claim<O, K>(owner: &O, selector: &LabelSelector, world: &World) -> Claim<K>
where
    O: Observed,
    K: Observed,
{
    claim_members(owner, selector, world, |_| true)
}

/// The same among objects that `is_member` says could be the owner's: others are neither counted nor adopted.
pub(crate) fn claim_members<O, K>(
    owner: &O,
    selector: &LabelSelector,
    world: &World,
    is_member: impl Fn(&K) -> bool,
) -> Claim<K>
where
    O: Observed,
    K: Observed,
{
    let fits = |object: &K| matches(selector, object.metadata()) && is_member(object);
    let metadata = owner.metadata();
    let deleting = metadata.deletion_timestamp.is_some();
    let uid = metadata.uid.as_deref().unwrap_or_default();
    let mut claim = Claim {
        owned: Vec::new(),
        steps: Vec::new(),
    };
    for object in K::index(world).controlled_by(uid) {
        if fits(object) {
            claim.owned.push(object.clone());
        } else if !deleting {
            claim.steps.push(release(object.as_ref(), uid));
        }
    }
    if !deleting {
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        for object in K::index(world).orphans_in(namespace) {
            if object.metadata().deletion_timestamp.is_none() && fits(object) {
                claim.steps.push(adopt(object.as_ref(), controller_reference(owner)));
                claim.owned.push(object.clone());
            }
        }
    }
    claim
}

/// Do the labels in `metadata` match `selector`?
pub(crate) fn matches(selector: &LabelSelector, metadata: &ObjectMeta) -> bool {
    metadata.labels.as_ref().map_or_else(
        || selector.matches(&std::collections::BTreeMap::new()),
        |labels| selector.matches(labels),
    )
}

fn adopt<K: Observed>(object: &K, owner: OwnerReference) -> Step {
    let mut owners = object.metadata().owner_references.clone().unwrap_or_default();
    owners.retain(|existing| existing.uid != owner.uid);
    owners.push(owner);
    with_owners(object, owners)
}

fn release<K: Observed>(object: &K, uid: &str) -> Step {
    let mut owners = object.metadata().owner_references.clone().unwrap_or_default();
    owners.retain(|existing| existing.uid != uid);
    with_owners(object, owners)
}

fn with_owners<K: Observed>(object: &K, owners: Vec<OwnerReference>) -> Step {
    let patch = MetadataPatch {
        owner_references: Some(owners),
        ..MetadataPatch::default()
    };
    Change::PatchMetadata {
        target: Target::unchanged(object),
        patch,
    }
    .into()
}
