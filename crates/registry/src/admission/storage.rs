//! Storage: claims grow only where their class lets them.

use kube_types::ObjectKey;
use kube_types::dynamic::Object;
use kube_types::quantity;

use super::{Operation, Request};
use crate::columns::{string, truth};
use crate::status::StatusError;

/// PersistentVolumeClaimResize. Source: `plugin/pkg/admission/storage/persistentvolume/resize`.
pub(super) fn resize(request: &Request<'_>, claim: &Object) -> Result<(), StatusError> {
    if request.operation != Operation::Update || !request.is("", "persistentvolumeclaims") {
        return Ok(());
    }
    let size = |claim: &Object| quantity::parse(string(&claim.0, &["spec", "resources", "requests", "storage"])).ok();
    let grows = request
        .old
        .is_some_and(|old| matches!((size(claim), size(old)), (Some(new), Some(old)) if new > old));
    if !grows {
        return Ok(());
    }
    if string(&claim.0, &["status", "phase"]) != "Bound" {
        return Err(request.forbidden(claim, "Only bound persistent volume claims can be expanded"));
    }
    let class = string(&claim.0, &["spec", "storageClassName"]);
    let class = request
        .registry
        .cached("storage.k8s.io", "storageclasses", &ObjectKey::cluster(class));
    if class.is_some_and(|class| truth(&class.0, &["allowVolumeExpansion"])) {
        return Ok(());
    }
    let problem = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                   support resize";
    Err(request.forbidden(claim, problem))
}
