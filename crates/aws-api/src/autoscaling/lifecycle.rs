//! Lifecycle actions: instances that wait for their group's hooks, those who are told of it, and what they answer.

use aws_types::InstanceId;
use serde_json::{Value, json};

use super::group::find;
use super::invalid;
use crate::error::ApiError;
use crate::fleet::hold::{Action, Outcome, Transition};
use crate::fleet::instance::Ec2Instance;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;
use crate::{events, sqs};

/// The waiting instance that a request means, by id or by token, with its action's hook.
fn waiting(state: &State, input: &Value) -> Result<Ec2Instance, ApiError> {
    let group = input.required("AutoScalingGroupName");
    find(state, group)?;
    let (hook, token, id) = (
        input.required("LifecycleHookName"),
        input.text("LifecycleActionToken"),
        input.text("InstanceId"),
    );
    let fits = |action: &Action| action.hook == hook && token.is_none_or(|token| token == action.token);
    let mut own = state
        .instances
        .values()
        .filter(|one| one.group.as_deref() == Some(group) && id.is_none_or(|id| id == one.id.as_str()));
    let found = own.find(|one| one.hold.as_ref().is_some_and(|hold| hold.actions.iter().any(fits)));
    found
        .filter(|_| id.is_some() || token.is_some())
        .cloned()
        .ok_or_else(|| {
            let message = match (id, token) {
                (Some(id), _) => format!("No active Lifecycle Action found with instance ID {id}"),
                (None, Some(token)) => format!("No active Lifecycle Action found with token {token}"),
                (None, None) => "You must specify either the instance ID or the lifecycle action token".to_owned(),
            };
            invalid(message)
        })
}

/// `CompleteLifecycleAction`.
pub async fn complete(context: Context, input: Value) -> Result<Value, ApiError> {
    let continues = match input.required("LifecycleActionResult") {
        "CONTINUE" => true,
        "ABANDON" => false,
        other => {
            return Err(invalid(format!(
                "Invalid LifecycleActionResult: {other}. Valid values are [CONTINUE, ABANDON]"
            )));
        }
    };
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let mut one = waiting(state, &input)?;
        let hook = input.required("LifecycleHookName");
        let outcome = one
            .hold
            .as_mut()
            .map_or(Outcome::Continue, |hold| hold.complete(hook, continues));
        one.settle(outcome, now);
        Ok::<_, ApiError>((nothing(), vec![Change::put(one)]))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}

/// `RecordLifecycleActionHeartbeat`.
pub async fn heartbeat(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let mut one = waiting(state, &input)?;
        let hook = input.required("LifecycleHookName");
        let actions = one.hold.iter_mut().flat_map(|hold| hold.actions.iter_mut());
        for action in actions.filter(|action| action.hook == hook) {
            let more = jiff::SignedDuration::from_secs(action.heartbeat);
            action.until = now.saturating_add(more).unwrap_or(now);
        }
        Ok::<_, ApiError>((nothing(), vec![Change::put(one)]))
    };
    context.region.ledger.change(decide).await
}

/// Tells queues and rules of actions that nobody has been told of.
///
/// # Errors
/// When the records cannot be written.
pub async fn tell(context: &Context) -> Result<(), ApiError> {
    let untold: Vec<(Ec2Instance, Action, Transition, Value)> = context.region.ledger.read(|state| {
        let own = state
            .instances
            .values()
            .filter_map(|one| Some((one, one.hold.as_ref()?)));
        own.flat_map(|(one, hold)| hold.actions.iter().map(move |action| (one, action, hold.transition)))
            .filter(|(_, action, _)| !action.told)
            .map(|(one, action, transition)| {
                let group = one.group.as_ref().and_then(|name| state.groups.get(name));
                let hook = group
                    .and_then(|group| group.hooks.get(&action.hook))
                    .cloned()
                    .unwrap_or_default();
                (one.clone(), action.clone(), transition, hook)
            })
            .collect()
    });
    for (one, action, transition, hook) in untold {
        tell_of(context, &one, &action, transition, &hook).await?;
        mark(context, &one.id, &action.token).await?;
    }
    Ok(())
}

async fn mark(context: &Context, id: &InstanceId, token: &str) -> Result<(), ApiError> {
    let decide = |state: &State| {
        let mut changed = state.instances.get(id).cloned();
        let actions = changed
            .iter_mut()
            .flat_map(|one| one.hold.iter_mut())
            .flat_map(|hold| hold.actions.iter_mut());
        actions
            .filter(|action| action.token == token)
            .for_each(|action| action.told = true);
        Ok::<_, ApiError>(((), changed.map(Change::put).into_iter().collect()))
    };
    context.region.ledger.change(decide).await
}

async fn tell_of(
    context: &Context,
    one: &Ec2Instance,
    action: &Action,
    transition: Transition,
    hook: &Value,
) -> Result<(), ApiError> {
    let (word, origin, destination) = match transition {
        Transition::Launching => ("launch", "EC2", "AutoScalingGroup"),
        Transition::Terminating => ("terminate", "AutoScalingGroup", "EC2"),
    };
    let region = &context.region;
    let time = region.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut detail = json!({
        "LifecycleActionToken": action.token, "AutoScalingGroupName": one.group, "LifecycleHookName": action.hook,
        "EC2InstanceId": one.id, "LifecycleTransition": transition.name(), "Origin": origin, "Destination": destination,
    });
    if let Some(text) = hook.text("NotificationMetadata") {
        detail["NotificationMetadata"] = text.into();
    }
    let event = json!({
        "version": "0", "id": region.random.uuid(), "detail-type": format!("EC2 Instance-{word} Lifecycle Action"),
        "source": "aws.autoscaling", "account": context.caller.account, "time": time, "region": region.name, "resources": [],
        "detail": detail,
    });
    events::deliver(context, &event).await?;
    let queue = hook
        .text("NotificationTargetARN")
        .filter(|arn| arn.contains(":sqs:"))
        .and_then(|arn| arn.split(':').nth(5));
    if let Some(queue) = queue {
        let mut body = detail;
        body["Service"] = "AWS Auto Scaling".into();
        body["AccountId"] = context.caller.account.as_str().into();
        body["RequestId"] = region.random.uuid().into();
        body["Time"] = time.into();
        let message = json!({"QueueUrl": queue, "MessageBody": body.to_string()});
        match sqs::message::send(context.clone(), message).await {
            // A target that is gone is passed over, as Auto Scaling does.
            Err(error) if error.code == "QueueDoesNotExist" => tracing::debug!(queue, "the queue of a hook is gone"),
            other => drop(other?),
        }
    }
    Ok(())
}
