//! What Auto Scaling groups of templates have beside them: launch configurations, policies, hooks, scheduled actions, warm pools.

use serde_json::{Value, json};

use super::services::{made_before, request};
use super::{Updated, Wanted, unsupported};
use crate::error::ApiError;
use crate::members::Members;

/// Types that are made here.
pub const KINDS: &[&str] = &[
    "AWS::AutoScaling::LaunchConfiguration",
    "AWS::AutoScaling::LifecycleHook",
    "AWS::AutoScaling::ScalingPolicy",
    "AWS::AutoScaling::ScheduledAction",
    "AWS::AutoScaling::WarmPool",
];

/// A type with the operations that make and remove it, and the member that names it.
struct Facts {
    make: &'static str,
    remove: &'static str,
    name: &'static str,
}

fn facts(kind: &str) -> Result<Facts, ApiError> {
    let (make, remove, name) = match kind {
        "AWS::AutoScaling::LaunchConfiguration" => (
            "CreateLaunchConfiguration",
            "DeleteLaunchConfiguration",
            "LaunchConfigurationName",
        ),
        "AWS::AutoScaling::LifecycleHook" => ("PutLifecycleHook", "DeleteLifecycleHook", "LifecycleHookName"),
        "AWS::AutoScaling::ScalingPolicy" => ("PutScalingPolicy", "DeletePolicy", "PolicyName"),
        "AWS::AutoScaling::ScheduledAction" => (
            "PutScheduledUpdateGroupAction",
            "DeleteScheduledAction",
            "ScheduledActionName",
        ),
        "AWS::AutoScaling::WarmPool" => ("PutWarmPool", "DeleteWarmPool", "AutoScalingGroupName"),
        other => return Err(unsupported(other)),
    };
    Ok(Facts { make, remove, name })
}

/// A launch configuration cannot be changed, so its name follows from what it says: the new one is another than the old one.
fn name_of(wanted: &Wanted<'_>, facts: &Facts) -> String {
    let name = wanted.name(facts.name, 230);
    if wanted.kind != "AWS::AutoScaling::LaunchConfiguration" || wanted.properties.text(facts.name).is_some() {
        return name;
    }
    let hash = wanted
        .properties
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{name}-{hash:016X}")
}

async fn put(wanted: &Wanted<'_>) -> Result<(String, Value), ApiError> {
    let facts = facts(wanted.kind)?;
    let name = name_of(wanted, &facts);
    let mut given = wanted.properties.clone();
    given[facts.name] = name.as_str().into();
    if given.get("InstanceMonitoring").is_some_and(|value| !value.is_object()) {
        given["InstanceMonitoring"] = json!({ "Enabled": given["InstanceMonitoring"] });
    }
    let answer = wanted
        .call("autoscaling", facts.make, request("autoscaling", facts.make, &given))
        .await?;
    Ok((name, answer))
}

/// Makes one.
///
/// # Errors
/// What Auto Scaling answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    match put(wanted).await {
        Ok((name, answer)) => Ok(answer.text("PolicyARN").map_or(name, str::to_owned)),
        Err(error) => {
            made_before(Err(error), "AlreadyExists")?;
            Ok(name_of(wanted, &facts(wanted.kind)?))
        }
    }
}

/// Changes one where it is.
///
/// # Errors
/// What Auto Scaling answers.
pub async fn update(wanted: &Wanted<'_>) -> Result<Updated, ApiError> {
    put(wanted).await?;
    Ok(Updated::Done)
}

/// Removes one.
///
/// # Errors
/// What Auto Scaling answers.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let facts = facts(wanted.kind)?;
    let mut input = json!({ facts.name: physical });
    if let Some(group) = wanted
        .properties
        .text("AutoScalingGroupName")
        .filter(|_| !physical.starts_with("arn:"))
    {
        input["AutoScalingGroupName"] = group.into();
    }
    match wanted.call("autoscaling", facts.remove, input).await {
        // It went with its group, or before.
        Err(error) if error.code == "ValidationError" => Ok(()),
        other => other.map(drop),
    }
}

/// Whether a property can only be had by a new one.
pub fn replaces(kind: &str, property: &str) -> bool {
    match kind {
        "AWS::AutoScaling::LaunchConfiguration" => true,
        _ => property == "AutoScalingGroupName" || facts(kind).is_ok_and(|facts| facts.name == property),
    }
}
