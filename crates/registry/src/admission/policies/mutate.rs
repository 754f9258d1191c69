//! Mutating policies.

use cel_rules::{List, Value as Cel};
use kube_types::dynamic::{Object, Value};
use object_merge::apply::{ObjectType, built_in, overlay};

use super::super::conditions::{evaluate, hold};
use super::super::hooks::Hooks;
use super::super::{Request, Shown};
use super::{Mutation, Policy};
use crate::kinds::ResourceKind;
use crate::pipeline::object_type;
use crate::status::StatusError;

impl Request<'_> {
    /// Lets the mutating policies change the object one after the other. `wanted` says which do so at all. Answers which
    /// changed something.
    pub(in super::super) fn apply_policies(
        &self,
        hooks: &Hooks,
        object: &mut Object,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<(usize, bool)>, StatusError> {
        let mut asked = Vec::new();
        for (index, policy) in hooks
            .mutating_policies
            .iter()
            .enumerate()
            .filter(|(index, _)| wanted(*index))
        {
            if self.concerned(policy, Some(object))?.is_none() {
                continue;
            }
            let before = object.clone();
            for binding in &policy.bindings {
                if !self.bound(binding, Some(object))? {
                    continue;
                }
                let namespace = self.namespace(Some(object)).to_owned();
                let changed = match (&policy.broken, self.params(policy, binding, &namespace)) {
                    (Some(problem), _) => Err(problem.clone()),
                    (None, Err(problem)) => Err(problem),
                    (None, Ok(all)) => all
                        .iter()
                        .try_for_each(|params| self.apply_policy(policy, params.as_ref(), object)),
                };
                match changed {
                    Ok(()) => {}
                    Err(problem) if policy.must_hold => {
                        let problem = format!(
                            "policy '{}' with binding '{}' denied request: {problem}",
                            policy.name, binding.name
                        );
                        return Err(self.refusal(&problem, "Invalid", self.name(Some(object))));
                    }
                    Err(problem) => {
                        tracing::warn!(policy = policy.name, problem, "a mutating policy failed and is ignored");
                    }
                }
            }
            asked.push((index, before != *object));
        }
        Ok(asked)
    }

    fn apply_policy(&self, policy: &Policy, params: Option<&Object>, object: &mut Object) -> Result<(), String> {
        let version = self
            .concerned(policy, Some(object))
            .map_err(|error| error.message().to_owned())?;
        let Some(version) = version else {
            return Ok(());
        };
        let mut changed = object.clone();
        for (index, mutation) in policy.mutations.iter().enumerate() {
            let patch = {
                let sight = self.sight(Some(&changed), version);
                let session = sight.session(policy, params);
                if index == 0 && !hold(&policy.conditions, &session)? {
                    return Ok(());
                }
                let expression = &mutation.expression;
                let made = evaluate(&expression.program, &expression.text, &session)?;
                patch_of(mutation, &made)?
            };
            self.apply_made(version, &mut changed, mutation, &patch)?;
        }
        *object = changed;
        Ok(())
    }

    fn apply_made(
        &self,
        version: &ResourceKind,
        object: &mut Object,
        mutation: &Mutation,
        patch: &Value,
    ) -> Result<(), String> {
        let configuration = match patch {
            Value::Object(configuration) if !mutation.json_patch => configuration,
            operations => return told(self.patch(version, object, operations.to_string().as_bytes())),
        };
        let of = match self.shows {
            Shown::Itself => object_type(version),
            _ => built_in(&self.shown_kind(version)).unwrap_or_else(ObjectType::deduced),
        };
        told(self.change(version, object, |shown| {
            let merged = overlay(&of, &shown.0, configuration)
                .map_err(|error| StatusError::bad_request(format!("error applying patch: {error}")))?;
            Ok(Object(merged))
        }))
    }
}

fn told(outcome: Result<(), StatusError>) -> Result<(), String> {
    outcome.map_err(|error| error.message().to_owned())
}

fn patch_of(mutation: &Mutation, made: &Cel<'_>) -> Result<Value, String> {
    let json = |value: &Cel<'_>| value.to_json().map_err(|error| error.to_string());
    match (mutation.json_patch, made) {
        (true, Cel::List(list)) => operations(list).map(Value::Array),
        (true, _) => Err("type error: JSONPatch expressions must evaluate to a list of JSONPatch".to_owned()),
        (false, Cel::Map(_)) => {
            let mut configuration = json(made)?;
            // What identifies the object is not to be changed.
            for field in ["apiVersion", "kind"] {
                if let Value::Object(map) = &mut configuration {
                    map.remove(field);
                }
            }
            Ok(configuration)
        }
        (false, _) => Err("must evaluate to Object".to_owned()),
    }
}

fn operations(list: &List<'_>) -> Result<Vec<Value>, String> {
    list.iter()
        .map(|operation| operation.to_json().map_err(|error| error.to_string()))
        .collect()
}
