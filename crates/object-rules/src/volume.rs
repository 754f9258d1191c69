//! Persistent volumes and the claims on them.

use kube_types::dynamic::{Object, json};
use kube_types::quantity;

use crate::field::Errors;
use crate::rules::Rules;
use crate::tree::{Node, at, child, child_mut, count, default, ensure, text, texts};

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub(crate) static PERSISTENT_VOLUME: Rules = Rules {
    defaults: |volume| {
        let spec = ensure(&mut volume.0, "spec");
        default(spec, "persistentVolumeReclaimPolicy", "Retain");
        default(spec, "volumeMode", "Filesystem");
        if let Some(path) = child_mut(spec, "hostPath") {
            path.entry("type").or_insert_with(|| "".into());
        }
    },
    prepare_create: pending,
    validate: |volume, errors| {
        let empty = Node::new();
        let spec = child(&volume.0, "spec").unwrap_or(&empty);
        access_modes(spec, errors);
        if count(spec, "capacity") == 0 {
            errors.required("spec.capacity", "");
        }
        let policy = text(spec, "persistentVolumeReclaimPolicy");
        if !matches!(policy, "Retain" | "Delete" | "Recycle") {
            let known = ["Delete", "Recycle", "Retain"];
            errors.not_supported("spec.persistentVolumeReclaimPolicy", policy, &known);
        }
    },
    status: true,
    returns_deleted: true,
    ..Rules::NAMED
};

pub(crate) static PERSISTENT_VOLUME_CLAIM: Rules = Rules {
    defaults: |claim| default(ensure(&mut claim.0, "spec"), "volumeMode", "Filesystem"),
    prepare_create: pending,
    validate: |claim, errors| {
        let empty = Node::new();
        let spec = child(&claim.0, "spec").unwrap_or(&empty);
        access_modes(spec, errors);
        match storage(spec) {
            None => errors.required("spec.resources[storage]", ""),
            Some(text) if quantity::parse(text).is_ok_and(|amount| amount.sign() <= 0) => {
                errors.invalid("spec.resources[storage]", text, "must be greater than zero");
            }
            Some(_) => {}
        }
    },
    validate_update: claim_update,
    status: true,
    returns_deleted: true,
    ..Rules::NAMED
};

fn pending(object: &mut Object) {
    object.0.insert("status".to_owned(), json!({"phase": "Pending"}));
}

fn storage(spec: &Node) -> Option<&str> {
    at(spec, &["resources", "requests"])?.get("storage")?.as_str()
}

fn access_modes(spec: &Node, errors: &mut Errors) {
    if count(spec, "accessModes") == 0 {
        errors.required("spec.accessModes", "at least 1 access mode is required");
    }
    for mode in texts(spec, "accessModes").filter(|mode| !MODES.contains(mode)) {
        errors.not_supported("spec.accessModes", mode, &MODES);
    }
}

/// A bound claim may only ask for more storage and another attributes class.
fn claim_update(new: &Object, old: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let (after, before) = (
        child(&new.0, "spec").unwrap_or(&empty),
        child(&old.0, "spec").unwrap_or(&empty),
    );
    let mut munged = after.clone();
    for field in ["resources", "volumeAttributesClassName"] {
        crate::tree::copy(&mut munged, before, field);
    }
    // The binder fills in the volume, once.
    if text(before, "volumeName").is_empty() {
        crate::tree::copy(&mut munged, before, "volumeName");
    }
    if before.get("storageClassName").is_none() {
        crate::tree::copy(&mut munged, before, "storageClassName");
    }
    if munged != *before {
        let detail =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.forbidden("spec", detail);
    }
    let sizes = [storage(after), storage(before)].map(|text| text.and_then(|text| quantity::parse(text).ok()));
    if let [Some(size), Some(known)] = sizes
        && size < known
    {
        errors.forbidden(
            "spec.resources.requests.storage",
            "field can not be less than status.capacity",
        );
    }
}
