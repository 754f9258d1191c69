//! Updates that somebody calls off, and rollbacks that failed and are tried again.

use std::collections::BTreeSet;

use serde_json::Value;

use super::stack::edit;
use super::{engine, invalid};
use crate::error::ApiError;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// `CancelUpdateStack`: the stack goes back to what it was before.
pub async fn cancel_update(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let (id, ()) = edit(&context, input.required("StackName"), |_, stack| {
        if stack.status != "UPDATE_IN_PROGRESS" {
            return Err(invalid("CancelUpdateStack cannot be called from current stack status"));
        }
        stack.set("UPDATE_ROLLBACK_IN_PROGRESS", Some("User Initiated".to_owned()), now);
        Ok(())
    })
    .await?;
    engine::drive(&context.region, &id);
    Ok(nothing())
}

/// `ContinueUpdateRollback`: tries a failed rollback again, without the resources that are to be skipped.
pub async fn continue_rollback(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let names = input.texts("ResourcesToSkip").into_iter();
    let skipped: BTreeSet<String> = names.map(str::to_owned).collect();
    let (id, ()) = edit(&context, input.required("StackName"), |_, stack| {
        if stack.status != "UPDATE_ROLLBACK_FAILED" {
            return Err(invalid(format!(
                "Stack:{} is in {} state and can not continue rollback.",
                stack.id, stack.status
            )));
        }
        let failed = |name: &String| {
            let made = stack.resources.get(name);
            made.is_some_and(|made| made.status.ends_with("_FAILED"))
        };
        if let Some(other) = skipped.iter().find(|name| !failed(name)) {
            return Err(invalid(format!(
                "ResourcesToSkip must be in UPDATE_FAILED state: [{other}]"
            )));
        }
        stack.skipped = skipped;
        stack.set("UPDATE_ROLLBACK_IN_PROGRESS", Some("User Initiated".to_owned()), now);
        Ok(())
    })
    .await?;
    engine::drive(&context.region, &id);
    Ok(nothing())
}
