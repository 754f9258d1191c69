//! DefaultStorageClass: a claim that names no class gets the default one.

use kube_types::dynamic::{Object, Value};

use super::Request;
use crate::status::StatusError;

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

pub(super) fn default_class(request: &Request<'_>, claim: &mut Object) -> Result<(), StatusError> {
    if !request.creates("", "persistentvolumeclaims") {
        return Ok(());
    }
    let given = claim
        .0
        .get("spec")
        .is_some_and(|spec| spec.get("storageClassName").is_some());
    if given {
        return Ok(());
    }
    let classes = request.registry.built_in("storage.k8s.io", "storageclasses")?;
    let (items, _) = classes.cache.select("", None, |_| true, usize::MAX);
    let mut defaults: Vec<Object> = items
        .iter()
        .map(|item| item.object())
        .filter(|class| class.annotations().get(DEFAULT).is_some_and(|value| value == "true"))
        .collect();
    // The newest default wins, then the first by name.
    defaults.sort_by(|a, b| {
        let created = |class: &Object| class.metadata_text("creationTimestamp").unwrap_or_default().to_owned();
        created(b).cmp(&created(a)).then_with(|| a.name().cmp(&b.name()))
    });
    if let (Some(class), Some(spec)) = (defaults.first(), claim.0.get_mut("spec").and_then(Value::as_object_mut)) {
        spec.insert("storageClassName".to_owned(), class.name().unwrap_or_default().into());
    }
    Ok(())
}
