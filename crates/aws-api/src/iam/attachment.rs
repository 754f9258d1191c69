//! Policies of users, groups and roles: attached ones and inline ones. One handler serves all three kinds.

use serde_json::{Value, json};

use super::entity::{self, EntityKind, encoded};
use super::{no_such, policy};
use crate::error::ApiError;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// `AttachRolePolicy` and its siblings.
pub async fn attach(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("PolicyArn");
    entity::edit(&context, &input, |state, entity| {
        policy::find(state, arn)
            .map_err(|_not_found| no_such(format!("Policy {arn} does not exist or is not attachable.")))?;
        entity.attached.insert(arn.to_owned());
        Ok(nothing())
    })
    .await
}

/// `DetachRolePolicy` and its siblings.
pub async fn detach(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("PolicyArn");
    entity::edit(&context, &input, |_, entity| {
        if !entity.attached.remove(arn) {
            return Err(no_such(format!("Policy {arn} was not found.")));
        }
        Ok(nothing())
    })
    .await
}

/// `ListAttachedRolePolicies` and its siblings.
pub async fn list_attached(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = |arn: &String| arn.rsplit('/').next().unwrap_or_default().to_owned();
    let items = entity::look(&context, &input, |_, entity| {
        entity
            .attached
            .iter()
            .map(|arn| json!({"PolicyName": name(arn), "PolicyArn": arn}))
            .collect()
    })?;
    super::page(items, "AttachedPolicies", &input)
}

/// `PutRolePolicy` and its siblings.
pub async fn put(context: Context, input: Value) -> Result<Value, ApiError> {
    let document = input.required("PolicyDocument");
    policy::check(document)?;
    entity::edit(&context, &input, |_, entity| {
        entity
            .inline
            .insert(input.required("PolicyName").to_owned(), document.to_owned());
        Ok(nothing())
    })
    .await
}

fn not_found(kind: EntityKind, name: &str) -> ApiError {
    no_such(format!("The {} policy with name {name} cannot be found.", kind.name()))
}

/// `GetRolePolicy` and its siblings.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("PolicyName");
    entity::look(&context, &input, |_, entity| {
        let document = entity.inline.get(name).ok_or_else(|| not_found(entity.kind, name))?;
        Ok(json!({
            entity.kind.member(): entity.name, "PolicyName": name, "PolicyDocument": encoded(document),
        }))
    })?
}

/// `DeleteRolePolicy` and its siblings.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("PolicyName");
    entity::edit(&context, &input, |_, entity| {
        entity.inline.remove(name).ok_or_else(|| not_found(entity.kind, name))?;
        Ok(nothing())
    })
    .await
}

/// `ListRolePolicies` and its siblings.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = entity::look(&context, &input, |_, entity| {
        entity.inline.keys().map(|name| json!(name)).collect()
    })?;
    super::page(names, "PolicyNames", &input)
}
