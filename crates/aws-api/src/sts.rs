//! Security Token Service: who am I, and temporary credentials.

pub mod assume;
pub mod web_identity;

use aws_types::time::Time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::caller::{Caller, Principal};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// Temporary credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `ASIA…`.
    pub access_key_id: String,
    /// The secret.
    pub secret: String,
    /// What must be sent with every signature.
    pub token: String,
    /// When they end.
    pub expires_at: Timestamp,
    /// Who signs with them.
    pub caller: Caller,
}

impl Session {
    /// As answers show them.
    pub fn view(&self) -> Value {
        json!({
            "AccessKeyId": self.access_key_id, "SecretAccessKey": self.secret, "SessionToken": self.token,
            "Expiration": Time(self.expires_at),
        })
    }
}

/// Makes credentials for a caller, and forgets those that are long over.
///
/// # Errors
/// When they cannot be written down.
pub async fn issue(context: &Context, mut caller: Caller, seconds: i64) -> Result<Session, ApiError> {
    let (random, now) = (&context.region.random, context.region.clock.now());
    caller.access_key_id = format!("ASIA{}", random.alphanumeric(16).to_uppercase());
    let session = Session {
        access_key_id: caller.access_key_id.clone(),
        secret: random.alphanumeric(40),
        token: format!("IQoJ{}", random.alphanumeric(252)),
        expires_at: now + SignedDuration::from_secs(seconds),
        caller,
    };
    let made = session.clone();
    let decide = |state: &State| {
        // For a while, those who come late hear that their credentials are over and not that they were never there.
        let old = state
            .sessions
            .values()
            .filter(|known| known.expires_at + SignedDuration::from_hours(24) < now);
        let gone = old.map(|known| Change::remove::<Session>(known.access_key_id.clone()));
        Ok::<_, ApiError>(((), gone.chain([Change::put(session)]).collect()))
    };
    context.region.ledger.change(decide).await?;
    Ok(made)
}

/// No members.
#[derive(Debug, Deserialize)]
pub struct GetCallerIdentityRequest {}

/// The caller's identity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetCallerIdentityResponse {
    user_id: String,
    account: String,
    arn: String,
}

/// `GetCallerIdentity`.
pub async fn get_caller_identity(
    context: Context,
    _request: GetCallerIdentityRequest,
) -> Result<GetCallerIdentityResponse, ApiError> {
    let caller = context.caller;
    Ok(GetCallerIdentityResponse {
        user_id: caller.user_id,
        account: caller.account.to_string(),
        arn: caller.arn,
    })
}

/// `GetSessionToken`.
pub async fn session_token(context: Context, input: Value) -> Result<Value, ApiError> {
    if context.caller.access_key_id.starts_with("ASIA") {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(ApiError::new("AccessDenied", StatusCode::FORBIDDEN, message));
    }
    let seconds = input.number("DurationSeconds").unwrap_or(43_200);
    let session = issue(&context, context.caller.clone(), seconds).await?;
    Ok(json!({ "Credentials": session.view() }))
}

/// `GetFederationToken`: the caller's own rights, narrowed down by the policies given.
pub async fn federation_token(context: Context, input: Value) -> Result<Value, ApiError> {
    if !matches!(context.caller.principal, Principal::User(_) | Principal::Administrator) {
        let message = "Cannot call GetFederationToken with session credentials";
        return Err(ApiError::new("AccessDenied", StatusCode::FORBIDDEN, message));
    }
    let name = input.required("Name");
    let policies = assume::session_policies(&context, &input)?.unwrap_or_default();
    let account = context.caller.account.clone();
    let caller = Caller {
        arn: format!("arn:aws:sts::{account}:federated-user/{name}"),
        user_id: format!("{account}:{name}"),
        name: name.to_owned(),
        session_policies: Some(policies),
        tags: input.tags("Tags"),
        ..context.caller.clone()
    };
    let federated = json!({"FederatedUserId": caller.user_id, "Arn": caller.arn});
    let session = issue(&context, caller, input.number("DurationSeconds").unwrap_or(43_200)).await?;
    Ok(json!({"Credentials": session.view(), "FederatedUser": federated, "PackedPolicySize": 0}))
}

/// `GetAccessKeyInfo`.
pub async fn access_key_info(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("AccessKeyId");
    let well_formed = (id.starts_with("AKIA") || id.starts_with("ASIA")) && id.len() == 20;
    if !well_formed {
        return Err(ApiError::bad_request(
            "ValidationError",
            format!("Invalid access key id: {id}"),
        ));
    }
    Ok(json!({ "Account": context.caller.account }))
}

/// `DecodeAuthorizationMessage`.
pub async fn decode_message(_context: Context, input: Value) -> Result<Value, ApiError> {
    let decoded = STANDARD
        .decode(input.required("EncodedMessage"))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded =
        decoded.ok_or_else(|| ApiError::bad_request("InvalidAuthorizationMessageException", "Message is not valid"))?;
    Ok(json!({ "DecodedMessage": decoded }))
}
