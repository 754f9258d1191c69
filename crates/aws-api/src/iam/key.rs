//! Access keys of users.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entity;
use super::{date, no_such};
use crate::error::ApiError;
use crate::ledger::Change;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// Whose it is.
    pub user: String,
    /// Whether it may sign.
    pub active: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// IAM's quota.
const MOST_KEYS: usize = 2;

/// `CreateAccessKey`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let region = &context.region;
    let user = entity::look(&context, &input, |_, user| user.name.clone())?;
    let key = AccessKey {
        id: format!("AKIA{}", region.random.alphanumeric(16).to_uppercase()),
        secret: region.random.alphanumeric(40),
        user,
        active: true,
        created_at: region.clock.now(),
    };
    let answer = json!({"AccessKey": {
        "UserName": key.user, "AccessKeyId": key.id, "SecretAccessKey": key.secret, "Status": "Active",
        "CreateDate": date(key.created_at),
    }});
    let made = region.ledger.change(|state| {
        if state
            .access_keys
            .values()
            .filter(|known| known.user == key.user)
            .count()
            >= MOST_KEYS
        {
            let message = format!("Cannot exceed quota for AccessKeysPerUser: {MOST_KEYS}");
            return Err(ApiError::new("LimitExceeded", StatusCode::CONFLICT, message));
        }
        Ok(((), vec![Change::put(key)]))
    });
    made.await?;
    Ok(answer)
}

/// `ListAccessKeys`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    if entity::is_administrator(&context, &input) {
        let caller = &context.caller;
        let own = json!({"UserName": caller.name, "AccessKeyId": caller.access_key_id, "Status": "Active"});
        return super::page(vec![own], "AccessKeyMetadata", &input);
    }
    let keys = entity::look(&context, &input, |state, user| {
        let own = state.access_keys.values().filter(|key| key.user == user.name);
        own.map(|key| {
            let status = if key.active { "Active" } else { "Inactive" };
            json!({"UserName": key.user, "AccessKeyId": key.id, "Status": status, "CreateDate": date(key.created_at)})
        })
        .collect()
    })?;
    super::page(keys, "AccessKeyMetadata", &input)
}

fn not_found(id: &str) -> ApiError {
    no_such(format!("The Access Key with id {id} cannot be found."))
}

/// `UpdateAccessKey`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("AccessKeyId");
    let change = context.region.ledger.change(|state| {
        let mut key = state.access_keys.get(id).ok_or_else(|| not_found(id))?.clone();
        key.active = input.required("Status") == "Active";
        Ok::<_, ApiError>(((), vec![Change::put(key)]))
    });
    change.await?;
    Ok(nothing())
}

/// `DeleteAccessKey`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("AccessKeyId");
    let change = context.region.ledger.change(|state| {
        state.access_keys.get(id).ok_or_else(|| not_found(id))?;
        Ok::<_, ApiError>(((), vec![Change::remove::<AccessKey>(id.to_owned())]))
    });
    change.await?;
    Ok(nothing())
}

/// `GetAccessKeyLastUsed`: when a key was used is not recorded, which IAM says by `N/A`.
pub async fn last_used(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("AccessKeyId");
    let user = context
        .region
        .ledger
        .read(|state| state.access_keys.get(id).map(|key| key.user.clone()));
    let user = user.ok_or_else(|| not_found(id))?;
    Ok(json!({"UserName": user, "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}))
}
