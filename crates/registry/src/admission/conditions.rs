//! Expressions about a request: what they may name, what is bound to that, and match conditions.

use std::sync::Arc;

use access_rules::{Attributes, ResourceAttributes, User};
use cel_rules::{AccessCheck, Answer, Authorizer, BUDGET, Environment, Opaque, Program, Session, Type, Value as Cel};
use kube_types::dynamic::{Object, Value};

use super::hooks::program;
use super::request_types;
use crate::registry::Registry;

/// A match condition: its expression, compiled.
pub(crate) struct Condition {
    text: String,
    program: Result<Program, String>,
}

/// What expressions about a request may name.
pub(super) fn environment() -> Environment {
    request_types::environment()
        .with("object", Type::Dyn)
        .with("oldObject", Type::Dyn)
}

/// Compiles a list of `{name, expression}`.
pub(super) fn compile(environment: &Environment, list: &Value) -> Vec<Condition> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|condition| {
            let text = condition["expression"].as_str().unwrap_or_default().to_owned();
            let program = program(environment, &text);
            Condition { text, program }
        })
        .collect()
}

/// What is bound: the objects and the request as JSON.
pub(super) struct Bound<'a> {
    pub object: Option<&'a Object>,
    pub old: Option<&'a Object>,
    pub request: &'a Value,
    pub access: &'a Access<'a>,
}

impl<'a> Bound<'a> {
    /// A session in which everything is bound.
    pub fn session(&self) -> Session<'a> {
        let mut session = Session::new(BUDGET);
        let object = |object: Option<&'a Object>| object.map_or(Cel::Null, |object| Cel::from_object(&object.0));
        session.bind("object", object(self.object));
        session.bind("oldObject", object(self.old));
        session.bind("request", Cel::from_json(self.request));
        session.bind("authorizer", Cel::Opaque(Opaque::Authorizer(self.access, None)));
        session
    }
}

/// Whether all conditions hold. One that is false decides even when another fails.
pub(super) fn hold(conditions: &[Condition], session: &Session<'_>) -> Result<bool, String> {
    let mut failure = None;
    for condition in conditions {
        match evaluate(&condition.program, &condition.text, session) {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => return Ok(false),
            Ok(_) => failure = failure.or(Some("match condition did not evaluate to a bool".to_owned())),
            Err(problem) => failure = failure.or(Some(problem)),
        }
    }
    failure.map_or(Ok(true), Err)
}

/// The value of an expression, or upstream's sentence about why there is none.
pub(super) fn evaluate<'a>(
    program: &Result<Program, String>,
    text: &str,
    session: &Session<'a>,
) -> Result<Cel<'a>, String> {
    let program = program.as_ref().map_err(Clone::clone)?;
    session
        .evaluate(program)
        .map_err(|error| format!("expression '{text}' resulted in error: {error}"))
}

/// The `authorizer` variable: this registry, asked for the user of the request.
pub(super) struct Access<'a> {
    pub registry: &'a Registry,
    pub user: &'a User,
    pub resource: AccessCheck,
}

impl Authorizer for Access<'_> {
    fn answer(&self, check: &AccessCheck) -> Answer {
        let account = check
            .service_account
            .as_ref()
            .map(|(namespace, name)| Arc::new(User::service_account(namespace, name)));
        let user = account.as_deref().unwrap_or(self.user);
        let resource = check.path.is_none().then(|| ResourceAttributes {
            group: &check.group,
            version: "*",
            resource: &check.resource,
            subresource: &check.subresource,
            namespace: &check.namespace,
            name: &check.name,
            ..ResourceAttributes::default()
        });
        let decision = self.registry.decide(&Attributes {
            user,
            verb: &check.verb,
            resource,
            path: check.path.as_deref().unwrap_or_default(),
        });
        Answer {
            allowed: decision.is_allowed(),
            reason: decision.reason().to_owned(),
            error: None,
        }
    }

    fn request_resource(&self) -> Option<AccessCheck> {
        Some(self.resource.clone())
    }
}
