//! `AssumeRole`: the role's trust policy and the caller's own policies decide together.

use std::collections::BTreeMap;
use std::sync::Arc;

use access_rules::iam_policy::{self, Decision, Document, Effect, Facts, Policies, Request};
use aws_types::AccountId;
use aws_types::arn::Arn;
use aws_types::shapes::Protocol;
use serde_json::{Value, json};

use super::{Session, issue};
use crate::authorization::{self, Call};
use crate::caller::{Caller, Principal};
use crate::error::ApiError;
use crate::iam::entity::{Entity, EntityKind};
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;
use crate::region::Region;

/// The longest session that a session may make.
const CHAINED: i64 = 3600;

/// `AssumeRole`.
pub async fn role(context: Context, input: Value) -> Result<Value, ApiError> {
    let session = assumed_by(&context, &input).await?;
    Ok(json!({
        "Credentials": session.view(), "AssumedRoleUser": assumed(&session), "PackedPolicySize": 0,
        "SourceIdentity": input.text("SourceIdentity"),
    }))
}

/// The session that an `AssumeRole` of the caller gives.
///
/// # Errors
/// When the role does not trust the caller, or the caller may not, or the session cannot be.
pub async fn assumed_by(context: &Context, input: &Value) -> Result<Session, ApiError> {
    let arn = input.required("RoleArn");
    let call = Call {
        service: "sts",
        operation: "AssumeRole",
        input,
    };
    let mut facts = authorization::facts(context, &call);
    if let Some(id) = input.text("ExternalId") {
        facts.insert("sts:externalid".to_owned(), vec![id.to_owned()]);
    }
    facts.insert(
        "sts:rolesessionname".to_owned(),
        vec![input.required("RoleSessionName").to_owned()],
    );
    let request = Request {
        action: "sts:AssumeRole",
        resource: arn,
        facts: &facts,
    };
    let region = region_of(context, arn).await?;
    let role = region
        .as_ref()
        .and_then(|region| region.ledger.read(|state| find(state, arn).cloned()));
    let role = role.filter(|role| {
        let own = context
            .region
            .ledger
            .read(|state| authorization::policies_for(state, &context.caller));
        is_trusted(own.as_ref(), role, &context.caller, &request)
    });
    let found = region.zip(role).ok_or_else(|| {
        let mut error = authorization::denied(&context.caller, Protocol::Query, &request, Decision::Allowed);
        error.message = error.message.trim_end().to_owned();
        error
    })?;
    let (region, role) = found;
    let chained = context.caller.access_key_id.starts_with("ASIA");
    let there = Context {
        region,
        caller: context.caller.clone(),
    };
    begin(&there, &role, input, chained).await
}

/// The region, of the account that a role is in, where its sessions are remembered.
async fn region_of(context: &Context, role: &str) -> Result<Option<Arc<Region>>, ApiError> {
    let account = role
        .parse::<Arn>()
        .ok()
        .and_then(|arn| AccountId::new(arn.account).ok());
    match (account, context.region.partition()) {
        (Some(account), Some(partition)) if account != *context.region.account() => {
            let found = partition.region(&account, context.region.name.as_str()).await;
            found.map_err(ApiError::internal)
        }
        _ => Ok(Some(Arc::clone(&context.region))),
    }
}

/// The role of an ARN.
pub fn find<'a>(state: &'a State, arn: &str) -> Option<&'a Entity> {
    let name = arn.rsplit('/').next().unwrap_or_default();
    let role = state.entities.get(&(EntityKind::Role, name.to_owned()));
    role.filter(|role| role.arn == arn)
}

