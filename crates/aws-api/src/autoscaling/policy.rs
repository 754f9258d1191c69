//! Scaling policies: simple and step policies change a group's size when they are executed. Target tracking and predictive
//! policies follow metrics, which nothing here collects: they are recorded.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::group::{edit, find};
use super::{invalid, page};
use crate::error::ApiError;
use crate::fleet::group::AutoScalingGroup;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Members that are kept as they were given.
const KEPT: &[&str] = &[
    "AdjustmentType",
    "MinAdjustmentStep",
    "MinAdjustmentMagnitude",
    "ScalingAdjustment",
    "Cooldown",
    "MetricAggregationType",
    "StepAdjustments",
    "EstimatedInstanceWarmup",
    "TargetTrackingConfiguration",
    "PredictiveScalingConfiguration",
];
const ADJUSTMENTS: &[&str] = &["ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity"];

/// What a policy of a type must say.
fn check(kind: &str, input: &Value) -> Result<(), ApiError> {
    let needed: &[&str] = match kind {
        "SimpleScaling" => &["AdjustmentType", "ScalingAdjustment"],
        "StepScaling" => &["AdjustmentType", "StepAdjustments"],
        "TargetTrackingScaling" => &["TargetTrackingConfiguration"],
        "PredictiveScaling" => &["PredictiveScalingConfiguration"],
        other => {
            let message = format!(
                "Invalid PolicyType: {other}. Valid values are [SimpleScaling, StepScaling, TargetTrackingScaling, PredictiveScaling]"
            );
            return Err(invalid(message));
        }
    };
    let lacking = |member: &&&str| {
        let value = input.get(**member);
        value.is_none_or(|value| value.is_null() || value.as_array().is_some_and(Vec::is_empty))
    };
    if let Some(member) = needed.iter().find(lacking) {
        return Err(invalid(format!(
            "You must specify a value for {member} for policy type: {kind}"
        )));
    }
    match input.text("AdjustmentType") {
        Some(other) if !ADJUSTMENTS.contains(&other) => Err(invalid(format!(
            "Invalid AdjustmentType: {other}. Valid adjustment types are {}",
            ADJUSTMENTS.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// `PutScalingPolicy`.
pub async fn put(context: Context, input: Value) -> Result<Value, ApiError> {
    let kind = input.text("PolicyType").unwrap_or("SimpleScaling");
    check(kind, &input)?;
    let (group, name) = (input.required("AutoScalingGroupName"), input.required("PolicyName"));
    let region = &context.region;
    edit(&context, group, |_, group| {
        let known = group.policies.get(name).and_then(|known| known.text("PolicyARN"));
        let arn = known.map(str::to_owned).unwrap_or_else(|| {
            format!(
                "arn:aws:autoscaling:{}:{}:scalingPolicy:{}:autoScalingGroupName/{}:policyName/{name}",
                region.name,
                context.caller.account,
                region.random.uuid(),
                group.name
            )
        });
        let mut policy = json!({
            "AutoScalingGroupName": group.name, "PolicyName": name, "PolicyARN": arn, "PolicyType": kind, "Alarms": [],
            "StepAdjustments": [], "Enabled": input.flag("Enabled").unwrap_or(true),
        });
        for member in KEPT {
            if let Some(value) = input.get(*member).filter(|value| !value.is_null()) {
                policy[*member] = value.clone();
            }
        }
        group.policies.insert(name.to_owned(), policy);
        Ok(json!({"PolicyARN": arn, "Alarms": []}))
    })
    .await
}

fn is_named(policy: &Value, name: &str) -> bool {
    policy.text("PolicyName") == Some(name) || policy.text("PolicyARN") == Some(name)
}

/// `DescribePolicies`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let (names, types) = (input.texts("PolicyNames"), input.texts("PolicyTypes"));
    let wanted = input.text("AutoScalingGroupName");
    let views = context.region.ledger.read(|state| {
        if let Some(name) = wanted {
            let is_managed = super::of_nodegroups(state).any(|(_, group)| group.auto_scaling_group == name);
            if !is_managed {
                find(state, name)?;
            }
        }
        let groups = state
            .groups
            .values()
            .filter(|group| wanted.is_none_or(|name| name == group.name));
        let policies = groups.flat_map(|group| group.policies.values());
        let chosen = policies
            .filter(|policy| names.is_empty() || names.iter().any(|name| is_named(policy, name)))
            .filter(|policy| types.is_empty() || types.contains(&policy.required("PolicyType")));
        Ok::<_, ApiError>(chosen.cloned().collect())
    })?;
    page(&input, "ScalingPolicies", views)
}

/// The group and name of the policy that a request names, by ARN or by name.
fn named(state: &State, input: &Value) -> Result<(String, String), ApiError> {
    let (wanted, name) = (input.text("AutoScalingGroupName"), input.required("PolicyName"));
    if let Some(group) = wanted {
        find(state, group)?;
    }
    let mut groups = state
        .groups
        .values()
        .filter(|group| wanted.is_none_or(|wanted| wanted == group.name));
    let found = groups.find_map(|group| {
        let policy = group.policies.values().find(|policy| is_named(policy, name))?;
        Some((group.name.clone(), policy.required("PolicyName").to_owned()))
    });
    found.ok_or_else(|| {
        let message = match wanted {
            Some(group) => format!("No policy found for autoscaling group '{group}' with policy name '{name}'"),
            None => format!("No policy found with policy name '{name}'"),
        };
        invalid(message)
    })
}

/// `DeletePolicy`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let (group, name) = context.region.ledger.read(|state| named(state, &input))?;
    edit(&context, &group, |_, group| {
        group.policies.remove(&name);
        Ok(nothing())
    })
    .await
}

/// `ExecutePolicy`.
pub async fn execute(context: Context, input: Value) -> Result<Value, ApiError> {
    let (group, name) = context.region.ledger.read(|state| named(state, &input))?;
    let now = context.region.clock.now();
    edit(&context, &group, |_, group| {
        let policy = group.policies.get(&name).cloned().unwrap_or_default();
        let cooldown = policy
            .number("Cooldown")
            .or_else(|| group.details.number("DefaultCooldown"));
        let is_resting = group
            .scaled_at
            .is_some_and(|at| now.duration_since(at) < SignedDuration::from_secs(cooldown.unwrap_or(300)));
        if input.flag("HonorCooldown") == Some(true) && is_resting {
            let message = "The group is in its cooldown period.";
            return Err(ApiError::bad_request("ScalingActivityInProgress", message));
        }
        let adjustment = adjustment(&policy, &input)?;
        let least = policy
            .number("MinAdjustmentMagnitude")
            .or_else(|| policy.number("MinAdjustmentStep"))
            .unwrap_or(1);
        group.desired = size(group, policy.required("AdjustmentType"), adjustment, least);
        (group.scaled_at, group.pause) = (Some(now), None);
        Ok(nothing())
    })
    .await
}

/// By how much a policy changes the size; a step policy is told how far its metric is beyond the alarm's threshold.
fn adjustment(policy: &Value, input: &Value) -> Result<i64, ApiError> {
    let real = |member: &str| input.get(member).and_then(Value::as_f64);
    match policy.required("PolicyType") {
        "SimpleScaling" => Ok(policy.number("ScalingAdjustment").unwrap_or(0)),
        "StepScaling" => {
            let (Some(value), Some(threshold)) = (real("MetricValue"), real("BreachThreshold")) else {
                return Err(invalid(
                    "MetricValue and BreachThreshold are required to execute a policy of type StepScaling",
                ));
            };
            let beyond = value - threshold;
            let steps = policy.list("StepAdjustments").iter();
            let found = steps.clone().find(|step| {
                let bound = |member: &str, open: f64| step.get(member).and_then(Value::as_f64).unwrap_or(open);
                let (lower, upper) = (
                    bound("MetricIntervalLowerBound", f64::NEG_INFINITY),
                    bound("MetricIntervalUpperBound", f64::INFINITY),
                );
                // Above the threshold the lower bound belongs to a step, below it the upper one.
                if beyond >= 0.0 {
                    lower <= beyond && beyond < upper
                } else {
                    lower < beyond && beyond <= upper
                }
            });
            let step =
                found.ok_or_else(|| invalid("No step adjustment found for the metric value and breach threshold"))?;
            Ok(step.number("ScalingAdjustment").unwrap_or(0))
        }
        other => Err(invalid(format!("Policies of type {other} cannot be executed."))),
    }
}

/// The size that an adjustment gives, within the group's bounds. Shares of the size are cut towards zero, but never to nothing.
fn size(group: &AutoScalingGroup, kind: &str, adjustment: i64, least: i64) -> u32 {
    let now = i64::from(group.desired);
    let wanted = match kind {
        "ExactCapacity" => adjustment,
        "PercentChangeInCapacity" => {
            let share = now * adjustment / 100;
            let change = share.abs().max(least.max(1)) * adjustment.signum();
            now + change
        }
        _ => now + adjustment,
    };
    let wanted = wanted.clamp(i64::from(group.min), i64::from(group.max));
    u32::try_from(wanted).unwrap_or(group.desired)
}

/// `DescribeAdjustmentTypes`.
pub async fn adjustment_types(_context: Context, _input: Value) -> Result<Value, ApiError> {
    let types: Vec<Value> = ADJUSTMENTS
        .iter()
        .map(|kind| json!({ "AdjustmentType": kind }))
        .collect();
    Ok(json!({ "AdjustmentTypes": types }))
}
