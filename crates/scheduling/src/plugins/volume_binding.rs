//! A pod waits for its claims of storage; which volume a claim gets is the business of the volume controllers.

use kube_types::ObjectKey;

use crate::plugin::{Check, ClusterChange, Filter, Rejection};
use crate::snapshot::{PodInfo, Snapshot};

/// `VolumeBinding`
pub struct VolumeBinding;

const NAME: &str = "VolumeBinding";

impl Filter for VolumeBinding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[ClusterChange::Claim, ClusterChange::NodeAdded]
    }

    fn check<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Check<'a>> {
        let volumes = pod.pod.spec.as_ref()?.volumes.as_deref()?;
        let refusal = volumes.iter().find_map(|volume| {
            let name = match (&volume.persistent_volume_claim, &volume.ephemeral) {
                (Some(claim), _) => claim.claim_name.clone(),
                (None, Some(_)) => format!(
                    "{}-{}",
                    pod.pod.metadata.name.as_deref().unwrap_or_default(),
                    volume.name
                ),
                (None, None) => return None,
            };
            let Some(claim) = snapshot.claims.get(&ObjectKey::namespaced(pod.namespace(), &name)) else {
                return Some(format!("persistentvolumeclaim \"{name}\" not found"));
            };
            let bound = claim
                .spec
                .as_ref()
                .and_then(|spec| spec.volume_name.as_deref())
                .is_some_and(|name| !name.is_empty());
            (!bound).then(|| "pod has unbound immediate PersistentVolumeClaims".to_owned())
        })?;
        Some(Box::new(move |_| Err(Rejection::for_good(NAME, refusal.clone()))))
    }
}
