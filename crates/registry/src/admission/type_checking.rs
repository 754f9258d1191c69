//! What the types of the objects that a validating policy is about say of its expressions.
//!
//! Source: `apiserver/pkg/admission/plugin/policy/validating/typechecking.go`. Only validations and their messages are checked, as
//! there.

use std::collections::{BTreeMap, BTreeSet};

use cel_rules::{Environment, Field, Type};
use kube_types::GroupVersionKind;
use kube_types::dynamic::{Object, Value, json};

use super::policies;
use super::request_types::{self, namespace};

/// How many types one policy is checked against at the most.
const MOST_TYPES: usize = 10;

/// What an API server knows of kinds.
pub(crate) trait Kinds {
    /// The kinds of a resource; of every group where none is given.
    fn of_resource(&self, group: &str, version: &str, plural: &str) -> Vec<GroupVersionKind>;
    /// How expressions see objects of a kind; `None` where no schema is known.
    fn object_type(&self, kind: &GroupVersionKind) -> Option<Type>;
}

/// The warnings for `status.typeChecking.expressionWarnings` of a policy.
pub(crate) fn warnings(policy: &Object, kinds: &impl Kinds) -> Vec<Value> {
    let empty = Value::Null;
    let spec = policy.0.get("spec").unwrap_or(&empty);
    let checked: Vec<(GroupVersionKind, Environment)> = kinds_to_check(&spec["matchConstraints"], kinds)
        .into_iter()
        .filter_map(|kind| {
            let object = kinds.object_type(&kind)?;
            let environment = environment(spec, object, kinds);
            Some((kind, environment))
        })
        .collect();
    let mut warnings = Vec::new();
    for (index, validation) in spec["validations"].as_array().into_iter().flatten().enumerate() {
        for field in ["expression", "messageExpression"] {
            let text = validation[field].as_str().unwrap_or_default();
            if text.is_empty() && field == "messageExpression" {
                continue;
            }
            if let Some(warning) = complaints(text, &checked) {
                let reference = format!("spec.validations[{index}].{field}");
                warnings.push(json!({"fieldRef": reference, "warning": warning}));
            }
        }
    }
    warnings
}

/// What is wrong with an expression, for each kind for which something is.
fn complaints(text: &str, checked: &[(GroupVersionKind, Environment)]) -> Option<String> {
    let found: Vec<String> = checked
        .iter()
        .filter_map(|(kind, environment)| {
            let error = environment.compile(text).err()?;
            let GroupVersionKind { group, version, kind } = kind;
            Some(format!("{group}/{version}, Kind={kind}: {error}\n"))
        })
        .collect();
    (!found.is_empty()).then(|| found.join("\n"))
}

/// What the expressions of a policy may name when its objects are of one type.
fn environment(spec: &Value, object: Type, kinds: &impl Kinds) -> Environment {
    let mut base = request_types::environment()
        .with("object", object.clone())
        .with("oldObject", object)
        .with("namespaceObject", namespace());
    let param = &spec["paramKind"];
    if !param.is_null() {
        let text = |field: &str| param[field].as_str().unwrap_or_default();
        let kind = GroupVersionKind::from_api_version(text("apiVersion"), text("kind"));
        base = base.with("params", kinds.object_type(&kind).unwrap_or(Type::Dyn));
    }
    let mut fields = BTreeMap::new();
    let mut environment = policies::with_variables(base.clone(), &fields);
    for variable in spec["variables"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default().to_owned();
        let compiled = environment.compile(variable["expression"].as_str().unwrap_or_default());
        // A variable that cannot be compiled may be anything: only expressions are complained about.
        let holds = compiled.map_or(Type::Dyn, |program| program.result().clone());
        let json = name.clone();
        fields.insert(name, Field { json, holds });
        environment = policies::with_variables(base.clone(), &fields);
    }
    environment
}

/// The kinds that a policy names without wildcards, in order.
fn kinds_to_check(constraints: &Value, kinds: &impl Kinds) -> BTreeSet<GroupVersionKind> {
    let mut found = BTreeSet::new();
    for rule in constraints["resourceRules"].as_array().into_iter().flatten() {
        let groups = named(&rule["apiGroups"]);
        let versions = named(&rule["apiVersions"]);
        let mut resources = texts(&rule["resources"]);
        // Subresources have types of their own, which are not known here.
        resources.retain(|resource| !resource.contains(['*', '/']));
        resources.sort_unstable();
        let mut count = 0;
        for group in &groups {
            for version in &versions {
                for resource in &resources {
                    for kind in kinds.of_resource(group, version, resource) {
                        found.insert(kind);
                        count += 1;
                        if count == MOST_TYPES {
                            return found;
                        }
                    }
                }
            }
        }
    }
    found
}

/// The names of a list in order; none when one of them is a wildcard.
fn named(list: &Value) -> Vec<&str> {
    let mut names = texts(list);
    if names.iter().any(|name| name.contains('*')) {
        names.clear();
    }
    names.sort_unstable();
    names
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests;
