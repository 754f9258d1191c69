//! Keeps volumes and claims that are in use from going: the finalizers that admission gives them leave with the last user.
//!
//! Source of the rules: `kube-controller-manager`'s `pvc-protection-controller` and `pv-protection-controller`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube_types::ObjectKey;
use plan::{Change, Controller, Kind, MetadataPatch, Observation, Observed, Plan, Target, World};

use crate::pod;

/// Holds a claim while a pod uses it.
pub const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";

/// Holds a volume while it is bound to a claim.
pub const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// Protects claims.
pub struct ClaimProtection;

impl Controller for ClaimProtection {
    type Root = PersistentVolumeClaim;
    const NAME: &'static str = "persistentvolumeclaim-protection-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod];

    fn roots_of(&self, changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        let Observation::Pod(pod) = changed else {
            return Vec::new();
        };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        claims_of(pod)
            .map(|(name, _)| ObjectKey::namespaced(namespace, &name))
            .collect()
    }

    fn plan(&self, claim: &PersistentVolumeClaim, world: &World, _now: Timestamp) -> Plan {
        let in_use = || {
            let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
            world.pods.in_namespace(namespace).any(|pod| uses(pod, claim))
        };
        protect(claim, CLAIM_FINALIZER, in_use)
    }
}

/// Protects volumes.
pub struct VolumeProtection;

impl Controller for VolumeProtection {
    type Root = PersistentVolume;
    const NAME: &'static str = "persistentvolume-protection-controller";
    const WATCHES: &'static [Kind] = &[];

    fn roots_of(&self, _changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        Vec::new()
    }

    fn plan(&self, volume: &PersistentVolume, _world: &World, _now: Timestamp) -> Plan {
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        protect(volume, VOLUME_FINALIZER, || phase == Some("Bound"))
    }
}

/// An object that lives has the finalizer; one that is being deleted loses it when nobody uses it.
fn protect<K: Observed>(object: &K, finalizer: &str, in_use: impl FnOnce() -> bool) -> Plan {
    let metadata = object.metadata();
    let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
    let present = finalizers.iter().any(|present| present == finalizer);
    match (metadata.deletion_timestamp.is_some(), present) {
        (false, false) => finalizers.push(finalizer.to_owned()),
        (true, true) if !in_use() => finalizers.retain(|present| present != finalizer),
        _ => return Plan::nothing(),
    }
    let patch = MetadataPatch {
        finalizers: Some(finalizers),
        ..MetadataPatch::default()
    };
    Change::PatchMetadata {
        target: Target::unchanged(object),
        patch,
    }
    .into()
}

/// Names of the claims that a pod mounts, and whether each was made for the pod alone.
fn claims_of(pod: &Pod) -> impl Iterator<Item = (String, bool)> + '_ {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| {
        if let Some(claim) = &volume.persistent_volume_claim {
            return Some((claim.claim_name.clone(), false));
        }
        let own = || format!("{}-{}", pod.metadata.name.as_deref().unwrap_or_default(), volume.name);
        volume.ephemeral.as_ref().map(|_| (own(), true))
    })
}

/// A pod without a node does not count: its node would not start it with a claim that is being deleted. An ended one does.
fn uses(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    if pod::node_name(pod).is_empty() {
        return false;
    }
    let shut_down = pod::is_deleting(pod) && pod.metadata.deletion_grace_period_seconds == Some(0);
    let owned = || {
        let owners = claim.metadata.owner_references.iter().flatten();
        owners
            .filter(|owner| owner.controller == Some(true))
            .any(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref())
    };
    claims_of(pod)
        .filter(|(name, _)| Some(name) == claim.metadata.name.as_ref())
        .any(|(_, own)| !own || !shut_down && owned())
}

#[cfg(test)]
mod tests;
