//! Columns of volumes, claims, storage classes and drivers, and of classes of pods.

use kube_types::dynamic::{Map, Value};

use super::{AGE, NAME, Printer, age, at, count, list, name, number, string, text, truth, wide};

type Node = Map<String, Value>;

fn modes(list: &[Value]) -> String {
    let short = |mode: &Value| {
        Some(
            match mode.as_str()? {
                "ReadWriteOnce" => "RWO",
                "ReadOnlyMany" => "ROX",
                "ReadWriteMany" => "RWX",
                "ReadWriteOncePod" => "RWOP",
                other => other,
            }
            .to_owned(),
        )
    };
    list.iter().filter_map(short).collect::<Vec<_>>().join(",")
}

/// A deleting volume or claim says so before its phase.
fn phase(object: &Node) -> Value {
    if string(object, &["metadata", "deletionTimestamp"]).is_empty() {
        string(object, &["status", "phase"]).into()
    } else {
        "Terminating".into()
    }
}

fn or_unset(text: &str) -> Value {
    if text.is_empty() { "<unset>" } else { text }.into()
}

/// Persistent volumes.
pub static PERSISTENT_VOLUMES: Printer = Printer {
    columns: &[
        NAME,
        text("Capacity", "Size of the volume."),
        text("Access Modes", "How the volume may be mounted."),
        text("Reclaim Policy", "What happens when the claim goes."),
        text("Status", "Phase of the volume."),
        text("Claim", "Claim that has the volume."),
        text("StorageClass", "Class of the volume."),
        text("VolumeAttributesClass", "Attributes class of the volume."),
        text("Reason", "Why the volume is in its phase."),
        AGE,
        wide("VolumeMode", "File system or block device."),
    ],
    cells: |object, now| {
        let claim = ["namespace", "name"].map(|field| string(object, &["spec", "claimRef", field]));
        let claim = if claim[1].is_empty() {
            String::new()
        } else {
            claim.join("/")
        };
        vec![
            name(object),
            string(object, &["spec", "capacity", "storage"]).into(),
            modes(list(object, &["spec", "accessModes"])).into(),
            string(object, &["spec", "persistentVolumeReclaimPolicy"]).into(),
            phase(object),
            claim.into(),
            string(object, &["spec", "storageClassName"]).into(),
            or_unset(string(object, &["spec", "volumeAttributesClassName"])),
            string(object, &["status", "reason"]).into(),
            age(object, now),
            or_unset(string(object, &["spec", "volumeMode"])),
        ]
    },
};

/// Claims.
pub static PERSISTENT_VOLUME_CLAIMS: Printer = Printer {
    columns: &[
        NAME,
        text("Status", "Phase of the claim."),
        text("Volume", "Volume that the claim has."),
        text("Capacity", "Size of the volume."),
        text("Access Modes", "How the volume may be mounted."),
        text("StorageClass", "Class of the volume."),
        text("VolumeAttributesClass", "Attributes class of the volume."),
        AGE,
        wide("VolumeMode", "File system or block device."),
    ],
    cells: |object, now| {
        let bound = !string(object, &["spec", "volumeName"]).is_empty();
        let (capacity, mounts) = if bound {
            (
                string(object, &["status", "capacity", "storage"]),
                modes(list(object, &["status", "accessModes"])),
            )
        } else {
            ("", String::new())
        };
        vec![
            name(object),
            phase(object),
            string(object, &["spec", "volumeName"]).into(),
            capacity.into(),
            mounts.into(),
            string(object, &["spec", "storageClassName"]).into(),
            or_unset(string(object, &["spec", "volumeAttributesClassName"])),
            age(object, now),
            or_unset(string(object, &["spec", "volumeMode"])),
        ]
    },
};

/// Storage classes.
pub static STORAGE_CLASSES: Printer = Printer {
    columns: &[
        NAME,
        text("Provisioner", "Provisioner indicates the type of the provisioner."),
        text("ReclaimPolicy", "What happens to a volume when its claim goes."),
        text("VolumeBindingMode", "When a volume is made."),
        text("AllowVolumeExpansion", "Whether a claim may grow."),
        AGE,
    ],
    cells: |object, now| {
        let is_default = string(
            object,
            &["metadata", "annotations", "storageclass.kubernetes.io/is-default-class"],
        );
        let shown = string(object, &["metadata", "name"]);
        let shown = if is_default == "true" {
            format!("{shown} (default)")
        } else {
            shown.to_owned()
        };
        vec![
            shown.into(),
            string(object, &["provisioner"]).into(),
            string(object, &["reclaimPolicy"]).into(),
            string(object, &["volumeBindingMode"]).into(),
            truth(object, &["allowVolumeExpansion"]).into(),
            age(object, now),
        ]
    },
};

