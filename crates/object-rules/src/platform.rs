//! Kinds about machines, storage classes, drivers and devices.

use kube_types::dynamic::{Object, Value, json};

use crate::field::Errors;
use crate::rules::Rules;
use crate::tree::{child_mut, count, default, int, text};

/// Kinds with the usual behaviour only.
pub(crate) static PLAIN: Rules = Rules::NAMED;

/// Kinds whose deletion answers with the object.
pub(crate) static RETURNED: Rules = Rules {
    returns_deleted: true,
    ..Rules::NAMED
};

pub(crate) static VOLUME_ATTACHMENT: Rules = Rules {
    status: true,
    ..RETURNED
};

pub(crate) static RESOURCE_CLAIM: Rules = Rules {
    status: true,
    ..RETURNED
};

pub(crate) static RUNTIME_CLASS: Rules = Rules {
    validate: |class, errors| match text(&class.0, "handler") {
        "" => errors.required("handler", ""),
        handler => {
            crate::names::dns_label(handler)
                .into_iter()
                .for_each(|problem| errors.invalid("handler", handler, problem));
        }
    },
    validate_update: |new, old, errors| fixed(new, old, &["handler"], errors),
    ..Rules::NAMED
};

/// Values above this are for the system's own classes.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;

pub(crate) static PRIORITY_CLASS: Rules = Rules {
    defaults: |class| default(&mut class.0, "preemptionPolicy", "PreemptLowerPriority"),
    validate: |class, errors| {
        let name = class.name().unwrap_or_default();
        let value = int(&class.0, "value").unwrap_or(0);
        let own = matches!(name, "system-cluster-critical" | "system-node-critical");
        if name.starts_with("system-") && !own {
            let detail = "priority class names with 'system-' prefix are reserved for system use only";
            errors.forbidden("metadata.name", detail);
        }
        if value > HIGHEST_PRIORITY && !own {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}");
            errors.forbidden("value", detail);
        }
    },
    validate_update: |new, old, errors| {
        if new.0.get("value") != old.0.get("value") {
            errors.forbidden("value", "may not be changed in an update.");
        }
        fixed(new, old, &["preemptionPolicy"], errors);
    },
    generation: true,
    ..Rules::NAMED
};

pub(crate) static STORAGE_CLASS: Rules = Rules {
    defaults: |class| {
        default(&mut class.0, "reclaimPolicy", "Delete");
        default(&mut class.0, "volumeBindingMode", "Immediate");
    },
    validate: |class, errors| {
        if text(&class.0, "provisioner").is_empty() {
            errors.required("provisioner", "");
        }
        let policy = text(&class.0, "reclaimPolicy");
        if !matches!(policy, "Delete" | "Retain") {
            errors.not_supported("reclaimPolicy", policy, &["Delete", "Retain"]);
        }
        let mode = text(&class.0, "volumeBindingMode");
        if !matches!(mode, "Immediate" | "WaitForFirstConsumer") {
            errors.not_supported("volumeBindingMode", mode, &["Immediate", "WaitForFirstConsumer"]);
        }
    },
    validate_update: |new, old, errors| {
        for field in ["parameters", "provisioner"] {
            if new.0.get(field) != old.0.get(field) {
                errors.forbidden(field, format!("updates to {field} are forbidden."));
            }
        }
        fixed(new, old, &["reclaimPolicy", "volumeBindingMode"], errors);
    },
    returns_deleted: true,
    ..Rules::NAMED
};

pub(crate) static CSI_DRIVER: Rules = Rules {
    defaults: |driver| {
        let Some(spec) = child_mut(&mut driver.0, "spec") else {
            return;
        };
        default(spec, "attachRequired", true);
        default(spec, "podInfoOnMount", false);
        default(spec, "storageCapacity", false);
        default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        default(spec, "requiresRepublish", false);
        default(spec, "seLinuxMount", false);
        if count(spec, "volumeLifecycleModes") == 0 {
            spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
        }
    },
    generation: true,
    ..RETURNED
};

/// Top-level fields that never change.
fn fixed(new: &Object, old: &Object, fields: &[&str], errors: &mut Errors) {
    for field in fields.iter().filter(|field| new.0.get(**field) != old.0.get(**field)) {
        let shown = new.0.get(*field).cloned().unwrap_or(Value::Null);
        errors.invalid(*field, shown, "field is immutable");
    }
}
