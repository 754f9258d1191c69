//! Lifecycle hooks, suspended processes, target groups and other facts of users' groups.

use serde_json::{Value, json};

use super::group::{edit, find};
use super::invalid;
use crate::catalogue::{self, ItemKind};
use crate::error::ApiError;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Processes that can be suspended.
const PROCESSES: &[&str] = &[
    "AZRebalance",
    "AddToLoadBalancer",
    "AlarmNotification",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "ReplaceUnhealthy",
    "ScheduledActions",
    "Terminate",
];

/// A hook as answers show it.
pub fn view(group: &str, input: &Value) -> Value {
    let timeout = input.number("HeartbeatTimeout").unwrap_or(3600);
    let mut view = json!({
        "LifecycleHookName": input.text("LifecycleHookName"), "AutoScalingGroupName": group,
        "LifecycleTransition": input.text("LifecycleTransition"), "HeartbeatTimeout": timeout,
        "GlobalTimeout": (timeout * 100).min(172_800), "DefaultResult": input.text("DefaultResult").unwrap_or("ABANDON"),
    });
    for member in ["NotificationTargetARN", "RoleARN", "NotificationMetadata"] {
        if let Some(text) = input.text(member) {
            view[member] = text.into();
        }
    }
    view
}

/// `PutLifecycleHook`.
pub async fn put(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("LifecycleHookName").to_owned();
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let mut wanted = input.clone();
        if let Some(known) = group.hooks.get(&name) {
            for member in [
                "LifecycleTransition",
                "HeartbeatTimeout",
                "DefaultResult",
                "NotificationTargetARN",
                "RoleARN",
            ] {
                if wanted.get(member).is_none_or(Value::is_null) {
                    wanted[member] = known[member].clone();
                }
            }
        } else if wanted.text("LifecycleTransition").is_none() {
            return Err(invalid(
                "You must specify a lifecycle transition for a new lifecycle hook.",
            ));
        }
        let made = view(&group.name, &wanted);
        group.hooks.insert(name, made);
        Ok(nothing())
    })
    .await
}

/// `DescribeLifecycleHooks`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("LifecycleHookNames");
    context.region.ledger.read(|state| {
        let group = find(state, input.required("AutoScalingGroupName"))?;
        let hooks = group
            .hooks
            .iter()
            .filter(|(name, _)| names.is_empty() || names.contains(&name.as_str()));
        Ok(json!({ "LifecycleHooks": hooks.map(|(_, hook)| hook.clone()).collect::<Vec<_>>() }))
    })
}

/// `DeleteLifecycleHook`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("LifecycleHookName");
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.hooks.remove(name);
        Ok(nothing())
    })
    .await
}

fn processes(input: &Value) -> Result<Vec<String>, ApiError> {
    let named = input.texts("ScalingProcesses");
    if let Some(unknown) = named.iter().find(|name| !PROCESSES.contains(name)) {
        return Err(invalid(format!("Invalid process name: {unknown}")));
    }
    let chosen = if named.is_empty() { PROCESSES.to_vec() } else { named };
    Ok(chosen.into_iter().map(str::to_owned).collect())
}

/// `SuspendProcesses`.
pub async fn suspend(context: Context, input: Value) -> Result<Value, ApiError> {
    let processes = processes(&input)?;
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.suspended.extend(processes);
        Ok(nothing())
    })
    .await
}

/// `ResumeProcesses`.
pub async fn resume(context: Context, input: Value) -> Result<Value, ApiError> {
    let processes = processes(&input)?;
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.suspended.retain(|name| !processes.contains(name));
        Ok(nothing())
    })
    .await
}

/// `AttachLoadBalancerTargetGroups`.
pub async fn attach_targets(context: Context, input: Value) -> Result<Value, ApiError> {
    let arns: Vec<String> = input.texts("TargetGroupARNs").into_iter().map(str::to_owned).collect();
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.target_groups.extend(arns);
        Ok(nothing())
    })
    .await
}

/// `DetachLoadBalancerTargetGroups`.
pub async fn detach_targets(context: Context, input: Value) -> Result<Value, ApiError> {
    let arns = input.texts("TargetGroupARNs");
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.target_groups.retain(|arn| !arns.contains(&arn.as_str()));
        Ok(nothing())
    })
    .await
}

/// `DescribeLoadBalancerTargetGroups`.
pub async fn describe_targets(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let group = find(state, input.required("AutoScalingGroupName"))?;
        let views = group
            .target_groups
            .iter()
            .map(|arn| json!({"LoadBalancerTargetGroupARN": arn, "State": "InService"}));
        Ok(json!({ "LoadBalancerTargetGroups": views.collect::<Vec<_>>() }))
    })
}

/// `DescribeScalingProcessTypes`.
pub async fn process_types(_context: Context, _input: Value) -> Result<Value, ApiError> {
    let views: Vec<Value> = PROCESSES.iter().map(|name| json!({"ProcessName": name})).collect();
    Ok(json!({ "Processes": views }))
}

/// `DescribeLifecycleHookTypes`.
pub async fn hook_types(_context: Context, _input: Value) -> Result<Value, ApiError> {
    let types = [
        "autoscaling:EC2_INSTANCE_LAUNCHING",
        "autoscaling:EC2_INSTANCE_TERMINATING",
    ];
    Ok(json!({ "LifecycleHookTypes": types }))
}

/// `DescribeTerminationPolicyTypes`.
pub async fn termination_policies(_context: Context, _input: Value) -> Result<Value, ApiError> {
    let types = [
        "AllocationStrategy",
        "ClosestToNextInstanceHour",
        "Default",
        "NewestInstance",
        "OldestInstance",
        "OldestLaunchConfiguration",
        "OldestLaunchTemplate",
    ];
    Ok(json!({ "TerminationPolicyTypes": types }))
}

/// `DescribeAccountLimits`.
pub async fn limits(context: Context, _input: Value) -> Result<Value, ApiError> {
    let (groups, configurations) = context.region.ledger.read(|state| {
        let configurations = catalogue::of_kind(state, ItemKind::LaunchConfiguration).count();
        (state.groups.len(), configurations)
    });
    Ok(json!({
        "MaxNumberOfAutoScalingGroups": 500, "MaxNumberOfLaunchConfigurations": 200, "NumberOfAutoScalingGroups": groups,
        "NumberOfLaunchConfigurations": configurations,
    }))
}
