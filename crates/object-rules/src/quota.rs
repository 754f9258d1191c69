//! What an object counts for, and which quotas are about it: for admission, which takes from a quota what a write adds, and
//! for the controller, which counts what there is.
//!
//! Source: `pkg/quota/v1`, `pkg/quota/v1/evaluator/core`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kube_types::dynamic::{Object, Value};
use kube_types::quantity::{self, Amount, Format, parse};

#[cfg(test)]
mod tests;

/// Amounts of resources, by the resources' names.
pub type Amounts = BTreeMap<String, Amount>;

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
pub fn changes(group: &str, plural: &str) -> bool {
    group.is_empty() && matches!(plural, "pods" | "services" | "persistentvolumeclaims")
}

/// What an object counts for.
pub fn of(group: &str, plural: &str, object: &Object) -> Amounts {
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
            if matches!(string(object, &["status", "phase"]), "Succeeded" | "Failed") {
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

/// The resources, as group and plural, whose objects take from a quota of these names.
pub fn counted<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<(String, String)> {
    names.into_iter().map(counted_by).collect()
}

fn counted_by(name: &str) -> (String, String) {
    if let Some(resource) = name.strip_prefix("count/") {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        return (group.to_owned(), plural.to_owned());
    }
    let plural = if BY_NAME.contains(&name) {
        name
    } else if name.starts_with("services.") {
        "services"
    } else if name == "requests.storage" || name.contains(".storageclass.storage.k8s.io/") {
        "persistentvolumeclaims"
    } else {
        "pods"
    };
    (String::new(), plural.to_owned())
}

/// Adds to `used` what the objects of a resource take from a quota with this spec: of what the quota limits, no more.
pub fn add_used(used: &mut Amounts, spec: &Object, (group, plural): (&str, &str), objects: &[Object], now: Timestamp) {
    let limited: BTreeSet<&String> = spec
        .0
        .get("hard")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();
    for name in &limited {
        if counted_by(name) == (group.to_owned(), plural.to_owned()) {
            used.entry((*name).clone()).or_default();
        }
    }
    let spec = Value::Object(spec.0.clone());
    for object in objects.iter().filter(|object| in_scope(&spec, group, plural, object)) {
        let pod = group.is_empty() && plural == "pods";
        let taken = of(group, plural, object);
        // A pod that should have ended by now, and whose node does not say so, takes nothing but its place in the store.
        let taken = taken
            .into_iter()
            .filter(|(name, _)| !(pod && is_overdue(object, now)) || name.starts_with("count/"));
        for (name, amount) in taken.filter(|(name, _)| limited.contains(name)) {
            *used.entry(name).or_default() += amount;
        }
    }
}

/// Is the time over that a deleted pod was given?
fn is_overdue(pod: &Object, now: Timestamp) -> bool {
    let deleted: Option<Timestamp> = string(pod, &["metadata", "deletionTimestamp"]).parse().ok();
    let given = at(pod, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
    deleted
        .zip(given)
        .and_then(|(deleted, given)| deleted.checked_add(SignedDuration::from_secs(given)).ok())
        .is_some_and(|end| now > end)
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
    let ports = i64::try_from(list(service, &["spec", "ports"]).len()).unwrap_or(i64::MAX);
    let allocates = at(service, &["spec", "allocateLoadBalancerNodePorts"]) != Some(&Value::Bool(false));
    let kind = string(service, &["spec", "type"]);
    if kind == "LoadBalancer" {
        usage.insert("services.loadbalancers".to_owned(), number(1));
    }
    if kind == "NodePort" || kind == "LoadBalancer" && allocates {
        usage.insert("services.nodeports".to_owned(), number(ports));
    }
}

fn claim(claim: &Object, usage: &mut Amounts) {
    let size = parse(string(claim, &["spec", "resources", "requests", "storage"])).ok();
    let class = string(claim, &["spec", "storageClassName"]);
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
pub fn unspecified(hard: &Amounts, pod: &Object) -> Vec<String> {
    let containers = || {
        list(pod, &["spec", "initContainers"])
            .iter()
            .chain(list(pod, &["spec", "containers"]))
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
pub fn in_scope(spec: &Value, group: &str, plural: &str, object: &Object) -> bool {
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
                && named(string(object, &["spec", "volumeAttributesClassName"]), operator, values)
        }
        _ if !pod => false,
        "PriorityClass" => named(string(object, &["spec", "priorityClassName"]), operator, values),
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
    at(pod, &["spec", "activeDeadlineSeconds"])
        .and_then(Value::as_i64)
        .is_some_and(|seconds| seconds >= 0)
}

fn is_best_effort(pod: &Object) -> bool {
    let counted = |amounts: &Amounts| amounts.keys().any(|name| matches!(name.as_str(), "cpu" | "memory"));
    !counted(&of_pod(pod, "requests")) && !counted(&of_pod(pod, "limits"))
}

fn crosses_namespaces(pod: &Object) -> bool {
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let of = |field: &str| list(pod, &["spec", "affinity", kind, field]).to_vec();
        let required = of("requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = of("preferredDuringSchedulingIgnoredDuringExecution");
        let terms = required
            .into_iter()
            .chain(preferred.into_iter().map(|one| one["podAffinityTerm"].clone()));
        terms.into_iter().any(|term| {
            let namespaces = term["namespaces"].as_array().is_some_and(|names| !names.is_empty());
            namespaces || !term["namespaceSelector"].is_null()
        })
    })
}

/// The amounts of a list of resources; what is not a quantity is left out.
pub fn amounts(map: &Value) -> Amounts {
    let entries = map.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, value)| {
            let amount = match value {
                Value::String(text) => quantity::parse(text).ok()?,
                other => quantity::parse(&other.to_string()).ok()?,
            };
            Some((name.clone(), amount))
        })
        .collect()
}

fn resources(of: &Value, which: &str) -> Amounts {
    amounts(&of["resources"][which])
}

/// What a whole pod asks for: the containers together, or the largest of what runs before them.
pub fn of_pod(pod: &Object, which: &str) -> Amounts {
    let mut total = Amounts::new();
    let add = |total: &mut Amounts, amounts: Amounts| {
        for (name, amount) in amounts {
            *total.entry(name).or_default() += amount;
        }
    };
    for container in list(pod, &["spec", "containers"]) {
        add(&mut total, resources(container, which));
    }
    let init = list(pod, &["spec", "initContainers"]);
    for container in init.iter().filter(|container| container["restartPolicy"] == "Always") {
        add(&mut total, resources(container, which));
    }
    for container in init.iter().filter(|container| container["restartPolicy"] != "Always") {
        for (name, amount) in resources(container, which) {
            let known = total.entry(name).or_default();
            *known = (*known).max(amount);
        }
    }
    if which == "requests" {
        add(
            &mut total,
            amounts(at(pod, &["spec", "overhead"]).unwrap_or(&Value::Null)),
        );
    }
    total
}

fn at<'a>(object: &'a Object, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(object.0.get(*first)?, |value, part| value.get(part))
}

fn string<'a>(object: &'a Object, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(object: &'a Object, path: &[&str]) -> &'a [Value] {
    at(object, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}
