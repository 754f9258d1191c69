//! CloudFormation: stacks of resources, made, changed and removed by the same operations that clients call.

pub mod change_set;
pub mod deletion;
pub mod drift;
mod engine;
mod live;
pub mod query;
mod resource;
pub mod rollback;
mod source;
pub mod stack;
mod stack_policy;
mod world;

use std::collections::BTreeMap;

use stack_planner::{Pseudo, Template};

use crate::error::ApiError;
use crate::ledger::State;
use crate::region::Region;
use stack::Stack;

pub use engine::{AtWork, resume};

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("ValidationError", message)
}

/// The stack of a name or id: names mean stacks that are there, ids also those that are gone.
///
/// # Errors
/// `ValidationError`, on which clients rely.
fn find<'a>(state: &'a State, name: &str) -> Result<&'a Stack, ApiError> {
    let found = state.stacks.get(name).or_else(|| {
        state
            .stacks
            .values()
            .find(|stack| stack.name == name && !stack.is_gone())
    });
    found.ok_or_else(|| invalid(format!("Stack with id {name} does not exist")))
}

fn pseudo(region: &Region, stack: &Stack) -> Pseudo {
    let zones = aws_types::region::find(&region.name)
        .map(aws_types::region::Region::zones)
        .unwrap_or_default();
    Pseudo {
        account: region.account().to_string(),
        region: region.name.to_string(),
        stack_name: stack.name.clone(),
        stack_id: stack.id.clone(),
        zones: zones.into_iter().map(|(zone, _)| zone.to_string()).collect(),
    }
}

/// A template, or CloudFormation's word on what is wrong with it.
fn parse(text: &str) -> Result<Template, ApiError> {
    if text.len() > 51_200 * 20 {
        return Err(invalid("Template may not exceed 1000000 bytes in size."));
    }
    let template = Template::parse(text).map_err(|error| invalid(error.to_string()))?;
    if !template.transforms.is_empty() {
        return Err(invalid(format!(
            "Transforms are not available in this region: {}",
            template.transforms.join(", ")
        )));
    }
    let unknown: Vec<&str> = template
        .resources
        .iter()
        .map(|resource| resource.kind.as_str())
        .filter(|kind| !resource::is_known(kind))
        .collect();
    if !unknown.is_empty() {
        return Err(invalid(format!(
            "Template format error: Unrecognized resource types: [{}]",
            unknown.join(", ")
        )));
    }
    Ok(template)
}

/// The parameters of a request: given ones, and those that keep the value they had.
fn parameters(input: &serde_json::Value, before: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    use crate::members::Members;
    let one = |given: &serde_json::Value| {
        let key = given.text("ParameterKey")?;
        let kept = || before.and_then(|before| before.get(key)).cloned();
        let value = if given.flag("UsePreviousValue") == Some(true) {
            kept()
        } else {
            given.text("ParameterValue").map(str::to_owned)
        };
        Some((key.to_owned(), value?))
    };
    input.list("Parameters").iter().filter_map(one).collect()
}
