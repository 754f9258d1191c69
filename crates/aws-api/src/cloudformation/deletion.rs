//! `DeleteStack`: when a stack may go, and what stays of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::stack::{Stack, edit};
use super::{engine, find, invalid};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// What a request wants to be left.
struct Left {
    retained: BTreeSet<String>,
    forced: bool,
}

impl Left {
    /// Reads it. Both ways are for stacks that could not be deleted before.
    fn read(input: &Value, stack: &Stack) -> Result<Self, ApiError> {
        let names = input.texts("RetainResources").into_iter();
        let left = Self {
            retained: names.map(str::to_owned).collect(),
            forced: input.text("DeletionMode") == Some("FORCE_DELETE_STACK"),
        };
        if stack.status == "DELETE_FAILED" {
            return left.checked(stack);
        }
        let refused = |what: &str| Err(invalid(format!("Invalid operation on stack [{}]. {what}", stack.id)));
        if left.forced {
            return refused(
                "You can activate DeletionMode FORCE_DELETE_STACK in a delete stack operation only when the stack is in the DELETE_FAILED state.",
            );
        }
        if !left.retained.is_empty() {
            return refused(
                "You can specify RetainResources in a delete stack operation only when the stack is in the DELETE_FAILED state.",
            );
        }
        Ok(left)
    }

    fn checked(self, stack: &Stack) -> Result<Self, ApiError> {
        for name in &self.retained {
            let status = stack.resources.get(name).map(|made| made.status.as_str());
            if status.is_none_or(|status| status == "DELETE_COMPLETE") {
                return Err(invalid(
                    "The specified resources to retain must be in a valid state. Do not specify resources that are in the DELETE_COMPLETE state.",
                ));
            }
        }
        Ok(self)
    }
}

/// Refuses stacks that are being updated, and those that somebody has protected or needs.
fn check(state: &State, stack: &Stack) -> Result<(), ApiError> {
    if stack.termination_protection {
        return Err(invalid(format!(
            "Stack [{}] cannot be deleted while TerminationProtection is enabled",
            stack.name
        )));
    }
    if stack.is_busy() && stack.status.starts_with("UPDATE_") {
        return Err(invalid(format!(
            "Stack [{}] cannot be deleted while in status {}",
            stack.id, stack.status
        )));
    }
    let exports: Vec<&String> = stack
        .outputs
        .iter()
        .filter_map(|(_, _, _, export)| export.as_ref())
        .collect();
    let others = state.stacks.values();
    let others = others.filter(|other| !other.is_gone() && other.id != stack.id);
    let importer = others.into_iter().find_map(|other| {
        let imports = super::query::imports(other, state);
        let used = exports.iter().find(|export| imports.contains(export))?;
        Some((other.name.clone(), (*used).clone()))
    });
    match importer {
        Some((importer, export)) => Err(invalid(format!(
            "Export {export} cannot be deleted as it is in use by {importer}"
        ))),
        None => Ok(()),
    }
}

/// `DeleteStack`: one that is not there is gone already. One that is still being made is made no further.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("StackName");
    let now = context.region.clock.now();
    let is_gone = |state: &State| find(state, name).map(Stack::is_gone).unwrap_or(true);
    if context.region.ledger.read(is_gone) {
        return Ok(nothing());
    }
    let (id, ()) = edit(&context, name, |state, stack| {
        check(state, stack)?;
        let left = Left::read(&input, stack)?;
        if stack.status != "DELETE_IN_PROGRESS" {
            stack.caller = context.caller.clone();
            (stack.retained, stack.forced) = (left.retained, left.forced);
            stack.set("DELETE_IN_PROGRESS", Some("User Initiated".to_owned()), now);
        }
        Ok(())
    })
    .await?;
    engine::drive(&context.region, &id);
    Ok(nothing())
}
