//! Storage: claims grow only where their class lets them, and neither claims nor volumes go while they are in use.

use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value, json};
use kube_types::quantity;

use super::{Operation, Request};
use crate::columns::{string, truth};
use crate::status::StatusError;

/// StorageObjectInUseProtection. Source: `plugin/pkg/admission/storage/storageobjectinuseprotection`.
pub(super) fn protect(request: &Request<'_>, object: &mut Object) -> Result<(), StatusError> {
    let finalizer = if request.creates("", "persistentvolumeclaims") {
        "kubernetes.io/pvc-protection"
    } else if request.creates("", "persistentvolumes") {
        "kubernetes.io/pv-protection"
    } else {
        return Ok(());
    };
    let metadata = object.0.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut()
        && let Value::Array(finalizers) = metadata.entry("finalizers").or_insert_with(|| json!([]))
        && !finalizers.iter().any(|present| present == finalizer)
    {
        finalizers.push(finalizer.into());
    }
    Ok(())
}

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
