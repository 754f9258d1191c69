//! Users.

use serde_json::{Value, json};

use super::entity::{self, Entity, EntityKind};
use super::{conflict, exists};
use crate::error::ApiError;
use crate::ledger::Change;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// `CreateUser`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let user = Entity::new(&context, EntityKind::User, &input)?;
    entity::create(&context, user).await
}

/// `GetUser`: without a name, the caller.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::look(&context, &input, |_, user| json!({ "User": user.view() }))
}

/// `ListUsers`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::list(&context, EntityKind::User, &input)
}

/// `UpdateUser`: a new name or path.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("UserName");
    let change = context.region.ledger.change(|state| {
        let before = entity::find(state, EntityKind::User, name)?;
        let mut user = before.clone();
        if let Some(new) = input.text("NewUserName").filter(|new| *new != name) {
            if entity::find(state, EntityKind::User, new).is_ok() {
                return Err(exists(format!("User with name {new} already exists.")));
            }
            user.name = new.to_owned();
        }
        user.path = input.text("NewPath").unwrap_or(&user.path).to_owned();
        user.arn = format!("arn:aws:iam::{}:user{}{}", context.caller.account, user.path, user.name);
        let keys = state
            .access_keys
            .values()
            .filter(|key| key.user == name)
            .cloned()
            .map(|mut key| {
                key.user.clone_from(&user.name);
                Change::put(key)
            });
        let mut changes: Vec<Change> = keys.collect();
        changes.push(Change::remove::<Entity>((EntityKind::User, name.to_owned())));
        changes.push(Change::put(user));
        Ok(((), changes))
    });
    change.await?;
    Ok(nothing())
}

/// `DeleteUser`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("UserName");
    let change = context.region.ledger.change(|state| {
        let user = entity::find(state, EntityKind::User, name)?;
        user.require_bare()?;
        if state.access_keys.values().any(|key| key.user == name) {
            return Err(conflict("Cannot delete entity, must delete access keys first."));
        }
        super::possession::require_none(state, user)?;
        if !user.groups.is_empty() {
            return Err(conflict("Cannot delete entity, must remove users from group first."));
        }
        Ok(((), vec![Change::remove::<Entity>((EntityKind::User, name.to_owned()))]))
    });
    change.await?;
    Ok(nothing())
}
