//! Asking validating policies, and what both kinds of policy have in common.

use cel_rules::{Session, Value as Cel};
use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value};

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
}

/// What the expressions of a policy see, whatever the parameters.
pub(super) struct Sight<'a> {
    pub object: Option<Object>,
    pub old: Option<Object>,
    pub request: Value,
    pub namespace: Option<Object>,
    pub access: Access<'a>,
}

impl Request<'_> {
    /// Asks the validating policies.
    pub(in super::super) fn ask_policies(&self, hooks: &Hooks, object: Option<&Object>) -> Result<(), StatusError> {
        for policy in &hooks.validating_policies {
            let Some(version) = self.concerned(policy, object)? else {
                continue;
            };
            let sight = self.sight(object, version);
            for binding in &policy.bindings {
                if self.bound(binding, object)? {
                    self.ask_binding(policy, binding, &sight)?;
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
            .then(|| self.registry.cached("", "namespaces", &key))
            .flatten();
        Sight {
            object: object.map(|object| self.shown(object, version)),
            old: self.old.map(|old| self.shown(old, version)),
            request: self.review("", object, version),
            namespace,
            access: self.access(object),
        }
    }

    fn ask_binding(&self, policy: &Policy, binding: &Binding, sight: &Sight<'_>) -> Result<(), StatusError> {
        let namespace = sight.request["namespace"].as_str().unwrap_or_default();
        let denials = match &policy.broken {
            Some(problem) => failed(policy, problem.clone()),
            None => match self.params(policy, binding, namespace) {
                Err(problem) => failed(policy, problem),
                Ok(all) => all
                    .iter()
                    .flat_map(|params| judge(policy, sight, params.as_ref()))
                    .collect(),
            },
        };
        for denial in &denials {
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
        session.bind("namespaceObject", object(self.namespace.as_ref()));
        session.bind("params", object(params));
        session.compose(&policy.variables);
        session
    }
}

/// A failure counts only when the policy says so.
fn failed(policy: &Policy, problem: String) -> Vec<Denial> {
    if policy.must_hold {
        let reason = "Invalid".to_owned();
        return vec![Denial {
            message: problem,
            reason,
        }];
    }
    tracing::warn!(policy = policy.name, problem, "a policy failed and is ignored");
    Vec::new()
}

fn judge(policy: &Policy, sight: &Sight<'_>, params: Option<&Object>) -> Vec<Denial> {
    let session = sight.session(policy, params);
    match hold(&policy.conditions, &session) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(problem) => return failed(policy, problem),
    }
    let judged = policy
        .validations
        .iter()
        .flat_map(|validation| judge_one(policy, validation, &session));
    judged.collect()
}

fn judge_one(policy: &Policy, validation: &Validation, session: &Session<'_>) -> Vec<Denial> {
    let expression = &validation.expression;
    match evaluate(&expression.program, &expression.text, session) {
        Ok(Cel::Bool(true)) => Vec::new(),
        Ok(Cel::Bool(false)) => vec![Denial {
            message: message(validation, session),
            reason: validation.reason.clone(),
        }],
        Ok(_) => failed(policy, "expression did not evaluate to a bool".to_owned()),
        Err(problem) => failed(policy, problem),
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
