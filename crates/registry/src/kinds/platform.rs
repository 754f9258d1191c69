//! Kinds about machines, volumes and devices: node, scheduling, storage, resource.

use super::{ResourceKind, SelectableField, field, kind};
use crate::columns::storage as columns;

pub(super) fn kinds() -> Vec<ResourceKind> {
    vec![
        runtime_classes(),
        priority_classes(),
        csi_drivers(),
        csi_nodes(),
        csi_storage_capacities(),
        storage_classes(),
        volume_attachments(),
        volume_attributes_classes(),
        device_classes(),
        resource_claims(),
        resource_claim_templates(),
        resource_slices(),
    ]
}

fn runtime_classes() -> ResourceKind {
    kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")
        .cluster()
        .printer(&columns::RUNTIME_CLASSES)
}

fn priority_classes() -> ResourceKind {
    kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")
        .cluster()
        .short(&["pc"])
        .printer(&columns::PRIORITY_CLASSES)
}

fn csi_drivers() -> ResourceKind {
    kind("storage.k8s.io", "v1", "CSIDriver", "csidrivers")
        .cluster()
        .printer(&columns::CSI_DRIVERS)
}

fn csi_nodes() -> ResourceKind {
    kind("storage.k8s.io", "v1", "CSINode", "csinodes")
        .cluster()
        .printer(&columns::CSI_NODES)
}

fn csi_storage_capacities() -> ResourceKind {
    kind("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities").printer(&columns::CSI_STORAGE_CAPACITIES)
}

fn storage_classes() -> ResourceKind {
    kind("storage.k8s.io", "v1", "StorageClass", "storageclasses")
        .cluster()
        .short(&["sc"])
        .printer(&columns::STORAGE_CLASSES)
}

fn volume_attachments() -> ResourceKind {
    kind("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments")
        .cluster()
        .status()
        .printer(&columns::VOLUME_ATTACHMENTS)
}

fn volume_attributes_classes() -> ResourceKind {
    kind(
        "storage.k8s.io",
        "v1",
        "VolumeAttributesClass",
        "volumeattributesclasses",
    )
    .cluster()
    .short(&["vac"])
    .printer(&columns::VOLUME_ATTRIBUTES_CLASSES)
}

fn device_classes() -> ResourceKind {
    kind("resource.k8s.io", "v1", "DeviceClass", "deviceclasses").cluster()
}

fn resource_claims() -> ResourceKind {
    kind("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims").status()
}

fn resource_claim_templates() -> ResourceKind {
    kind(
        "resource.k8s.io",
        "v1",
        "ResourceClaimTemplate",
        "resourceclaimtemplates",
    )
}

fn resource_slices() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[
        field("spec.nodeName", &["spec", "nodeName"]),
        field("spec.driver", &["spec", "driver"]),
    ];
    kind("resource.k8s.io", "v1", "ResourceSlice", "resourceslices")
        .cluster()
        .fields(FIELDS)
}
