//! May the caller do this? Every call is an action on resources; the caller's policies decide.

mod resource;

use access_rules::iam_policy::{Decision, Document, Facts, Policies, Request};
use aws_types::shapes::Protocol;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::caller::{Caller, Principal};
use crate::error::ApiError;
use crate::iam::entity::{self, Entity, EntityKind};
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// Operations that need no permission, or whose handlers decide for themselves.
const UNASKED: &[(&str, &str)] = &[
    ("sts", "GetCallerIdentity"),
    ("sts", "GetSessionToken"),
    // The trust policy of the role decides together with the caller's own.
    ("sts", "AssumeRole"),
    ("sts", "AssumeRoleWithWebIdentity"),
];

/// Members that hand a role to a service: service, member, and who gets it.
const PASSED: &[(&str, &str, &str)] = &[
    ("eks", "roleArn", "eks.amazonaws.com"),
    ("eks", "nodeRole", "ec2.amazonaws.com"),
    ("eks", "podExecutionRoleArn", "eks-fargate-pods.amazonaws.com"),
    ("eks", "serviceAccountRoleArn", "eks.amazonaws.com"),
    ("cloudformation", "RoleARN", "cloudformation.amazonaws.com"),
];

/// What of a call is asked about.
pub struct Call<'a> {
    /// The service's signing name.
    pub service: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// Its input.
    pub input: &'a Value,
}

/// Refuses what the caller's policies do not allow.
///
/// # Errors
/// The service's form of "access denied".
pub fn check(context: &Context, protocol: Protocol, call: &Call<'_>) -> Result<(), ApiError> {
    if UNASKED.contains(&(call.service, call.operation)) || context.caller.principal == Principal::Anonymous {
        return Ok(());
    }
    let policies = context.region.ledger.read(|state| policies_for(state, &context.caller));
    let Some(policies) = policies else { return Ok(()) };
    let action = format!("{}:{}", call.service, call.operation);
    let mut facts = facts(context, call);
    for resource in resource::of(context, call) {
        decide(
            context,
            protocol,
            &policies,
            &Request {
                action: &action,
                resource: &resource,
                facts: &facts,
            },
        )?;
    }
    for (_, member, service) in PASSED.iter().filter(|(service, ..)| *service == call.service) {
        if let Some(role) = call.input.text(member) {
            facts.insert("iam:passedtoservice".to_owned(), vec![(*service).to_owned()]);
            decide(
                context,
                protocol,
                &policies,
                &Request {
                    action: "iam:PassRole",
                    resource: role,
                    facts: &facts,
                },
            )?;
        }
    }
    Ok(())
}

fn decide(context: &Context, protocol: Protocol, policies: &Policies, request: &Request<'_>) -> Result<(), ApiError> {
    let decision = policies.decide(request);
    if decision == Decision::Allowed {
        return Ok(());
    }
    Err(denied(&context.caller, protocol, request, decision))
}

