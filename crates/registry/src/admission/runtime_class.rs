//! RuntimeClass: the overhead and the nodes of a pod's runtime.
//!
//! Source: `plugin/pkg/admission/runtimeclass`.

use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value, json};

use super::Request;
use crate::columns::{at, list, string};
use crate::status::StatusError;

pub(super) fn apply(request: &Request<'_>, pod: &mut Object) -> Result<(), StatusError> {
    if !request.creates("", "pods") {
        return Ok(());
    }
    let Some(class) = named(request, pod)? else {
        return Ok(());
    };
    let overhead = at(&class.0, &["overhead", "podFixed"]).cloned();
    let selector = at(&class.0, &["scheduling", "nodeSelector"])
        .and_then(Value::as_object)
        .cloned();
    let tolerations = list(&class.0, &["scheduling", "tolerations"]).to_vec();
    let given = at(&pod.0, &["spec", "overhead"]).cloned();
    if let (Some(given), Some(overhead)) = (&given, &overhead)
        && given != overhead
    {
        let problem = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
        return Err(request.forbidden(pod, problem));
    }
    let conflict = selector.iter().flatten().any(|(key, value)| {
        let of_pod = at(&pod.0, &["spec", "nodeSelector"]).and_then(|selector| selector.get(key));
        of_pod.is_some_and(|given| given != value)
    });
    if conflict {
        let name = class.name().unwrap_or_default();
        let problem = format!("conflict: runtimeClass.scheduling.nodeSelector of {name} conflicts with the pod's");
        return Err(request.forbidden(pod, &problem));
    }
    let Some(spec) = pod.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    if let Some(overhead) = overhead {
        spec.insert("overhead".to_owned(), overhead);
    }
    if let Some(selector) = selector
        && let Value::Object(kept) = spec.entry("nodeSelector").or_insert_with(|| json!({}))
    {
        kept.extend(selector);
    }
    if !tolerations.is_empty()
        && let Value::Array(kept) = spec.entry("tolerations").or_insert_with(|| json!([]))
    {
        for toleration in tolerations {
            if !kept.contains(&toleration) {
                kept.push(toleration);
            }
        }
    }
    Ok(())
}

/// The class that a pod names; it must be there.
fn named(request: &Request<'_>, pod: &Object) -> Result<Option<Object>, StatusError> {
    let name = string(&pod.0, &["spec", "runtimeClassName"]);
    if name.is_empty() {
        return match at(&pod.0, &["spec", "overhead"]) {
            Some(_) => Err(request.forbidden(
                pod,
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            )),
            None => Ok(None),
        };
    }
    let found = request
        .registry
        .cached("node.k8s.io", "runtimeclasses", &ObjectKey::cluster(name));
    found
        .map(Some)
        .ok_or_else(|| request.forbidden(pod, &format!("pod rejected: RuntimeClass {name:?} not found")))
}
