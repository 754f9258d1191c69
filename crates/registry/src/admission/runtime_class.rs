//! RuntimeClass: the overhead and the nodes of a pod's runtime.
//!
//! Source: `plugin/pkg/admission/runtimeclass`.

use kube_types::ObjectKey;
use kube_types::dynamic::{Map, Object, Value, json};

use super::{Request, tolerations};
use crate::columns::{at, list, string};
use crate::status::StatusError;

/// Gives a pod what its class says.
pub(super) fn apply(request: &Request<'_>, pod: &mut Object) -> Result<(), StatusError> {
    if !request.creates("", "pods") {
        return Ok(());
    }
    let Some(class) = named(request, pod)? else {
        return Ok(());
    };
    if at(&class.0, &["overhead"]).is_some() {
        let fixed = at(&class.0, &["overhead", "podFixed"]).cloned();
        let given = at(&pod.0, &["spec", "overhead"]);
        if given.is_some() && given != fixed.as_ref() {
            return Err(differs(request, pod));
        }
        if let (Some(fixed), Some(spec)) = (fixed, spec(pod)) {
            spec.insert("overhead".to_owned(), fixed);
        }
    }
    schedule(request, pod, &class)
}

/// What a pod says of its overhead is what its class says, whoever has changed it meanwhile.
pub(super) fn keep_overhead(request: &Request<'_>, pod: &Object) -> Result<(), StatusError> {
    if !request.creates("", "pods") {
        return Ok(());
    }
    let class = named(request, pod)?;
    let given = at(&pod.0, &["spec", "overhead"]);
    match class.as_ref().filter(|class| at(&class.0, &["overhead"]).is_some()) {
        Some(class) if at(&class.0, &["overhead", "podFixed"]) != given => Err(differs(request, pod)),
        None if given.is_some() => Err(request.forbidden(
            pod,
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        )),
        _ => Ok(()),
    }
}

fn differs(request: &Request<'_>, pod: &Object) -> StatusError {
    let problem = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
    request.forbidden(pod, problem)
}

fn spec(pod: &mut Object) -> Option<&mut Map<String, Value>> {
    pod.0.get_mut("spec").and_then(Value::as_object_mut)
}

/// The nodes of the runtime, and what a pod must tolerate there.
fn schedule(request: &Request<'_>, pod: &mut Object, class: &Object) -> Result<(), StatusError> {
    let selector = at(&class.0, &["scheduling", "nodeSelector"]).and_then(Value::as_object);
    for (key, wanted) in selector.into_iter().flatten() {
        let given = at(&pod.0, &["spec", "nodeSelector"]).and_then(|selector| selector.get(key));
        if let Some(given) = given.filter(|given| *given != wanted) {
            let shown = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let problem = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                shown(wanted),
                shown(given)
            );
            return Err(request.forbidden(pod, &problem));
        }
    }
    let tolerated = list(&class.0, &["scheduling", "tolerations"]);
    let merged = tolerations::merged(list(&pod.0, &["spec", "tolerations"]), tolerated);
    let Some(spec) = spec(pod) else { return Ok(()) };
    if let Some(selector) = selector
        && let Value::Object(kept) = spec.entry("nodeSelector").or_insert_with(|| json!({}))
    {
        kept.extend(selector.clone());
    }
    if !tolerated.is_empty() {
        spec.insert("tolerations".to_owned(), merged.into());
    }
    Ok(())
}

/// The class that a pod names; it must be there.
fn named(request: &Request<'_>, pod: &Object) -> Result<Option<Object>, StatusError> {
    let name = string(&pod.0, &["spec", "runtimeClassName"]);
    if name.is_empty() {
        return Ok(None);
    }
    let found = request
        .registry
        .cached("node.k8s.io", "runtimeclasses", &ObjectKey::cluster(name));
    found
        .map(Some)
        .ok_or_else(|| request.forbidden(pod, &format!("pod rejected: RuntimeClass {name:?} not found")))
}
