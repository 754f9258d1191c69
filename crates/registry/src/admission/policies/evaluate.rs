//! Asking validating policies, and what both kinds of policy have in common.

use std::sync::Arc;

use cel_rules::{Session, Value as Cel};
use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value, json};

use super::super::Request;
use super::super::conditions::{Access, Bound, evaluate, hold};
use super::super::hooks::Hooks;
use super::{Binding, Policy, Validation};
use crate::kinds::ResourceKind;
use crate::status::StatusError;

/// Why a request is refused.
struct Denial {
    message: String,
    reason: String,
    /// Which of the policy's expressions does not hold.
    index: usize,
}

/// What a policy found for one parameter.
#[derive(Default)]
struct Judgement {
    denials: Vec<Denial>,
    /// What is noted for the audit log, by key.
    annotations: Vec<(String, String)>,
}

/// Where failures of policies stand whose bindings say `Audit`.
const FAILURES: &str = "validation.policy.admission.k8s.io/validation_failure";

impl Binding {
    fn actions(&self) -> Vec<&'static str> {
        let actions = [("Deny", self.deny), ("Warn", self.warn), ("Audit", self.audit)];
        actions
            .into_iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(name, _)| name)
            .collect()
    }
}

/// What the expressions of a policy see, whatever the parameters.
pub(super) struct Sight<'a> {
    pub object: Option<Object>,
    pub old: Option<Object>,
    pub request: Value,
    pub namespace: Option<Arc<Object>>,
    pub access: Access<'a>,
}

impl Request<'_> {
    /// Asks the validating policies.
    pub(in super::super) fn ask_policies(&self, hooks: &Hooks, object: Option<&Object>) -> Result<(), StatusError> {
        let mut noted = Vec::new();
        let asked = self.ask_each(hooks, object, &mut noted);
        if !noted.is_empty() {
            let annotations = &self.context.annotations;
            annotations.add(FAILURES, || Value::Array(noted).to_string());
        }
        asked
    }

    fn ask_each(&self, hooks: &Hooks, object: Option<&Object>, noted: &mut Vec<Value>) -> Result<(), StatusError> {
        for policy in &hooks.validating_policies {
            let Some(version) = self.concerned(policy, object)? else {
                continue;
            };
            let sight = self.sight(object, version);
            for binding in &policy.bindings {
                if self.bound(binding, object)? {
                    self.ask_binding(policy, binding, &sight, noted)?;
                }
            }
        }
        Ok(())
    }

    /// The version in which a policy wants to see the request, if it does.
    pub(super) fn concerned(
        &self,
        policy: &Policy,
        object: Option<&Object>,
    ) -> Result<Option<&ResourceKind>, StatusError> {
        let subject = self.subject(object);
        let versions = self.versions();
        match policy.matcher.version(&versions, &subject) {
            Some(version) if self.selected(&policy.matcher, &subject, object)? => Ok(Some(version)),
            _ => Ok(None),
        }
    }

    /// Whether a binding is about the request.
    pub(super) fn bound(&self, binding: &Binding, object: Option<&Object>) -> Result<bool, StatusError> {
        let Some(matcher) = &binding.matcher else {
            return Ok(true);
        };
        let subject = self.subject(object);
        let ruled = matcher.has_no_rules() || matcher.version(&self.versions(), &subject).is_some();
        Ok(ruled && self.selected(matcher, &subject, object)?)
    }

    pub(super) fn sight<'s>(&'s self, object: Option<&'s Object>, version: &ResourceKind) -> Sight<'s> {
        let namespace = self.namespace(object);
        let key = ObjectKey::cluster(namespace);
        let namespace = (!namespace.is_empty())
            .then(|| self.registry.shared("", "namespaces", &key))
            .flatten();
        Sight {
            object: object.map(|object| self.shown(object, version)),
            old: self.old.map(|old| self.shown(old, version)),
            request: self.review("", object, version),
            namespace,
            access: self.access(object),
        }
    }

    fn ask_binding(
        &self,
        policy: &Policy,
        binding: &Binding,
        sight: &Sight<'_>,
        noted: &mut Vec<Value>,
    ) -> Result<(), StatusError> {
        let namespace = sight.request["namespace"].as_str().unwrap_or_default();
        let mut judgement = Judgement::default();
        match (&policy.broken, self.params(policy, binding, namespace)) {
            (Some(problem), _) => judgement.denials = failed(policy, problem.clone(), 0),
            (None, Err(problem)) => judgement.denials = failed(policy, problem, 0),
            (None, Ok(all)) => all
                .iter()
                .for_each(|params| judge(policy, sight, params.as_ref(), &mut judgement)),
        }
        self.note(policy, judgement.annotations);
        let denials = judgement.denials;
        for denial in &denials {
            if binding.audit {
                noted.push(
                    json!({"message": denial.message, "policy": policy.name, "binding": binding.name,
                    "expressionIndex": denial.index, "validationActions": binding.actions()}),
                );
            }
            if binding.warn {
                self.context.warnings.add(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                    policy.name, binding.name, denial.message
                ));
            }
        }
        match denials.first() {
            Some(denial) if binding.deny => {
                let name = sight.request["name"].as_str().unwrap_or_default();
                Err(self.denied(policy, binding, denial, name))
            }
            _ => Ok(()),
        }
    }

    /// Values of several parameters stand beside each other.
    fn note(&self, policy: &Policy, annotations: Vec<(String, String)>) {
        for (key, _) in &policy.annotations {
            let values = annotations.iter().filter(|(of, _)| of == key);
            let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
            if !values.is_empty() {
                let key = format!("{}/{key}", policy.name);
                self.context.annotations.add(&key, || values.join(", "));
            }
        }
    }

    fn denied(&self, policy: &Policy, binding: &Binding, denial: &Denial, name: &str) -> StatusError {
        let problem = format!(
            "ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {}",
            policy.name, binding.name, denial.message
        );
        self.refusal(&problem, &denial.reason, name)
    }

    /// A refusal in the words and with the code that its reason has.
    pub(super) fn refusal(&self, problem: &str, reason: &str, name: &str) -> StatusError {
        let code = match reason {
            "Unauthorized" => 401,
            "Forbidden" => 403,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        };
        let subject = self.resource.subject();
        let message = StatusError::forbidden(&subject, name, problem).message().to_owned();
        StatusError::new(code, reason, "")
            .with_message(message, &subject, name)
            .with_cause("", problem, "")
    }
}

