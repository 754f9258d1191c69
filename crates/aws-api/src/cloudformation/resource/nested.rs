//! Stacks of templates: each is a stack of its own, and part of the one whose template names it.
//!
//! The template is read anew from its URL with every update of the parent, as CloudFormation does. A nested stack removes what it replaced
//! when its own update is done and does not wait for its parent's.

use serde_json::{Value, json};

use super::{Progress, Updated, Wanted};
use crate::cloudformation::stack::{self, Family, Stack, Update};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, tag_list};

/// The type that is made here.
pub const KIND: &str = "AWS::CloudFormation::Stack";

/// The request that the properties stand for.
fn request(wanted: &Wanted<'_>, parent: &Stack) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| joined(value), str::to_owned);
    let given = wanted.properties["Parameters"].as_object().into_iter().flatten();
    let parameters: Vec<Value> = given
        .map(|(key, value)| json!({"ParameterKey": key, "ParameterValue": text(value)}))
        .collect();
    let mut tags = parent.tags.clone();
    tags.extend(wanted.properties.tags("Tags"));
    json!({
        "TemplateURL": wanted.properties.required("TemplateURL"), "Parameters": parameters, "Tags": tag_list(&tags),
        "Capabilities": parent.capabilities, "DisableRollback": parent.disable_rollback,
    })
}

/// Lists of a parameter are texts with commas, as everywhere in CloudFormation.
fn joined(value: &Value) -> String {
    match value.as_array() {
        Some(items) => {
            let texts = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
            texts.collect::<Vec<_>>().join(",")
        }
        None => value.to_string(),
    }
}

fn parent(wanted: &Wanted<'_>) -> Result<Stack, ApiError> {
    let known = wanted
        .context
        .region
        .ledger
        .read(|state| state.stacks.get(wanted.stack_id).cloned());
    known.ok_or_else(|| ApiError::internal(format!("stack {} is not there", wanted.stack_id)))
}

/// Makes one and answers its id.
///
/// # Errors
/// What `CreateStack` answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let parent = parent(wanted)?;
    let name = wanted.generated_name(128);
    let before = wanted.context.region.ledger.read(|state| {
        let known = state
            .stacks
            .values()
            .find(|stack| stack.name == name && !stack.is_gone())?;
        (known.parent.as_deref() == Some(wanted.stack_id)).then(|| known.id.clone())
    });
    if let Some(id) = before {
        return Ok(id);
    }
    let mut input = request(wanted, &parent);
    input["StackName"] = name.into();
    let family = Family {
        root: parent.root.unwrap_or_else(|| parent.id.clone()),
        parent: parent.id,
    };
    stack::begin(wanted.context, input, Some(family)).await
}

/// Changes one; its template may have changed although nothing of the properties has.
///
/// # Errors
/// What `UpdateStack` answers.
pub async fn update(wanted: &Wanted<'_>, physical: &str) -> Result<Updated, ApiError> {
    let parent = parent(wanted)?;
    let mut input = request(wanted, &parent);
    input["StackName"] = physical.into();
    stack::change(wanted.context, input, Update::Nested)
        .await
        .map(|_id| Updated::Done)
}

/// Begins to remove one.
///
/// # Errors
/// While it is being updated: that ends first.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let look = |state: &State| {
        let stack = state.stacks.get(physical).filter(|stack| !stack.is_gone());
        stack.map(|stack| stack.is_busy() && stack.status.starts_with("UPDATE_"))
    };
    match wanted.context.region.ledger.read(look) {
        None => Ok(()),
        Some(true) => {
            let message = format!("Embedded stack {physical} is being worked on");
            Err(ApiError::bad_request("ResourceInUseException", message))
        }
        Some(false) => {
            let input = json!({ "StackName": physical });
            wanted.call("cloudformation", "DeleteStack", input).await.map(|_| ())
        }
    }
}

/// Why a stack went back to what it was.
fn failure(stack: &Stack) -> Option<&str> {
    let told = |status: &str| {
        matches!(
            status,
            "ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_IN_PROGRESS" | "CREATE_FAILED"
        )
    };
    let mut own = stack.events.iter().rev().filter(|event| event.physical == stack.id);
    own.find(|event| told(&event.status))?.reason.as_deref()
}

/// How far one is that is being made or changed.
pub fn created(state: &State, physical: &str) -> Progress {
    let Some(stack) = state.stacks.get(physical) else {
        return Progress::Failed(format!("Embedded stack {physical} is gone"));
    };
    let reason = failure(stack).unwrap_or_default();
    match &*stack.status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => Progress::Done,
        "UPDATE_ROLLBACK_COMPLETE" | "UPDATE_ROLLBACK_FAILED" => Progress::Failed(format!(
            "Embedded stack {physical} was not successfully updated: {reason}"
        )),
        _ if stack.is_busy() => Progress::Busy,
        _ => Progress::Failed(format!(
            "Embedded stack {physical} was not successfully created: {reason}"
        )),
    }
}

/// How far the removal of one is.
pub fn removed(state: &State, physical: &str) -> Progress {
    match state.stacks.get(physical) {
        Some(stack) if stack.status == "DELETE_FAILED" => {
            let reason = stack.reason.as_deref().unwrap_or_default();
            Progress::Failed(format!(
                "Embedded stack {physical} was not successfully deleted: {reason}"
            ))
        }
        Some(stack) if !stack.is_gone() => Progress::Busy,
        _ => Progress::Done,
    }
}

/// What `Fn::GetAtt` gives: `Outputs.` and the name of one.
pub fn attribute(state: &State, physical: &str, name: &str) -> Option<Value> {
    let output = name.strip_prefix("Outputs.")?;
    let outputs = &state.stacks.get(physical)?.outputs;
    let found = outputs.iter().find(|(name, ..)| name == output);
    found.map(|(_, value, ..)| value.as_str().into())
}
