//! Says in the status of a ResourceQuota what is in force and how much of it is used.
//!
//! What a write takes, admission adds to the status in the same transaction. Only what is given back is found here, by
//! counting what there is: so nothing is counted again because an object came, and a quota whose status changed is not
//! looked at for that. Source of the rules: `pkg/controller/resourcequota`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use kube_types::dynamic::{Object, ObjectError};
use object_rules::quota;
use plan::{Change, Observation, Plan};

/// Name of the controller.
pub const NAME: &str = "resourcequota-controller";

/// A resource, as group and plural.
pub type Resource = (String, String);

/// The resources whose objects take from the quota.
pub fn resources(quota: &ResourceQuota) -> BTreeSet<Resource> {
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    quota::counted(hard.into_iter().flatten().map(|(name, _)| name.as_str()))
}

/// Does it matter what objects of the resource say, beside that there are so many?
pub fn is_measured((group, plural): &Resource) -> bool {
    quota::changes(group, plural)
}

/// Must be counted because the quota became what it is?
pub fn is_due(old: Option<&ResourceQuota>, new: &ResourceQuota) -> bool {
    let told = |quota: &ResourceQuota| quota.status.as_ref().and_then(|status| status.hard.clone());
    let Some(old) = old else { return true };
    let asked = new.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
    // Admission takes nothing from limits that are not in the status: what was made until they were is counted then.
    told(new).unwrap_or_default() != asked || told(old) != told(new)
}

/// The resource whose object gives something back by this change.
pub fn given_back(old: Observation<'_>, new: Observation<'_>) -> Option<Resource> {
    let less = match (old, new) {
        (Observation::Pod(old), Observation::Pod(new)) => {
            (!crate::pod::is_terminal(old) && crate::pod::is_terminal(new) || old.spec != new.spec).then_some("pods")
        }
        (Observation::Service(old), Observation::Service(new)) => (old.spec != new.spec).then_some("services"),
        (Observation::PersistentVolumeClaim(old), Observation::PersistentVolumeClaim(new)) => {
            (old.spec != new.spec).then_some("persistentvolumeclaims")
        }
        _ => None,
    };
    less.map(|plural| (String::new(), plural.to_owned()))
}

/// The status that follows from the objects of the resources that are served. The objects were listed after the quota was
/// read: if admission took something meanwhile, the status is refused as a conflict.
///
/// # Errors
/// When the quota cannot be written as JSON.
pub fn plan_status(
    quota: &ResourceQuota,
    found: &BTreeMap<Resource, Vec<Object>>,
    now: Timestamp,
) -> Result<Plan, ObjectError> {
    let spec = Object::from_typed(&quota.spec.clone().unwrap_or_default())?;
    let mut used = quota::Amounts::new();
    for ((group, plural), objects) in found {
        quota::add_used(&mut used, &spec, (group, plural), objects, now);
    }
    let used = used.into_iter().map(|(name, amount)| (name, amount.to_quantity()));
    let status = ResourceQuotaStatus {
        hard: quota.spec.as_ref().and_then(|spec| spec.hard.clone()),
        used: Some(used.collect()),
    };
    let mut plan = Plan::nothing();
    if quota.status.as_ref() != Some(&status) {
        let mut told = quota.clone();
        told.status = Some(status);
        plan.then(Change::update_status(told));
    }
    Ok(plan)
}

#[cfg(test)]
mod tests;
