//! Validating and mutating admission policies, compiled with their bindings.
//!
//! Source: `apiserver/pkg/admission/plugin/policy`.

mod evaluate;
mod mutate;
mod params;

use std::collections::BTreeMap;
use std::sync::Arc;

use cel_rules::{Environment, Field, ObjectType, Program, Type};
use kube_types::GroupVersionKind;
use kube_types::dynamic::{Object, Value};

use super::conditions::{self, Condition};
use super::hooks::program;
use super::matching::Matcher;
use super::request_types;

/// A policy and its bindings.
pub(crate) struct Policy {
    name: String,
    /// Why it cannot work, if it cannot.
    broken: Option<String>,
    matcher: Matcher,
    param_kind: Option<GroupVersionKind>,
    /// Refuse when an expression fails.
    must_hold: bool,
    conditions: Vec<Condition>,
    variables: Vec<(String, Program)>,
    validations: Vec<Validation>,
    /// What is noted for the audit log, by key.
    annotations: Vec<(String, Expression)>,
    mutations: Vec<Mutation>,
    bindings: Vec<Binding>,
    pub(super) reinvoked: bool,
}

/// An expression and its text.
struct Expression {
    text: String,
    program: Result<Program, String>,
}

struct Validation {
    expression: Expression,
    message: String,
    message_expression: Option<Expression>,
    reason: String,
}

struct Mutation {
    expression: Expression,
    json_patch: bool,
}

struct Binding {
    name: String,
    matcher: Option<Matcher>,
    /// `paramRef`, or null.
    params: Value,
    deny: bool,
    warn: bool,
    audit: bool,
}

/// Policies by name, each with its bindings by name; those without bindings do nothing.
pub(super) fn compile_all(policies: &[Object], bindings: &[Object], mutating: bool) -> Vec<Policy> {
    policies
        .iter()
        .filter_map(|policy| {
            let name = policy.name().unwrap_or_default();
            let bound: Vec<Binding> = bindings
                .iter()
                .filter(|binding| crate::columns::string(&binding.0, &["spec", "policyName"]) == name)
                .map(|object| binding(object, mutating))
                .collect();
            (!bound.is_empty()).then(|| compile(policy, bound, mutating))
        })
        .collect()
}

/// What the expressions of a policy may name; its own variables come later.
pub(crate) fn environment(mutating: bool, with_params: bool) -> Environment {
    let mut environment = conditions::environment().with("namespaceObject", request_types::namespace());
    if with_params {
        environment = environment.with("params", Type::Dyn);
    }
    if mutating {
        environment.making_objects()
    } else {
        environment
    }
}

/// The environment with one more variable of a policy.
pub(crate) fn with_variables(environment: Environment, fields: &BTreeMap<String, Field>) -> Environment {
    let fields = fields.iter().map(|(name, field)| {
        let json = field.json.clone();
        let holds = field.holds.of_variable();
        (name.clone(), Field { json, holds })
    });
    let variables = ObjectType {
        name: "kubernetes.variables".to_owned(),
        fields: fields.collect(),
    };
    environment.with("variables", Type::Object(Arc::new(variables)))
}

fn compile(policy: &Object, bindings: Vec<Binding>, mutating: bool) -> Policy {
    let empty = Value::Null;
    let spec = policy.0.get("spec").unwrap_or(&empty);
    let mut broken = None;
    let matcher = Matcher::read(&spec["matchConstraints"], "resourceRules").unwrap_or_else(|error| {
        broken = Some(error);
        nothing()
    });
    let text = |field: &str| spec["paramKind"][field].as_str().unwrap_or_default();
    let param_kind =
        (!spec["paramKind"].is_null()).then(|| GroupVersionKind::from_api_version(text("apiVersion"), text("kind")));
    let base = environment(mutating, param_kind.is_some());
    let (environment, variables, problem) = variables(base, &spec["variables"]);
    broken = broken.or(problem);
    let expression = |value: &Value| {
        let text = value.as_str().unwrap_or_default().to_owned();
        let program = program(&environment, &text);
        Expression { text, program }
    };
    let list = |field: &str| spec[field].as_array().cloned().unwrap_or_default();
    Policy {
        name: policy.name().unwrap_or_default().to_owned(),
        broken,
        matcher,
        param_kind,
        must_hold: spec["failurePolicy"] != "Ignore",
        conditions: conditions::compile(&environment, &spec["matchConditions"]),
        validations: list("validations")
            .iter()
            .map(|validation| Validation {
                expression: expression(&validation["expression"]),
                message: validation["message"].as_str().unwrap_or_default().to_owned(),
                message_expression: validation
                    .get("messageExpression")
                    .filter(|text| text.as_str().is_some_and(|text| !text.is_empty()))
                    .map(expression),
                reason: validation["reason"].as_str().unwrap_or("Invalid").to_owned(),
            })
            .collect(),
        annotations: list("auditAnnotations")
            .iter()
            .map(|annotation| {
                let key = annotation["key"].as_str().unwrap_or_default().to_owned();
                (key, expression(&annotation["valueExpression"]))
            })
            .collect(),
        mutations: list("mutations")
            .iter()
            .map(|mutation| {
                let json_patch = mutation["patchType"] == "JSONPatch";
                let of = if json_patch { "jsonPatch" } else { "applyConfiguration" };
                Mutation {
                    expression: expression(&mutation[of]["expression"]),
                    json_patch,
                }
            })
            .collect(),
        variables,
        bindings,
        reinvoked: spec["reinvocationPolicy"] == "IfNeeded",
    }
}

/// The variables of a policy, each of which may name those before it, and why one of them does not compile.
fn variables(base: Environment, list: &Value) -> (Environment, Vec<(String, Program)>, Option<String>) {
    let (mut fields, mut variables, mut broken) = (BTreeMap::new(), Vec::new(), None);
    let mut environment = with_variables(base, &fields);
    for variable in list.as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default().to_owned();
        match program(&environment, variable["expression"].as_str().unwrap_or_default()) {
            Ok(program) => {
                let holds = program.result().clone();
                let json = name.clone();
                fields.insert(name.clone(), Field { json, holds });
                environment = with_variables(environment, &fields);
                variables.push((name, program));
            }
            Err(problem) => broken = broken.or(Some(problem)),
        }
    }
    (environment, variables, broken)
}

fn binding(object: &Object, mutating: bool) -> Binding {
    let empty = Value::Null;
    let spec = object.0.get("spec").unwrap_or(&empty);
    let actions: Vec<&str> = spec["validationActions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let matcher = match &spec["matchResources"] {
        Value::Null => None,
        resources => Some(Matcher::read(resources, "resourceRules").unwrap_or_else(|error| {
            tracing::error!(error, binding = object.name(), "the binding matches nothing");
            nothing()
        })),
    };
    Binding {
        name: object.name().unwrap_or_default().to_owned(),
        matcher,
        params: spec["paramRef"].clone(),
        deny: mutating || actions.contains(&"Deny"),
        warn: actions.contains(&"Warn"),
        audit: actions.contains(&"Audit"),
    }
}

/// A matcher without rules.
fn nothing() -> Matcher {
    Matcher::read(&Value::Null, "resourceRules").expect("nothing can be wrong with nothing")
}
