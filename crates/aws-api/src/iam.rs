//! IAM: users, groups, roles, policies, instance profiles, identity providers; what they allow is decided by `access-rules`.

pub mod account;
pub mod attachment;
pub mod aws_managed;
pub mod certificate;
pub mod entity;
pub mod group;
pub mod key;
pub mod login;
pub mod mfa;
pub mod oidc;
pub mod policy;
pub mod possession;
pub mod profile;
pub mod role;
pub mod saml;
pub mod service_key;
pub mod simulate;
pub mod tag;
pub mod user;

use aws_types::time::Time;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

fn no_such(message: String) -> ApiError {
    ApiError::new("NoSuchEntity", StatusCode::NOT_FOUND, message)
}

fn exists(message: String) -> ApiError {
    ApiError::new("EntityAlreadyExists", StatusCode::CONFLICT, message)
}

fn conflict(message: &str) -> ApiError {
    ApiError::new("DeleteConflict", StatusCode::CONFLICT, message)
}

/// An id as IAM makes them: a prefix that tells the kind, and 17 capital letters and digits.
fn unique_id(context: &Context, prefix: &str) -> String {
    format!("{prefix}{}", context.region.random.alphanumeric(17).to_uppercase())
}

fn date(time: Timestamp) -> Value {
    serde_json::to_value(Time(time)).unwrap_or_default()
}

/// One page of a list: `Marker` is where the next one begins.
fn page(items: Vec<Value>, member: &str, input: &Value) -> Result<Value, ApiError> {
    let marker = input.text("Marker").unwrap_or("0");
    let begin: usize = marker
        .parse()
        .map_err(|_no_number| ApiError::bad_request("ValidationError", format!("Invalid Marker: {marker}")))?;
    let most = usize::try_from(input.number("MaxItems").unwrap_or(100))
        .unwrap_or(100)
        .clamp(1, 1000);
    let total = items.len();
    let page: Vec<Value> = items.into_iter().skip(begin).take(most).collect();
    let end = begin + page.len();
    let mut answer = json!({ "IsTruncated": end < total });
    if end < total {
        answer["Marker"] = end.to_string().into();
    }
    answer[member] = page.into();
    Ok(answer)
}
