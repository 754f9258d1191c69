//! Priority: the number and the preemption policy behind a pod's priority class.

use std::sync::Arc;

use kube_types::ObjectKey;
use kube_types::dynamic::{Map, Object, Value};

use super::{Operation, Request};
use crate::columns::{string, truth};
use crate::status::StatusError;

const DEFAULT_POLICY: &str = "PreemptLowerPriority";

pub(super) fn resolve(request: &Request<'_>, pod: &mut Object) -> Result<(), StatusError> {
    if !request.is("", "pods") {
        return Ok(());
    }
    if request.operation == Operation::Update {
        keep(request, pod);
        return Ok(());
    }
    let wanted = string(&pod.0, &["spec", "priorityClassName"]).to_owned();
    let class = if wanted.is_empty() {
        default_class(request)
    } else {
        Some(named_class(request, pod, &wanted)?)
    };
    let (name, value, policy) = match &class {
        Some(class) => {
            let policy = string(&class.0, &["preemptionPolicy"]);
            let policy = if policy.is_empty() { DEFAULT_POLICY } else { policy };
            let value = class.0.get("value").and_then(Value::as_i64).unwrap_or(0);
            (class.name().unwrap_or_default().to_owned(), value, policy.to_owned())
        }
        None => (String::new(), 0, DEFAULT_POLICY.to_owned()),
    };
    check(request, pod, "priority", &value.into())?;
    check(request, pod, "preemptionPolicy", &policy.as_str().into())?;
    if let Some(spec) = spec(pod) {
        if !name.is_empty() {
            spec.insert("priorityClassName".to_owned(), name.into());
        }
        spec.insert("priority".to_owned(), value.into());
        spec.insert("preemptionPolicy".to_owned(), policy.into());
    }
    Ok(())
}

fn spec(pod: &mut Object) -> Option<&mut Map<String, Value>> {
    pod.0.get_mut("spec").and_then(Value::as_object_mut)
}

/// A client that leaves the number out on update means the number that is there.
fn keep(request: &Request<'_>, pod: &mut Object) {
    let old = request.old.and_then(|old| old.0.get("spec")).and_then(Value::as_object);
    if let (Some(old), Some(spec)) = (old, spec(pod)) {
        for field in ["priority", "preemptionPolicy"] {
            if let (None, Some(value)) = (spec.get(field), old.get(field)) {
                spec.insert(field.to_owned(), value.clone());
            }
        }
    }
}

fn check(request: &Request<'_>, pod: &Object, field: &str, computed: &Value) -> Result<(), StatusError> {
    match pod.0.get("spec").and_then(|spec| spec.get(field)) {
        Some(given) if given != computed => {
            let (what, shown) = match field {
                "priority" => ("integer value of priority", given.to_string()),
                _ => (
                    "string value of PreemptionPolicy",
                    given.as_str().unwrap_or_default().to_owned(),
                ),
            };
            let computed = computed.as_str().map_or_else(|| computed.to_string(), str::to_owned);
            Err(request.forbidden(
                pod,
                &format!(
                    "the {what} ({shown}) must not be provided in pod spec; priority admission controller computed \
                     {computed} from the given PriorityClass name"
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn named_class(request: &Request<'_>, pod: &Object, name: &str) -> Result<Arc<Object>, StatusError> {
    let key = ObjectKey::cluster(name);
    request
        .registry
        .shared("scheduling.k8s.io", "priorityclasses", &key)
        .ok_or_else(|| request.forbidden(pod, &format!("no PriorityClass with name {name} was found")))
}

fn default_class(request: &Request<'_>) -> Option<Arc<Object>> {
    let classes = request.registry.built_in("scheduling.k8s.io", "priorityclasses").ok()?;
    let (items, _) = classes.cache.select("", None, |_| true, usize::MAX);
    let value = |class: &Arc<Object>| class.0.get("value").and_then(Value::as_i64).unwrap_or(0);
    items
        .iter()
        .map(|item| item.shared())
        .filter(|class| truth(&class.0, &["globalDefault"]))
        .min_by_key(value)
}