/// A trust policy that names the caller itself is enough in one account; one that names the account, or another account's callers, leaves
/// it to the caller's policies.
fn is_trusted(own: Option<&Policies>, role: &Entity, caller: &Caller, request: &Request<'_>) -> bool {
    let Some(document) = role.trust.as_deref().and_then(|text| Document::trust(text).ok()) else {
        return false;
    };
    let behind = caller.canonical_arn();
    let is_session = matches!(caller.principal, Principal::Role(_));
    let principal = |account: &'static str| iam_policy::Principal::Aws {
        arn: &caller.arn,
        role: is_session.then_some(behind.as_str()),
        account: if account.is_empty() {
            caller.account.as_str()
        } else {
            account
        },
    };
    // With an account that nobody has, only statements that name the caller are left.
    match (
        iam_policy::trust(&document, principal(""), request),
        iam_policy::trust(&document, principal("none"), request),
    ) {
        (Some(Effect::Allow), Some(Effect::Allow)) if is_of_account(role, &caller.account) => {
            own.is_none_or(|own| !matches!(own.decide(request), Decision::ExplicitDeny(_)))
        }
        (Some(Effect::Allow), _) => own.is_none_or(|own| own.decide(request) == Decision::Allowed),
        _ => false,
    }
}

fn is_of_account(role: &Entity, account: &AccountId) -> bool {
    role.arn.parse::<Arn>().is_ok_and(|arn| arn.account == account.as_str())
}

/// The policies that a request gives to its session.
///
/// # Errors
/// When one is malformed or not there.
pub fn session_policies(context: &Context, input: &Value) -> Result<Option<Vec<String>>, ApiError> {
    let mut policies = Vec::new();
    if let Some(text) = input.text("Policy") {
        crate::iam::policy::check(text)?;
        policies.push(text.to_owned());
    }
    let arns = input.list("PolicyArns").iter().filter_map(|given| given.text("arn"));
    for arn in arns {
        policies.push(
            context
                .region
                .ledger
                .read(|state| crate::iam::policy::document(state, arn))?,
        );
    }
    Ok((!policies.is_empty()).then_some(policies))
}

/// Makes the credentials of a session of a role.
///
/// # Errors
/// When the duration or a policy cannot be.
pub async fn begin(context: &Context, role: &Entity, input: &Value, chained: bool) -> Result<Session, ApiError> {
    let seconds = input.number("DurationSeconds").unwrap_or(3600);
    let most = if chained {
        CHAINED.min(role.max_session)
    } else {
        role.max_session
    };
    if seconds > most {
        let message = if chained && role.max_session > CHAINED {
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        } else {
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        };
        return Err(ApiError::bad_request("ValidationError", message));
    }
    let policies = session_policies(context, input)?;
    let (account, name) = (context.region.account(), input.required("RoleSessionName"));
    issue(
        context,
        session(account, role, name, policies, input.tags("Tags")),
        seconds,
    )
    .await
}

/// A session of a role as a caller.
pub fn session(
    account: &AccountId,
    role: &Entity,
    name: &str,
    session_policies: Option<Vec<String>>,
    session_tags: BTreeMap<String, String>,
) -> Caller {
    let mut tags = role.tags.clone();
    tags.extend(session_tags);
    Caller {
        arn: format!("arn:aws:sts::{account}:assumed-role/{}/{name}", role.name),
        account: account.clone(),
        user_id: format!("{}:{name}", role.id),
        access_key_id: String::new(),
        name: name.to_owned(),
        principal: Principal::Role(role.name.clone()),
        session_policies,
        tags,
    }
}

/// `AssumedRoleUser` of a session.
pub fn assumed(session: &Session) -> Value {
    json!({"AssumedRoleId": session.caller.user_id, "Arn": session.caller.arn})
}

/// Whether a role trusts a service, whatever is known besides.
pub fn trusts_service(role: &Entity, service: &str, action: &str, facts: &Facts) -> bool {
    let request = Request {
        action,
        resource: "*",
        facts,
    };
    let document = role.trust.as_deref().and_then(|text| Document::trust(text).ok());
    document.is_some_and(|document| {
        iam_policy::trust(&document, iam_policy::Principal::Service(service), &request) == Some(Effect::Allow)
    })
}
