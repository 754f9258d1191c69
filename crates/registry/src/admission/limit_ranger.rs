//! LimitRanger: what containers, pods and claims may ask for in a namespace, and what they get when they do not ask.
//!
//! Source: `plugin/pkg/admission/limitranger`.

use kube_types::dynamic::{Object, Value, json};
use kube_types::quantity::Amount;
use object_rules::quota::{Amounts, amounts, of_pod};

use super::Request;
use crate::columns::list;
use crate::status::StatusError;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives containers the namespace's default requests and limits.
pub(super) fn fill_defaults(request: &Request<'_>, pod: &mut Object) -> Result<(), StatusError> {
    if !request.creates("", "pods") {
        return Ok(());
    }
    let mut told = Vec::new();
    for item in items(request, pod.namespace().unwrap_or_default()) {
        if item["type"] != "Container" {
            continue;
        }
        let (requests, limits) = defaults(&item);
        let Some(spec) = pod.0.get_mut("spec").and_then(Value::as_object_mut) else {
            return Ok(());
        };
        for (field, what) in [("containers", "container"), ("initContainers", "init container")] {
            for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                for (of, amounts) in [("requests", &requests), ("limits", &limits)] {
                    let set = fill(container, of, amounts);
                    if !set.is_empty() {
                        let one = of.trim_end_matches('s');
                        told.push(format!("{} {one} for {what} {name}", set.join(", ")));
                    }
                }
            }
        }
    }
    if !told.is_empty() {
        let text = format!("LimitRanger plugin set: {}", told.join("; "));
        let annotations = pod.metadata_mut().entry("annotations").or_insert_with(|| json!({}));
        annotations[ANNOTATION] = text.into();
    }
    Ok(())
}

/// Checks what containers, pods and claims ask for.
pub(super) fn keep_limits(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    let pod = request.creates("", "pods");
    let claim = request.is("", "persistentvolumeclaims");
    if !pod && !claim {
        return Ok(());
    }
    let mut problems = Vec::new();
    for item in items(request, object.namespace().unwrap_or_default()) {
        match (item["type"].as_str(), pod) {
            (Some("Container"), true) => {
                let containers = list(&object.0, &["spec", "containers"]);
                for container in list(&object.0, &["spec", "initContainers"]).iter().chain(containers) {
                    check(
                        &item,
                        &resources(container, "requests"),
                        &resources(container, "limits"),
                        &mut problems,
                    );
                }
            }
            (Some("Pod"), true) => {
                check(
                    &item,
                    &of_pod(object, "requests"),
                    &of_pod(object, "limits"),
                    &mut problems,
                );
            }
            (Some("PersistentVolumeClaim"), false) => {
                let spec = object.0.get("spec").unwrap_or(&Value::Null);
                let asked = resources(spec, "requests");
                check(&item, &asked, &asked, &mut problems);
            }
            _ => {}
        }
    }
    match problems.as_slice() {
        [] => Ok(()),
        [one] => Err(request.forbidden(object, one)),
        many => Err(request.forbidden(object, &format!("[{}]", many.join(", ")))),
    }
}

/// The items of all limit ranges of a namespace.
fn items(request: &Request<'_>, namespace: &str) -> Vec<Value> {
    let Ok(ranges) = request.registry.built_in("", "limitranges") else {
        return Vec::new();
    };
    let (found, _) = ranges
        .cache
        .select(&format!("{namespace}/"), None, |_| true, usize::MAX);
    let objects = found.iter().map(|item| item.shared());
    objects
        .flat_map(|range| list(&range.0, &["spec", "limits"]).to_vec())
        .collect()
}

fn resources(of: &Value, which: &str) -> Amounts {
    amounts(&of["resources"][which])
}

/// Requests and limits that are given to whoever says nothing. What is left out follows from maximum and minimum.
fn defaults(item: &Value) -> (Amounts, Amounts) {
    let mut limits = amounts(&item["default"]);
    for (name, amount) in amounts(&item["max"]) {
        limits.entry(name).or_insert(amount);
    }
    let mut requests = amounts(&item["defaultRequest"]);
    for (name, amount) in limits.iter().map(|(name, amount)| (name.clone(), *amount)) {
        requests.entry(name).or_insert(amount);
    }
    for (name, amount) in amounts(&item["min"]) {
        requests.entry(name).or_insert(amount);
    }
    (requests, limits)
}

fn fill(container: &mut Value, of: &str, amounts: &Amounts) -> Vec<String> {
    let mut set = Vec::new();
    for (name, amount) in amounts {
        if container["resources"][of].get(name).is_none() {
            container["resources"][of][name] = amount.to_quantity().0.into();
            set.push(name.clone());
        }
    }
    set
}

fn check(item: &Value, requests: &Amounts, limits: &Amounts, problems: &mut Vec<String>) {
    let of = item["type"].as_str().unwrap_or_default();
    for (name, least) in amounts(&item["min"]) {
        let start = format!("minimum {name} usage per {of} is {least}");
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => problems.push(format!("{start}.  No request is specified")),
            (Some(request), _) if *request < least => problems.push(format!("{start}, but request is {request}")),
            (_, Some(limit)) if *limit < least => problems.push(format!("{start}, but limit is {limit}")),
            _ => {}
        }
    }
    for (name, most) in amounts(&item["max"]) {
        let start = format!("maximum {name} usage per {of} is {most}");
        match (requests.get(&name), limits.get(&name)) {
            (_, None) => problems.push(format!("{start}.  No limit is specified")),
            (_, Some(limit)) if *limit > most => {
                let what = if of == "PersistentVolumeClaim" {
                    "request"
                } else {
                    "limit"
                };
                problems.push(format!("{start}, but {what} is {limit}"));
            }
            (Some(request), _) if *request > most => problems.push(format!("{start}, but request is {request}")),
            _ => {}
        }
    }
    for (name, most) in amounts(&item["maxLimitRequestRatio"]) {
        let start = format!("{name} max limit to request ratio per {of} is {most}");
        let positive = |amounts: &Amounts| amounts.get(&name).filter(|amount| !amount.is_zero()).map(Amount::milli);
        match (positive(requests), positive(limits)) {
            (None, _) => problems.push(format!("{start}, but no request is specified or request is 0")),
            (_, None) => problems.push(format!("{start}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                #[expect(clippy::cast_precision_loss, reason = "a ratio")]
                let (ratio, most) = (limit as f64 / request as f64, most.milli() as f64 / 1000.0);
                if ratio > most {
                    problems.push(format!("{start}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}