impl Sight<'_> {
    /// A session for one parameter.
    pub(super) fn session<'s>(&'s self, policy: &'s Policy, params: Option<&'s Object>) -> Session<'s> {
        let bound = Bound {
            object: self.object.as_ref(),
            old: self.old.as_ref(),
            request: &self.request,
            access: &self.access,
        };
        let mut session = bound.session();
        let object = |object: Option<&'s Object>| object.map_or(Cel::Null, |object| Cel::from_object(&object.0));
        session.bind("namespaceObject", object(self.namespace.as_deref()));
        session.bind("params", object(params));
        session.compose(&policy.variables);
        session
    }
}

/// A failure counts only when the policy says so.
fn failed(policy: &Policy, problem: String, index: usize) -> Vec<Denial> {
    if policy.must_hold {
        let reason = "Invalid".to_owned();
        return vec![Denial {
            message: problem,
            reason,
            index,
        }];
    }
    tracing::warn!(policy = policy.name, problem, "a policy failed and is ignored");
    Vec::new()
}

fn judge(policy: &Policy, sight: &Sight<'_>, params: Option<&Object>, found: &mut Judgement) {
    let session = sight.session(policy, params);
    match hold(&policy.conditions, &session) {
        Ok(true) => {}
        Ok(false) => return,
        Err(problem) => return found.denials.extend(failed(policy, problem, 0)),
    }
    for (index, validation) in policy.validations.iter().enumerate() {
        found.denials.extend(judge_one(policy, validation, index, &session));
    }
    for (key, expression) in &policy.annotations {
        match evaluate(&expression.program, &expression.text, &session) {
            Ok(Cel::String(text)) => found.annotations.push((key.clone(), text.trim().to_owned())),
            // Nothing is to be noted.
            Ok(Cel::Null) => {}
            Ok(_) => {
                let problem = format!(
                    "valueExpression '{}' resulted in unsupported return type",
                    expression.text
                );
                found.denials.extend(failed(policy, problem, 0));
            }
            Err(problem) => found.denials.extend(failed(policy, problem, 0)),
        }
    }
}

fn judge_one(policy: &Policy, validation: &Validation, index: usize, session: &Session<'_>) -> Vec<Denial> {
    let expression = &validation.expression;
    match evaluate(&expression.program, &expression.text, session) {
        Ok(Cel::Bool(true)) => Vec::new(),
        Ok(Cel::Bool(false)) => vec![Denial {
            message: message(validation, session),
            reason: validation.reason.clone(),
            index,
        }],
        Ok(_) => failed(policy, "expression did not evaluate to a bool".to_owned(), index),
        Err(problem) => failed(policy, problem, index),
    }
}

/// The expression's message, else the fixed one, else the expression itself. Source: `validator.go`.
fn message(validation: &Validation, session: &Session<'_>) -> String {
    let made = validation.message_expression.as_ref().and_then(|expression| {
        match evaluate(&expression.program, &expression.text, session) {
            Ok(Cel::String(text)) => {
                let text = text.trim().to_owned();
                (!text.is_empty() && !text.contains('\n')).then_some(text)
            }
            _ => None,
        }
    });
    match made {
        Some(made) => made,
        None if validation.message.is_empty() => format!("failed expression: {}", validation.expression.text.trim()),
        None => validation.message.trim().to_owned(),
    }
}