/// The policies that have a say about a caller; `None` for one who may do everything.
pub fn policies_for(state: &State, caller: &Caller) -> Option<Policies> {
    let everything =
        || Document::identity(r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
    let mut policies = match &caller.principal {
        Principal::Administrator if caller.session_policies.is_none() => return None,
        Principal::Administrator => Policies {
            identity: everything().into_iter().collect(),
            ..Policies::default()
        },
        Principal::User(name) => of_named(state, EntityKind::User, name),
        Principal::Role(name) => of_named(state, EntityKind::Role, name),
        Principal::Anonymous => Policies::default(),
    };
    policies.session = caller
        .session_policies
        .as_ref()
        .map(|texts| read(texts.iter().cloned()));
    Some(policies)
}

fn of_named(state: &State, kind: EntityKind, name: &str) -> Policies {
    entity::find(state, kind, name).map_or_else(|_gone| Policies::default(), |entity| policies_of(state, entity))
}

/// The policies of a user with its groups, or of a role.
pub fn policies_of(state: &State, entity: &Entity) -> Policies {
    let groups = entity
        .groups
        .iter()
        .filter_map(|group| entity::find(state, EntityKind::Group, group).ok());
    let texts = groups.chain([entity]).flat_map(|entity| {
        let attached = entity
            .attached
            .iter()
            .filter_map(|arn| crate::iam::policy::document(state, arn).ok());
        entity.inline.values().cloned().chain(attached)
    });
    let boundary = entity
        .boundary
        .as_ref()
        .and_then(|arn| crate::iam::policy::document(state, arn).ok());
    Policies {
        identity: read(texts),
        boundary: boundary.and_then(|text| read([text]).pop()),
        session: None,
    }
}

/// Documents were checked when they were written.
fn read(texts: impl IntoIterator<Item = String>) -> Vec<Document> {
    texts
        .into_iter()
        .filter_map(|text| Document::identity(&text).ok())
        .collect()
}

/// What conditions may ask for.
pub fn facts(context: &Context, call: &Call<'_>) -> Facts {
    let (caller, now) = (&context.caller, context.region.clock.now());
    let mut facts = Facts::new();
    let mut fact = |key: &str, value: String| facts.entry(key.to_lowercase()).or_default().push(value);
    fact("aws:PrincipalArn", caller.canonical_arn());
    fact("aws:PrincipalAccount", caller.account.to_string());
    fact("aws:userid", caller.user_id.clone());
    fact("aws:RequestedRegion", context.region.name.to_string());
    fact("aws:CurrentTime", now.to_string());
    fact("aws:EpochTime", now.as_second().to_string());
    fact("aws:SecureTransport", "false".to_owned());
    fact("aws:SourceIp", "127.0.0.1".to_owned());
    let kind = match &caller.principal {
        Principal::Role(_) => "AssumedRole",
        Principal::Anonymous => "Anonymous",
        Principal::User(_) | Principal::Administrator => {
            fact("aws:username", caller.name.clone());
            "User"
        }
    };
    fact("aws:PrincipalType", kind.to_owned());
    for (key, value) in &caller.tags {
        fact(&format!("aws:PrincipalTag/{key}"), value.clone());
    }
    for (key, value) in request_tags(call.input) {
        fact(&format!("aws:RequestTag/{key}"), value);
        fact("aws:TagKeys", key);
    }
    for (key, value) in resource::tags(context, call) {
        fact(&format!("aws:ResourceTag/{key}"), value);
    }
    facts
}

/// Tags that a request gives, whichever way its service writes them.
fn request_tags(input: &Value) -> Vec<(String, String)> {
    let given = input
        .list("TagSpecifications")
        .iter()
        .flat_map(|given| given.tags("Tags"));
    let listed = input.tags("Tags").into_iter().chain(given);
    let mapped = input.get("tags").and_then(Value::as_object).into_iter().flatten();
    let mapped = mapped.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    listed.chain(mapped).collect()
}

/// "Access denied" in the service's form and IAM's words.
pub fn denied(caller: &Caller, protocol: Protocol, request: &Request<'_>, decision: Decision) -> ApiError {
    let Request { action, resource, .. } = request;
    let why = match decision {
        Decision::ExplicitDeny(kind) => format!("with an explicit deny in {} {kind}", article(kind)),
        Decision::ImplicitDeny(kind) => format!("because no {kind} allows the {action} action"),
        Decision::Allowed => String::new(),
    };
    let message = format!(
        "User: {} is not authorized to perform: {action} on resource: {resource} {why}",
        caller.arn
    );
    match protocol {
        Protocol::Ec2 => {
            let explicit = matches!(decision, Decision::ExplicitDeny(_));
            let details = json!({
                "allowed": false, "explicitDeny": explicit, "matchedStatements": {"items": []}, "failures": {"items": []},
                "context": {"principal": {"id": caller.user_id, "arn": caller.arn}, "action": action, "resource": resource,
                    "conditions": {"items": []}},
            });
            let message = format!(
                "You are not authorized to perform this operation. {message} Encoded authorization failure message: {}",
                STANDARD.encode(details.to_string())
            );
            ApiError::new("UnauthorizedOperation", StatusCode::FORBIDDEN, message)
        }
        Protocol::Query | Protocol::RestXml => ApiError::new("AccessDenied", StatusCode::FORBIDDEN, message),
        Protocol::Json => ApiError::bad_request("AccessDeniedException", message),
        Protocol::RestJson => ApiError::new("AccessDeniedException", StatusCode::FORBIDDEN, message),
    }
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with('i') { "an" } else { "a" }
}
