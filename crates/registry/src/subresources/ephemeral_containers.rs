//! `ephemeralcontainers`: containers may be added to a running pod, never changed or taken away.

use kube_types::dynamic::{Object, Value};
use object_rules::field::Errors;

use crate::columns::list;
use crate::pipeline::{Resource, keep};
use crate::status::StatusError;

/// Everything but added ephemeral containers stays.
pub(crate) fn keep_others(resource: &Resource, new: &mut Object, old: &Object) -> Result<(), StatusError> {
    let wanted: Vec<Value> = list(&new.0, &["spec", "ephemeralContainers"]).to_vec();
    let mut errors = Errors::new();
    for existing in list(&old.0, &["spec", "ephemeralContainers"]) {
        let name = existing["name"].as_str().unwrap_or_default();
        match wanted.iter().find(|container| container["name"] == existing["name"]) {
            None => errors.forbidden(
                "spec.ephemeralContainers",
                format!("existing ephemeral containers \"{name}\" may not be removed\n"),
            ),
            Some(container) if container != existing => errors.forbidden(
                "spec.ephemeralContainers",
                format!("existing ephemeral containers \"{name}\" may not be changed\n"),
            ),
            Some(_) => {}
        }
    }
    resource.check(old.name().unwrap_or_default(), &errors)?;
    keep(new, old, |_| true);
    if let Some(spec) = new.0.get_mut("spec").and_then(Value::as_object_mut)
        && !wanted.is_empty()
    {
        spec.insert("ephemeralContainers".to_owned(), wanted.into());
    }
    Ok(())
}
