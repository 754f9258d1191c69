//! DefaultIngressClass: an ingress that names no class gets the default one.

use kube_types::dynamic::{Object, Value};

use super::Request;
use crate::columns::string;
use crate::status::StatusError;

const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const LEGACY: &str = "kubernetes.io/ingress.class";

pub(super) fn default_class(request: &Request<'_>, ingress: &mut Object) -> Result<(), StatusError> {
    if !request.creates("networking.k8s.io", "ingresses")
        || ingress.annotations().contains_key(LEGACY)
        || !string(&ingress.0, &["spec", "ingressClassName"]).is_empty()
    {
        return Ok(());
    }
    let classes = request.registry.built_in("networking.k8s.io", "ingressclasses")?;
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
    if let (Some(class), Some(spec)) = (
        defaults.first(),
        ingress.0.get_mut("spec").and_then(Value::as_object_mut),
    ) {
        spec.insert("ingressClassName".to_owned(), class.name().unwrap_or_default().into());
    }
    Ok(())
}
