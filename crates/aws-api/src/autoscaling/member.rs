//! Instances as members of users' groups: attached, detached, protected, in standby, unhealthy, terminated.

use serde_json::{Value, json};

use super::group::{self, edit};
use super::{activity, invalid};
use crate::error::ApiError;
use crate::fleet::group::AutoScalingGroup;
use crate::fleet::instance::{Ec2Instance, LifeState};
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

fn no_instance(id: &str) -> ApiError {
    invalid(format!(
        "Instance Id not found - No managed instance found for instance ID {id}"
    ))
}

/// A live instance of a group.
fn member<'a>(state: &'a State, name: &str, id: &str) -> Result<&'a Ec2Instance, ApiError> {
    let found = state
        .instances
        .values()
        .find(|one| one.id.as_str() == id && one.group.as_deref() == Some(name));
    found
        .filter(|one| one.state != LifeState::Terminated)
        .ok_or_else(|| invalid(format!("The instance {id} is not part of Auto Scaling group {name}.")))
}

/// Changes members and their group together.
async fn change(
    context: &Context,
    input: &Value,
    each: impl Fn(&mut AutoScalingGroup, &mut Ec2Instance) -> Result<(), ApiError>,
    finish: impl FnOnce(&State, &mut AutoScalingGroup) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let name = input.required("AutoScalingGroupName");
    let decide = |state: &State| {
        let mut group = group::find(state, name)?.clone();
        let mut changes = Vec::new();
        for id in input.texts("InstanceIds") {
            let mut one = member(state, name, id)?.clone();
            each(&mut group, &mut one)?;
            changes.push(Change::put(one));
        }
        let answer = finish(state, &mut group)?;
        changes.push(Change::put(group));
        Ok::<_, ApiError>((answer, changes))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}

fn told(context: &Context, input: &Value, group: &mut AutoScalingGroup, what: &str) -> Value {
    let now = context.region.clock.now();
    let activities: Vec<Value> = input
        .texts("InstanceIds")
        .into_iter()
        .map(|id| {
            let mut told = activity::terminating(context, group, id, now);
            told["Description"] = format!("{what} EC2 instance: {id}").into();
            told["Cause"] = format!(
                "At {} instance {id} was changed in response to a user request.",
                now.strftime("%Y-%m-%dT%H:%M:%SZ")
            )
            .into();
            told["StatusCode"] = "InProgress".into();
            told["Progress"] = 50.into();
            if let Some(members) = told.as_object_mut() {
                members.remove("EndTime");
            }
            group.record(told.clone());
            told
        })
        .collect();
    activities.into()
}

fn shrink(group: &mut AutoScalingGroup, count: usize, what: &str) -> Result<(), ApiError> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let left = group.desired.saturating_sub(count);
    if left < group.min {
        let message = format!(
            "AutoScalingGroup {} has min-size={}, max-size={}, and desired-size={}. To {what} {count} instance, please update the AutoScalingGroup sizes appropriately.",
            group.name, group.min, group.max, group.desired
        );
        return Err(invalid(message));
    }
    group.desired = left;
    Ok(())
}

/// `AttachInstances`.
pub async fn attach(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AutoScalingGroupName");
    let decide = |state: &State| {
        let mut group = group::find(state, name)?.clone();
        let ids = input.texts("InstanceIds");
        let mut changes = Vec::new();
        for id in &ids {
            let known = state.instances.values().find(|one| one.id.as_str() == *id);
            let Some(known) = known.filter(|one| one.state == LifeState::Running) else {
                return Err(invalid(format!(
                    "Invalid Instance ID(s): [{id}]. Only running instances can be attached."
                )));
            };
            if known.group.is_some() {
                return Err(invalid(format!(
                    "Instance {id} is already part of an Auto Scaling group."
                )));
            }
            let mut one = known.clone();
            one.group = Some(name.to_owned());
            one.protected = group.protects_new;
            one.tags.extend(group.instance_tags());
            changes.push(Change::put(one));
        }
        let more = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        group.desired = group.desired.saturating_add(more);
        if group.desired > group.max {
            let message = format!(
                "AutoScalingGroup {name} has min-size={}, max-size={}, and desired-size={}. To attach {more} more instance, please update the AutoScalingGroup sizes appropriately.",
                group.min,
                group.max,
                group.desired - more
            );
            return Err(invalid(message));
        }
        changes.push(Change::put(group));
        Ok::<_, ApiError>(((), changes))
    };
    context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(nothing())
}

/// `DetachInstances`.
pub async fn detach(context: Context, input: Value) -> Result<Value, ApiError> {
    let count = input.texts("InstanceIds").len();
    let each = |_: &mut AutoScalingGroup, one: &mut Ec2Instance| {
        (one.group, one.protected, one.standby) = (None, false, false);
        one.tags.remove("aws:autoscaling:groupName");
        Ok(())
    };
    change(&context, &input, each, |_, group| {
        if input.flag("ShouldDecrementDesiredCapacity") == Some(true) {
            shrink(group, count, "detach")?;
        }
        Ok(json!({ "Activities": told(&context, &input, group, "Detaching") }))
    })
    .await
}