/// Attachments.
pub static VOLUME_ATTACHMENTS: Printer = Printer {
    columns: &[
        NAME,
        text("Attacher", "Driver that attaches."),
        text("PV", "Volume that is attached."),
        text("Node", "Node that it is attached to."),
        text("Attached", "Whether it is."),
        AGE,
    ],
    cells: |object, now| {
        vec![
            name(object),
            string(object, &["spec", "attacher"]).into(),
            string(object, &["spec", "source", "persistentVolumeName"]).into(),
            string(object, &["spec", "nodeName"]).into(),
            truth(object, &["status", "attached"]).into(),
            age(object, now),
        ]
    },
};

/// Attributes classes.
pub static VOLUME_ATTRIBUTES_CLASSES: Printer = Printer {
    columns: &[NAME, text("DriverName", "Driver that the attributes are for."), AGE],
    cells: |object, now| vec![name(object), string(object, &["driverName"]).into(), age(object, now)],
};

/// Drivers.
pub static CSI_DRIVERS: Printer = Printer {
    columns: &[
        NAME,
        text(
            "AttachRequired",
            "Whether volumes are attached before they are mounted.",
        ),
        text("PodInfoOnMount", "Whether the driver is told of the pod."),
        text("StorageCapacity", "Whether the driver reports free space."),
        text("TokenRequests", "Audiences of tokens that the driver gets."),
        text("RequiresRepublish", "Whether volumes are published again and again."),
        text("Modes", "Life cycles of the driver's volumes."),
        AGE,
    ],
    cells: |object, now| {
        let audiences: Vec<&str> = list(object, &["spec", "tokenRequests"])
            .iter()
            .filter_map(|request| request["audience"].as_str())
            .collect();
        let lives: Vec<&str> = list(object, &["spec", "volumeLifecycleModes"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let shown = |texts: Vec<&str>, none: &str| {
            if texts.is_empty() {
                none.to_owned()
            } else {
                texts.join(",")
            }
        };
        vec![
            name(object),
            truth(object, &["spec", "attachRequired"]).into(),
            truth(object, &["spec", "podInfoOnMount"]).into(),
            truth(object, &["spec", "storageCapacity"]).into(),
            shown(audiences, "<unset>").into(),
            truth(object, &["spec", "requiresRepublish"]).into(),
            shown(lives, "<none>").into(),
            age(object, now),
        ]
    },
};

/// What drivers say of nodes.
pub static CSI_NODES: Printer = Printer {
    columns: &[NAME, super::integer("Drivers", "Number of drivers on the node."), AGE],
    cells: |object, now| {
        vec![
            name(object),
            count(object, &["spec", "drivers"]).into(),
            age(object, now),
        ]
    },
};

/// Free space.
pub static CSI_STORAGE_CAPACITIES: Printer = Printer {
    columns: &[
        NAME,
        text("StorageClassName", "Class of the volumes."),
        text("Capacity", "Free space."),
        AGE,
    ],
    cells: |object, now| {
        let capacity = match string(object, &["capacity"]) {
            "" => "<unset>",
            capacity => capacity,
        };
        vec![
            name(object),
            string(object, &["storageClassName"]).into(),
            capacity.into(),
            age(object, now),
        ]
    },
};

/// Runtime classes.
pub static RUNTIME_CLASSES: Printer = Printer {
    columns: &[NAME, text("Handler", "Runtime and configuration on the node."), AGE],
    cells: |object, now| vec![name(object), string(object, &["handler"]).into(), age(object, now)],
};

/// Priority classes.
pub static PRIORITY_CLASSES: Printer = Printer {
    columns: &[
        NAME,
        super::integer("Value", "Priority of the pods."),
        text("Global-Default", "Whether pods without a class get this one."),
        AGE,
        text("PreemptionPolicy", "Whether pods of less priority make room."),
    ],
    cells: |object, now| {
        let policy = at(object, &["preemptionPolicy"])
            .and_then(Value::as_str)
            .unwrap_or_default();
        vec![
            name(object),
            number(object, &["value"]).into(),
            truth(object, &["globalDefault"]).into(),
            age(object, now),
            policy.into(),
        ]
    },
};
