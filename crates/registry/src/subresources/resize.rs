//! `resize`: the resources of a running pod's containers, and nothing else.

use kube_types::dynamic::{Object, Value};
use object_rules::field::Errors;

use crate::columns::list;
use crate::pipeline::{Resource, keep};
use crate::status::StatusError;

/// Everything but the containers' resources and resize policies stays.
pub(crate) fn keep_others(resource: &Resource, new: &mut Object, old: &Object) -> Result<(), StatusError> {
    let wanted: Vec<Value> = list(&new.0, &["spec", "containers"]).to_vec();
    let present = list(&old.0, &["spec", "containers"]);
    let mut errors = Errors::new();
    if wanted.len() != present.len() || wanted.iter().zip(present).any(|(a, b)| a["name"] != b["name"]) {
        errors.forbidden(
            "spec.containers",
            "containers may not be added, removed or reordered by resize",
        );
    }
    if old
        .0
        .get("status")
        .and_then(|s| s.get("qosClass"))
        .and_then(Value::as_str)
        == Some("BestEffort")
    {
        errors.forbidden(
            "metadata.annotations",
            "pod QoS Class may not change as a result of resizing",
        );
    }
    resource.check(old.name().unwrap_or_default(), &errors)?;
    keep(new, old, |_| true);
    let containers = new
        .0
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("containers"))
        .and_then(Value::as_array_mut);
    for (container, wanted) in containers.into_iter().flatten().zip(wanted) {
        if let (Some(container), Some(resources)) = (container.as_object_mut(), wanted.get("resources")) {
            container.insert("resources".to_owned(), resources.clone());
        }
    }
    Ok(())
}
