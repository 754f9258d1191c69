//! Drift: whether the resources of a stack still are what its template says. Compared are the properties that the template sets and
//! that can be read back; types that cannot be read are not checked, as CloudFormation does with types that it cannot read.

use aws_types::time::Time;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::stack::{Made, Stack};
use super::{find, invalid, live};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// What the last detection found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The id of the last detection.
    pub id: String,
    /// When it was.
    pub at: Timestamp,
    /// `DRIFTED` or `IN_SYNC`.
    pub status: String,
    /// Resources that were compared, by name in the template, as answers show them.
    pub resources: std::collections::BTreeMap<String, Value>,
}

/// Where a value differs from the template's, as CloudFormation writes it.
fn differences(expected: &Value, actual: &Value, path: &str, found: &mut Vec<Value>) {
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(there)) => {
            for (name, value) in wanted {
                let path = format!("{path}/{name}");
                match there.get(name) {
                    Some(other) => differences(value, other, &path, found),
                    None => found.push(difference(&path, value, &Value::Null, "REMOVE")),
                }
            }
        }
        (Value::Array(wanted), Value::Array(there)) => {
            // The order of lists means nothing where they are compared here.
            for (place, value) in wanted
                .iter()
                .enumerate()
                .filter(|(_, value)| !there.iter().any(|other| is_same(value, other)))
            {
                found.push(difference(&format!("{path}/{place}"), value, &Value::Null, "REMOVE"));
            }
            for (place, value) in there
                .iter()
                .enumerate()
                .filter(|(_, value)| !wanted.iter().any(|other| is_same(other, value)))
            {
                found.push(difference(&format!("{path}/{place}"), &Value::Null, value, "ADD"));
            }
        }
        _ if is_same(expected, actual) => {}
        _ => found.push(difference(path, expected, actual, "NOT_EQUAL")),
    }
}

/// Numbers and flags are texts in many a template.
fn is_same(left: &Value, right: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (left, right) {
        (Value::Object(_) | Value::Array(_), _) => {
            let mut found = Vec::new();
            left.is_object() == right.is_object() && {
                differences(left, right, "", &mut found);
                found.is_empty()
            }
        }
        _ => text(left) == text(right),
    }
}

fn difference(path: &str, expected: &Value, actual: &Value, kind: &str) -> Value {
    let text = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    json!({"PropertyPath": path, "ExpectedValue": text(expected), "ActualValue": text(actual), "DifferenceType": kind})
}

/// A resource compared; `None` when its type cannot be read.
fn compared(state: &State, stack: &Stack, name: &str, made: &Made, now: Timestamp) -> Option<Value> {
    let physical = made.physical.as_deref()?;
    let template = serde_json::to_value(&made.properties).unwrap_or_default();
    let there = live::properties(state, &made.kind, physical)?;
    let mut view = json!({
        "StackId": stack.id, "LogicalResourceId": name, "PhysicalResourceId": physical, "ResourceType": made.kind,
        "Timestamp": Time(now),
    });
    let Some(there) = there else {
        view["StackResourceDriftStatus"] = "DELETED".into();
        view["ExpectedProperties"] = template.to_string().into();
        return Some(view);
    };
    // What the template leaves open is the service's choice.
    let members = there.as_object().into_iter().flatten();
    let (mut expected, mut actual) = (json!({}), json!({}));
    for (member, value) in members {
        if let Some(wanted) = template.get(member).filter(|wanted| !wanted.is_null()) {
            expected[member] = live::normal(member, wanted);
            actual[member] = value.clone();
        }
    }
    let mut found = Vec::new();
    differences(&expected, &actual, "", &mut found);
    view["StackResourceDriftStatus"] = if found.is_empty() { "IN_SYNC" } else { "MODIFIED" }.into();
    view["ExpectedProperties"] = expected.to_string().into();
    view["ActualProperties"] = actual.to_string().into();
    view["PropertyDifferences"] = found.into();
    Some(view)
}

fn is_in_sync(view: &Value) -> bool {
    view.text("StackResourceDriftStatus") == Some("IN_SYNC")
}

/// Compares resources of a stack: those that are named, or all.
fn detect(state: &State, stack: &mut Stack, names: &[&str], id: &str, now: Timestamp) -> Result<(), ApiError> {
    let settled = matches!(
        &*stack.status,
        "CREATE_COMPLETE"
            | "UPDATE_COMPLETE"
            | "UPDATE_ROLLBACK_COMPLETE"
            | "UPDATE_ROLLBACK_FAILED"
            | "ROLLBACK_COMPLETE"
    );
    if !settled {
        return Err(invalid(format!(
            "Drift detection cannot be performed on stack [{}] in its current state [{}].",
            stack.id, stack.status
        )));
    }
    if let Some(unknown) = names.iter().find(|name| !stack.resources.contains_key(**name)) {
        return Err(invalid(format!(
            "Resource {unknown} does not exist for stack {}",
            stack.name
        )));
    }
    let mut resources = stack.drift.take().map(|drift| drift.resources).unwrap_or_default();
    resources.retain(|name, _| stack.resources.contains_key(name));
    for (name, made) in &stack.resources {
        if !names.is_empty() && !names.contains(&name.as_str()) {
            continue;
        }
        if let Some(view) = compared(state, stack, name, made, now) {
            resources.insert(name.clone(), view);
        }
    }
    let status = if resources.values().all(is_in_sync) {
        "IN_SYNC"
    } else {
        "DRIFTED"
    };
    stack.drift = Some(Drift {
        id: id.to_owned(),
        at: now,
        status: status.to_owned(),
        resources,
    });
    Ok(())
}