/// `EnterStandby`.
pub async fn enter_standby(context: Context, input: Value) -> Result<Value, ApiError> {
    let count = input.texts("InstanceIds").len();
    let each = |_: &mut AutoScalingGroup, one: &mut Ec2Instance| {
        one.standby = true;
        Ok(())
    };
    change(&context, &input, each, |_, group| {
        if input.flag("ShouldDecrementDesiredCapacity") == Some(true) {
            shrink(group, count, "move to standby")?;
        }
        Ok(json!({ "Activities": told(&context, &input, group, "Moving to Standby") }))
    })
    .await
}

/// `ExitStandby`.
pub async fn exit_standby(context: Context, input: Value) -> Result<Value, ApiError> {
    let count = u32::try_from(input.texts("InstanceIds").len()).unwrap_or(u32::MAX);
    let each = |group: &mut AutoScalingGroup, one: &mut Ec2Instance| {
        if !one.standby {
            return Err(invalid(format!(
                "The instance {} is not in Standby in group {}.",
                one.id, group.name
            )));
        }
        one.standby = false;
        Ok(())
    };
    change(&context, &input, each, |_, group| {
        if group.desired + count > group.max {
            let message = format!(
                "AutoScalingGroup {} has min-size={}, max-size={}, and desired-size={}. To exit standby {count} instance, please update the AutoScalingGroup sizes appropriately.",
                group.name, group.min, group.max, group.desired
            );
            return Err(invalid(message));
        }
        group.desired += count;
        Ok(json!({ "Activities": told(&context, &input, group, "Moving out of Standby") }))
    })
    .await
}

/// `SetInstanceProtection`.
pub async fn protect(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.flag("ProtectedFromScaleIn").unwrap_or(false);
    let each = |_: &mut AutoScalingGroup, one: &mut Ec2Instance| {
        one.protected = wanted;
        Ok(())
    };
    change(&context, &input, each, |_, _| Ok(nothing())).await
}

/// `SetInstanceHealth`: an unhealthy instance is replaced.
pub async fn set_health(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InstanceId");
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let known = state
            .instances
            .values()
            .find(|one| one.id.as_str() == id && one.group.is_some());
        let mut one = known.ok_or_else(|| no_instance(id))?.clone();
        match input.required("HealthStatus") {
            "Healthy" => return Ok(((), Vec::new())),
            "Unhealthy" => {}
            other => {
                return Err(invalid(format!(
                    "Valid instance health states are: [Healthy, Unhealthy], got {other}"
                )));
            }
        }
        let group = one.group.as_ref().and_then(|name| state.groups.get(name));
        if let Some(group) = group.filter(|group| group.does("ReplaceUnhealthy")) {
            let code = "Client.UserInitiatedShutdown";
            let reason = (code, format!("{code}: the instance was reported unhealthy"));
            one.leave(group, now, reason, || context.region.random.uuid());
        }
        Ok::<_, ApiError>(((), vec![Change::put(one)]))
    };
    context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(nothing())
}

/// `TerminateInstanceInAutoScalingGroup` of a user's group; `None` when no such group has it.
///
/// # Errors
/// When the group would become too small.
pub async fn terminate(context: &Context, id: &str, shrinks: bool) -> Result<Option<Value>, ApiError> {
    let name = context.region.ledger.read(|state| {
        let one = state
            .instances
            .values()
            .find(|one| one.id.as_str() == id && one.state != LifeState::Terminated)?;
        one.group.clone()
    });
    let Some(name) = name else { return Ok(None) };
    let now = context.region.clock.now();
    let told = edit(context, &name, |_, group| {
        if shrinks && group.desired <= group.min {
            let message = "Currently, desiredSize equals minSize. Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.";
            return Err(invalid(message));
        }
        group.desired -= u32::from(shrinks);
        let mut told = activity::terminating(context, group, id, now);
        told["Cause"] = format!("At {} instance {id} was taken out of service in response to a user request.", now.strftime("%Y-%m-%dT%H:%M:%SZ")).into();
        group.record(told.clone());
        told["StatusCode"] = "InProgress".into();
        told["Progress"] = 0.into();
        if let Some(members) = told.as_object_mut() {
            members.remove("EndTime");
        }
        Ok(told)
    })
    .await?;
    let decide = |state: &State| {
        let known = state.instances.values().find(|one| one.id.as_str() == id).cloned();
        let ended = known.map(|mut one| {
            let reason = (
                "Client.UserInitiatedShutdown",
                "Client.UserInitiatedShutdown: User initiated shutdown".to_owned(),
            );
            match state.groups.get(&name) {
                Some(group) => one.leave(group, now, reason, || context.region.random.uuid()),
                None => one.become_state(LifeState::ShuttingDown, now, Some(reason)),
            }
            Change::put(one)
        });
        Ok::<_, ApiError>(((), ended.into_iter().collect()))
    };
    context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(Some(json!({ "Activity": told })))
}
