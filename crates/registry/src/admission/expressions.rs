//! Expressions are compiled when they are written, and refused with their place in the object.
//!
//! Source: `pkg/apis/admissionregistration/validation`.

use std::collections::BTreeMap;

use cel_rules::{Environment, Field, Type};
use kube_types::dynamic::{Object, Value};
use object_rules::field::Errors;

use super::hooks::GROUP;
use super::{conditions, policies};
use crate::kinds::ResourceKind;

/// Complaints about the expressions of webhook configurations and policies.
pub(crate) fn check(kind: &ResourceKind, new: &Object, old: Option<&Object>, errors: &mut Errors) {
    let of = |object: &Object, field: &str| object.0.get(field).cloned().unwrap_or_default();
    if kind.group != GROUP || old.is_some_and(|old| ["spec", "webhooks"].iter().all(|f| of(old, f) == of(new, f))) {
        return;
    }
    let mut found = Found {
        environment: conditions::environment(),
        errors,
    };
    match &*kind.plural {
        "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => {
            let webhooks = of(new, "webhooks");
            for (index, webhook) in webhooks.as_array().into_iter().flatten().enumerate() {
                let path = format!("webhooks[{index}].matchConditions");
                found.conditions(&path, &webhook["matchConditions"]);
            }
        }
        "validatingadmissionpolicies" => found.policy(&of(new, "spec"), false),
        "mutatingadmissionpolicies" => found.policy(&of(new, "spec"), true),
        _ => {}
    }
}

struct Found<'e> {
    environment: Environment,
    errors: &'e mut Errors,
}

impl Found<'_> {
    fn policy(&mut self, spec: &Value, mutating: bool) {
        let base = policies::environment(mutating, !spec["paramKind"].is_null());
        let mut fields = BTreeMap::new();
        self.environment = policies::with_variables(base.clone(), &fields);
        for (index, variable) in each(&spec["variables"]) {
            let path = format!("spec.variables[{index}].expression");
            let holds = self.expression(&path, &variable["expression"], None);
            let name = variable["name"].as_str().unwrap_or_default().to_owned();
            fields.insert(name.clone(), Field { json: name, holds });
            self.environment = policies::with_variables(base.clone(), &fields);
        }
        self.conditions("spec.matchConditions", &spec["matchConditions"]);
        for (index, validation) in each(&spec["validations"]) {
            let path = format!("spec.validations[{index}]");
            self.expression(
                &format!("{path}.expression"),
                &validation["expression"],
                Some((&Type::Bool, "must evaluate to bool")),
            );
            if validation["messageExpression"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
            {
                self.expression(
                    &format!("{path}.messageExpression"),
                    &validation["messageExpression"],
                    Some((&Type::String, "must evaluate to string")),
                );
            }
        }
        for (index, annotation) in each(&spec["auditAnnotations"]) {
            let path = format!("spec.auditAnnotations[{index}].valueExpression");
            let wanted = (&Type::String, "must evaluate to one of: [string null]");
            self.expression(&path, &annotation["valueExpression"], Some(wanted));
        }
        for (index, mutation) in each(&spec["mutations"]) {
            for of in ["applyConfiguration", "jsonPatch"] {
                if !mutation[of].is_null() {
                    let path = format!("spec.mutations[{index}].{of}.expression");
                    self.expression(&path, &mutation[of]["expression"], None);
                }
            }
        }
    }

    fn conditions(&mut self, path: &str, list: &Value) {
        for (index, condition) in each(list) {
            self.expression(
                &format!("{path}[{index}].expression"),
                &condition["expression"],
                Some((&Type::Bool, "must evaluate to bool")),
            );
        }
    }

    /// The type of an expression that compiles.
    fn expression(&mut self, path: &str, expression: &Value, wanted: Option<(&Type, &str)>) -> Type {
        let text = expression.as_str().unwrap_or_default();
        if text.trim().is_empty() {
            self.errors.required(path, "expression is not specified");
            return Type::Dyn;
        }
        match self.environment.compile(text) {
            Ok(program) => {
                if let Some((wanted, problem)) = wanted
                    && !program.gives(wanted)
                {
                    self.errors.invalid(path, text, problem);
                }
                program.result().clone()
            }
            Err(error) => {
                self.errors.invalid(path, text, format!("compilation failed: {error}"));
                Type::Dyn
            }
        }
    }
}

fn each(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}
