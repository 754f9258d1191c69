//! DefaultStorageClass and DefaultIngressClass: what names no class gets the default one.

use kube_types::dynamic::{Object, Value};

use super::Request;
use crate::status::StatusError;

/// An older way to name the class of an ingress.
const LEGACY: &str = "kubernetes.io/ingress.class";

/// A claim that names no class.
pub(super) fn of_claim(request: &Request<'_>, claim: &mut Object) -> Result<(), StatusError> {
    if !request.creates("", "persistentvolumeclaims") || names(claim, "storageClassName") {
        return Ok(());
    }
    let class = default(
        request,
        ("storage.k8s.io", "storageclasses"),
        "storageclass.kubernetes.io/is-default-class",
    )?;
    set(claim, "storageClassName", class);
    Ok(())
}

/// An ingress that names no class.
pub(super) fn of_ingress(request: &Request<'_>, ingress: &mut Object) -> Result<(), StatusError> {
    if !request.creates("networking.k8s.io", "ingresses")
        || names(ingress, "ingressClassName")
        || ingress.annotations().contains_key(LEGACY)
    {
        return Ok(());
    }
    let class = default(
        request,
        ("networking.k8s.io", "ingressclasses"),
        "ingressclass.kubernetes.io/is-default-class",
    )?;
    set(ingress, "ingressClassName", class);
    Ok(())
}

/// Whether an object says something of its class; that it has none is something.
fn names(object: &Object, field: &str) -> bool {
    object.0.get("spec").is_some_and(|spec| spec.get(field).is_some())
}

fn set(object: &mut Object, field: &str, class: Option<String>) {
    if let (Some(class), Some(spec)) = (class, object.0.get_mut("spec").and_then(Value::as_object_mut)) {
        spec.insert(field.to_owned(), class.into());
    }
}

/// The name of the class that an annotation marks: of several the newest, then the first by name.
fn default(
    request: &Request<'_>,
    (group, plural): (&str, &str),
    annotation: &str,
) -> Result<Option<String>, StatusError> {
    let classes = request.registry.built_in(group, plural)?;
    let (items, _) = classes.cache.select("", None, |_| true, usize::MAX);
    let mut defaults: Vec<Object> = items
        .iter()
        .map(|item| item.object())
        .filter(|class| class.annotations().get(annotation).is_some_and(|value| value == "true"))
        .collect();
    defaults.sort_by(|a, b| {
        let created = |class: &Object| class.metadata_text("creationTimestamp").unwrap_or_default().to_owned();
        created(b).cmp(&created(a)).then_with(|| a.name().cmp(&b.name()))
    });
    Ok(defaults.first().and_then(Object::name).map(str::to_owned))
}