async fn detected<T>(
    context: &Context,
    name: &str,
    logical: &[&str],
    view: impl FnOnce(&Stack) -> T,
) -> Result<T, ApiError> {
    let (id, now) = (context.region.random.uuid(), context.region.clock.now());
    let decide = |state: &State| {
        let mut stack = find(state, name)?.clone();
        detect(state, &mut stack, logical, &id, now)?;
        Ok::<_, ApiError>((view(&stack), vec![Change::put(stack)]))
    };
    context.region.ledger.change(decide).await
}

/// `DetectStackDrift`: done when it is answered.
pub async fn detect_stack(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("LogicalResourceIds");
    let view = |stack: &Stack| json!({ "StackDriftDetectionId": stack.drift.as_ref().map(|drift| drift.id.clone()) });
    detected(&context, input.required("StackName"), &names, view).await
}

/// `DetectStackResourceDrift`.
pub async fn detect_resource(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("LogicalResourceId");
    let view = |stack: &Stack| {
        let found = stack
            .drift
            .as_ref()
            .and_then(|drift| drift.resources.get(name))
            .cloned();
        let kind = stack
            .resources
            .get(name)
            .map(|made| made.kind.clone())
            .unwrap_or_default();
        found.ok_or(kind)
    };
    match detected(&context, input.required("StackName"), &[name], view).await? {
        Ok(found) => Ok(json!({ "StackResourceDrift": found })),
        Err(kind) => Err(invalid(format!(
            "Resource type {kind} does not support drift detection"
        ))),
    }
}

/// `DescribeStackDriftDetectionStatus`.
pub async fn status(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("StackDriftDetectionId");
    context.region.ledger.read(|state| {
        let mut stacks = state
            .stacks
            .values()
            .filter_map(|stack| Some((stack, stack.drift.as_ref()?)));
        let found = stacks.find(|(_, drift)| drift.id == id);
        let (stack, drift) = found.ok_or_else(|| invalid(format!("Drift detection [{id}] does not exist")))?;
        let drifted = drift.resources.values().filter(|view| !is_in_sync(view)).count();
        Ok(json!({
            "StackId": stack.id, "StackDriftDetectionId": id, "StackDriftStatus": drift.status,
            "DetectionStatus": "DETECTION_COMPLETE", "DriftedStackResourceCount": drifted, "Timestamp": Time(drift.at),
        }))
    })
}

/// `DescribeStackResourceDrifts`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.texts("StackResourceDriftStatusFilters");
    let views = context.region.ledger.read(|state| {
        let stack = find(state, input.required("StackName"))?;
        let all = stack.drift.iter().flat_map(|drift| drift.resources.values());
        let chosen =
            all.filter(|view| wanted.is_empty() || wanted.contains(&view.required("StackResourceDriftStatus")));
        Ok::<_, ApiError>(chosen.cloned().collect::<Vec<Value>>())
    })?;
    super::query::page(&input, "StackResourceDrifts", views)
}

/// What stacks show of their drift.
pub fn information(stack: &Stack) -> Value {
    match &stack.drift {
        None => json!({"StackDriftStatus": "NOT_CHECKED"}),
        Some(drift) => json!({"StackDriftStatus": drift.status, "LastCheckTimestamp": Time(drift.at)}),
    }
}

/// What resources show of their drift.
pub fn resource_information(stack: &Stack, name: &str) -> Value {
    let found = stack
        .drift
        .as_ref()
        .and_then(|drift| Some((drift, drift.resources.get(name)?)));
    match found {
        None => json!({"StackResourceDriftStatus": "NOT_CHECKED"}),
        Some((drift, view)) => {
            json!({"StackResourceDriftStatus": view["StackResourceDriftStatus"], "LastCheckTimestamp": Time(drift.at)})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let expected = json!({"Size": "3", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}], "Gone": "x", "Deep": {"A": 1}});
        let actual = json!({"Size": 4, "Tags": [{"Key": "b", "Value": "2"}, {"Key": "c", "Value": "3"}], "Deep": {"A": "1", "B": 2}});
        let mut found = Vec::new();
        differences(&expected, &actual, "", &mut found);
        let told: Vec<(&str, &str)> = found
            .iter()
            .map(|one| (one.required("PropertyPath"), one.required("DifferenceType")))
            .collect();
        assert_eq!(
            told,
            [
                ("/Size", "NOT_EQUAL"),
                ("/Tags/0", "REMOVE"),
                ("/Tags/1", "ADD"),
                ("/Gone", "REMOVE")
            ]
        );
    }
}
