//! Limits and quotas of a namespace. Source: `ValidateLimitRange` and `ValidateResourceQuota` in
//! `pkg/apis/core/validation`.

use kube_types::dynamic::{Object, Value};
use kube_types::quantity::{self, Amount};

use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{Node, child, ensure, items, items_mut, text, texts};

#[cfg(test)]
mod tests;

pub(crate) static LIMIT_RANGE: Rules = Rules {
    defaults: |range| {
        let Some(spec) = crate::tree::child_mut(&mut range.0, "spec") else {
            return;
        };
        for item in items_mut(spec, "limits").filter(|item| text(item, "type") == "Container") {
            // What is not said follows from what is: the default from the most, the request from the default and the least.
            for (from, to) in [
                ("max", "default"),
                ("default", "defaultRequest"),
                ("min", "defaultRequest"),
            ] {
                let given = child(item, from).cloned().unwrap_or_default();
                let target = ensure(item, to);
                for (resource, amount) in given {
                    target.entry(resource).or_insert(amount);
                }
                if target.is_empty() {
                    item.remove(to);
                }
            }
        }
    },
    validate: |range, errors| {
        let empty = Node::new();
        let spec = child(&range.0, "spec").unwrap_or(&empty);
        let mut known: Vec<&str> = Vec::new();
        for (index, item) in items(spec, "limits").enumerate() {
            let path = format!("spec.limits[{index}]");
            let kind = text(item, "type");
            for problem in names::qualified_name(kind) {
                errors.invalid(format!("{path}.type"), kind, problem);
            }
            if known.contains(&kind) {
                errors.duplicate(format!("{path}.type"), kind);
            }
            known.push(kind);
            limits_of(item, kind, &path, errors);
        }
    },
    create_on_update: true,
    ..Rules::NAMED
};

fn limits_of(item: &Node, kind: &str, path: &str, errors: &mut Errors) {
    for field in ["default", "defaultRequest"] {
        if kind == "Pod" && child(item, field).is_some_and(|given| !given.is_empty()) {
            errors.forbidden(format!("{path}.{field}"), "may not be specified when `type` is 'Pod'");
        }
    }
    let storage = |field| child(item, field).is_some_and(|given| given.contains_key("storage"));
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(path, detail);
    }
    let amount = |field: &str, resource: &str| -> Option<Amount> {
        quantity::parse(child(item, field)?.get(resource)?.as_str()?).ok()
    };
    let mut resources: Vec<&String> = ["max", "min", "default", "defaultRequest"]
        .iter()
        .filter_map(|field| child(item, field))
        .flat_map(|given| given.keys())
        .collect();
    resources.sort();
    resources.dedup();
    for resource in resources {
        // The smaller one, the larger one, and which of the two is to blame.
        for (small, large, blamed, words) in [
            ("min", "max", "min", ["min", "max"]),
            ("min", "defaultRequest", "defaultRequest", ["min", "default request"]),
            ("defaultRequest", "max", "defaultRequest", ["default request", "max"]),
            (
                "defaultRequest",
                "default",
                "defaultRequest",
                ["default request", "default limit"],
            ),
            ("min", "default", "default", ["min", "default"]),
            ("default", "max", "default", ["default", "max"]),
        ] {
            if let (Some(least), Some(most)) = (amount(small, resource), amount(large, resource))
                && least > most
            {
                let shown = if blamed == small { &least } else { &most };
                let detail = format!("{} value {least} is greater than {} value {most}", words[0], words[1]);
                errors.invalid(format!("{path}.{blamed}[{resource}]"), shown.to_string(), detail);
            }
        }
    }
}

pub(crate) static RESOURCE_QUOTA: Rules = Rules {
    validate: |quota, errors| {
        let empty = Node::new();
        let spec = child(&quota.0, "spec").unwrap_or(&empty);
        amounts(spec, "spec.hard", errors);
        scopes(spec, errors);
    },
    validate_update: |new, old, errors| {
        let scopes = |quota: &Object| child(&quota.0, "spec").and_then(|spec| spec.get("scopes")).cloned();
        if scopes(new) != scopes(old) {
            errors.invalid("spec.scopes", scopes(new).unwrap_or(Value::Null), "field is immutable");
        }
    },
    status: true,
    returns_deleted: true,
    ..Rules::NAMED
};

/// Names of resources that a quota may count without saying which API they are of.
const COUNTED: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

fn amounts(spec: &Node, path: &str, errors: &mut Errors) {
    for (resource, amount) in child(spec, "hard").into_iter().flatten() {
        let at = format!("{path}[{resource}]");
        let huge_pages = resource
            .strip_prefix("requests.")
            .unwrap_or(resource)
            .starts_with("hugepages-");
        if !resource.contains('/') && !COUNTED.contains(&resource.as_str()) && !huge_pages {
            errors.invalid(at.as_str(), resource.as_str(), "must be a standard resource for quota");
        }
        for problem in names::qualified_name(resource) {
            errors.invalid(at.as_str(), resource.as_str(), problem);
        }
        let Some(parsed) = amount.as_str().and_then(|text| quantity::parse(text).ok()) else {
            continue;
        };
        if parsed.sign() < 0 {
            errors.invalid(at.as_str(), parsed.to_string(), "must be greater than or equal to 0");
        }
        let measured = ["cpu", "memory", "storage", "hugepages"]
            .iter()
            .any(|word| resource.contains(word));
        if !measured && !parsed.is_integer() {
            errors.invalid(at, parsed.to_string(), "must be an integer");
        }
    }
}

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

fn scopes(spec: &Node, errors: &mut Errors) {
    let given: Vec<&str> = texts(spec, "scopes").collect();
    if given.iter().any(|scope| !SCOPES.contains(scope)) {
        errors.invalid("spec.scopes", given.clone(), "unsupported scope");
    }
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if given.contains(&one) && given.contains(&other) {
            errors.invalid("spec.scopes", given.clone(), "conflicting scopes");
        }
    }
}
