//! What an object counts for, and which quotas are about it.

use std::collections::BTreeMap;

use kube_types::dynamic::{Object, Value};
use kube_types::quantity::{Amount, Format, parse};

use super::super::limit_ranger::{amounts, of_pod};
use crate::columns::{at, count, list, string};

type Amounts = BTreeMap<String, Amount>;

/// Kinds that quotas also know by a name of their own.
const BY_NAME: &[&str] = &[
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
];
/// What every container of a pod must say when a quota is about it.
const MUST_SAY: &[&str] = &[
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];

fn number(value: i64) -> Amount {
    Amount::from_value(value, Format::DecimalSi)
}

/// Whether a change of an object can need more.
pub(super) fn changes(group: &str, plural: &str) -> bool {
    group.is_empty() && matches!(plural, "pods" | "services" | "persistentvolumeclaims")
}

/// What an object counts for.
pub(super) fn of(group: &str, plural: &str, object: &Object) -> Amounts {
    let mut usage = Amounts::new();
    let qualified = if group.is_empty() {
        format!("count/{plural}")
    } else {
        format!("count/{plural}.{group}")
    };
    usage.insert(qualified, number(1));
    if !group.is_empty() {
        return usage;
    }
    match plural {
        "pods" => {
            if matches!(string(&object.0, &["status", "phase"]), "Succeeded" | "Failed") {
                return usage;
            }
            pod(object, &mut usage);
        }
        "services" => service(object, &mut usage),
        "persistentvolumeclaims" => claim(object, &mut usage),
        _ => {}
    }
    if BY_NAME.contains(&plural) {
        usage.insert(plural.to_owned(), number(1));
    }
    usage
}

fn pod(pod: &Object, usage: &mut Amounts) {
    for (resource, amount) in of_pod(pod, "requests") {
        if matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("hugepages-") {
            usage.insert(resource.clone(), amount);
        }
        usage.insert(format!("requests.{resource}"), amount);
    }
    for (resource, amount) in of_pod(pod, "limits") {
        if matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            usage.insert(format!("limits.{resource}"), amount);
        }
    }
}

fn service(service: &Object, usage: &mut Amounts) {
    let ports = i64::try_from(list(&service.0, &["spec", "ports"]).len()).unwrap_or(i64::MAX);
    let allocates = at(&service.0, &["spec", "allocateLoadBalancerNodePorts"]) != Some(&Value::Bool(false));
    let kind = string(&service.0, &["spec", "type"]);
    if kind == "LoadBalancer" {
        usage.insert("services.loadbalancers".to_owned(), number(1));
    }
    if kind == "NodePort" || kind == "LoadBalancer" && allocates {
        usage.insert("services.nodeports".to_owned(), number(ports));
    }
}

fn claim(claim: &Object, usage: &mut Amounts) {
    let size = parse(string(&claim.0, &["spec", "resources", "requests", "storage"])).ok();
    let class = string(&claim.0, &["spec", "storageClassName"]);
    if let Some(size) = size {
        usage.insert("requests.storage".to_owned(), size);
    }
    if !class.is_empty() {
        let prefix = format!("{class}.storageclass.storage.k8s.io");
        usage.insert(format!("{prefix}/persistentvolumeclaims"), number(1));
        if let Some(size) = size {
            usage.insert(format!("{prefix}/requests.storage"), size);
        }
    }
}

/// What containers leave out although a quota counts it, as upstream lists it.
pub(super) fn unspecified(hard: &Amounts, pod: &Object) -> Vec<String> {
    let containers = || {
        list(&pod.0, &["spec", "initContainers"])
            .iter()
            .chain(list(&pod.0, &["spec", "containers"]))
    };
    let mut missing = Vec::new();
    for resource in hard.keys().filter(|resource| MUST_SAY.contains(&resource.as_str())) {
        let (which, name) = match resource.split_once('.') {
            Some((which, name)) => (which, name),
            None => ("requests", resource.as_str()),
        };
        let silent: Vec<&str> = containers()
            .filter(|container| !amounts(&container["resources"][which]).contains_key(name))
            .filter_map(|container| container["name"].as_str())
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{resource} for: {}", silent.join(",")));
        }
    }
    missing
}

/// Whether a quota with scopes is about an object; scopes are about pods, one about claims.
pub(super) fn in_scope(spec: &Value, group: &str, plural: &str, object: &Object) -> bool {
    let plain = spec["scopes"].as_array().into_iter().flatten();
    let plain = plain
        .filter_map(Value::as_str)
        .map(|scope| (scope, "Exists", &Value::Null));
    let selected = spec["scopeSelector"]["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    let selected = selected.map(|one| {
        let scope = one["scopeName"].as_str().unwrap_or_default();
        (scope, one["operator"].as_str().unwrap_or("Exists"), &one["values"])
    });
    let mut all = plain.chain(selected).peekable();
    if all.peek().is_none() {
        return true;
    }
    let pod = group.is_empty() && plural == "pods";
    all.all(|(scope, operator, values)| match scope {
        "VolumeAttributesClass" => {
            plural == "persistentvolumeclaims"
                && named(
                    string(&object.0, &["spec", "volumeAttributesClassName"]),
                    operator,
                    values,
                )
        }
        _ if !pod => false,
        "PriorityClass" => named(string(&object.0, &["spec", "priorityClassName"]), operator, values),
        "Terminating" => is_terminating(object),
        "NotTerminating" => !is_terminating(object),
        "BestEffort" => is_best_effort(object),
        "NotBestEffort" => !is_best_effort(object),
        "CrossNamespacePodAffinity" => crosses_namespaces(object),
        _ => false,
    })
}

fn named(name: &str, operator: &str, values: &Value) -> bool {
    let listed = values.as_array().into_iter().flatten().any(|value| value == name);
    match operator {
        "In" => listed,
        "NotIn" => !listed,
        "DoesNotExist" => name.is_empty(),
        _ => !name.is_empty(),
    }
}

fn is_terminating(pod: &Object) -> bool {
    at(&pod.0, &["spec", "activeDeadlineSeconds"])
        .and_then(Value::as_i64)
        .is_some_and(|seconds| seconds >= 0)
}

fn is_best_effort(pod: &Object) -> bool {
    let counted = |amounts: &Amounts| amounts.keys().any(|name| matches!(name.as_str(), "cpu" | "memory"));
    !counted(&of_pod(pod, "requests")) && !counted(&of_pod(pod, "limits"))
}

fn crosses_namespaces(pod: &Object) -> bool {
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let of = |field: &str| list(&pod.0, &["spec", "affinity", kind, field]).to_vec();
        let required = of("requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = of("preferredDuringSchedulingIgnoredDuringExecution");
        let terms = required
            .into_iter()
            .chain(preferred.into_iter().map(|one| one["podAffinityTerm"].clone()));
        terms.into_iter().any(|term| {
            let namespaces = term.as_object().map_or(0, |term| count(term, &["namespaces"]));
            namespaces > 0 || !term["namespaceSelector"].is_null()
        })
    })
}
