//! Scheduled actions: sizes that a group gets at a time, or again and again.

use aws_types::time::Time;
use controllers::Schedule;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::group::{edit, find};
use super::{invalid, page};
use crate::error::ApiError;
use crate::fleet::group::AutoScalingGroup;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::operations::Context;

const KEPT: &[&str] = &["Recurrence", "MinSize", "MaxSize", "DesiredCapacity", "TimeZone"];
const NOT_FOUND: &str = "Scheduled action name not found";

/// A moment as requests write it (text) or as it is kept (seconds since 1970).
fn moment(value: Option<&Value>) -> Option<Timestamp> {
    match value? {
        Value::String(text) => text.parse().ok(),
        other => Timestamp::from_millisecond((other.as_f64()? * 1000.0) as i64).ok(),
    }
}

fn zone(action: &Value) -> Result<TimeZone, ApiError> {
    let name = action.text("TimeZone").unwrap_or("UTC");
    TimeZone::get(name).map_err(|_unknown| invalid(format!("Invalid TimeZone: {name}")))
}

/// An action as answers show it.
fn made(context: &Context, group: &AutoScalingGroup, input: &Value) -> Result<(String, Value), ApiError> {
    let name = input.required("ScheduledActionName");
    let sizes = ["MinSize", "MaxSize", "DesiredCapacity"];
    if sizes.iter().all(|member| input.number(member).is_none()) {
        return Err(invalid(
            "At least one of MinSize, MaxSize or DesiredCapacity must be specified",
        ));
    }
    let (start, now) = (
        moment(input.get("StartTime").or_else(|| input.get("Time"))),
        context.region.clock.now(),
    );
    if start.is_none() && input.text("Recurrence").is_none() {
        return Err(invalid("Either StartTime or Recurrence must be specified"));
    }
    if start.is_some_and(|start| start < now) && input.text("Recurrence").is_none() {
        return Err(invalid("Given start time is in the past"));
    }
    if let Some(end) = moment(input.get("EndTime")).filter(|end| start.is_some_and(|start| *end <= start)) {
        return Err(invalid(format!("EndTime {end} must be after StartTime")));
    }
    zone(input)?;
    if let Some(text) = input.text("Recurrence") {
        Schedule::parse(text).map_err(|why| invalid(format!("Given recurrence string: {text} is invalid: {why}")))?;
    }
    let region = &context.region;
    let mut action = json!({
        "AutoScalingGroupName": group.name, "ScheduledActionName": name,
        "ScheduledActionARN": format!(
            "arn:aws:autoscaling:{}:{}:scheduledUpdateGroupAction:{}:autoScalingGroupName/{}:scheduledActionName/{name}",
            region.name, context.caller.account, region.random.uuid(), group.name
        ),
    });
    for member in KEPT {
        if let Some(value) = input.get(*member).filter(|value| !value.is_null()) {
            action[*member] = value.clone();
        }
    }
    let end = moment(input.get("EndTime"));
    for (member, at) in [("StartTime", start), ("EndTime", end)] {
        if let Some(at) = at {
            action[member] = json!(Time(at));
        }
    }
    // Auto Scaling shows when a recurrence begins, too.
    if let Some(first) = due(&action, now).filter(|_| start.is_none()) {
        action["StartTime"] = json!(Time(first));
    }
    action["Time"] = action["StartTime"].clone();
    Ok((name.to_owned(), action))
}

/// When an action is due next after a moment.
fn due(action: &Value, after: Timestamp) -> Option<Timestamp> {
    let start = moment(action.get("StartTime"));
    let end = moment(action.get("EndTime"));
    let at = match action.text("Recurrence") {
        None => start.filter(|start| *start > after)?,
        Some(text) => {
            let zone = zone(action).ok()?;
            // The first time may be the start itself.
            let from = start.map_or(after, |start| start.max(after));
            let from = from.checked_sub(jiff::SignedDuration::from_secs(1)).ok()?;
            Schedule::parse(text).ok()?.next(from.max(after), &zone)?
        }
    };
    end.is_none_or(|end| at <= end).then_some(at)
}

/// Gives a group the sizes of the actions that became due since they were last looked at; those that never come again go.
pub fn apply(group: &mut AutoScalingGroup, now: Timestamp) {
    let Some(before) = group.scheduled_until.filter(|_| group.does("ScheduledActions")) else {
        return;
    };
    let mut fired: Vec<(Timestamp, String)> = Vec::new();
    for (name, action) in &group.scheduled {
        if let Some(at) = due(action, before).filter(|at| *at <= now) {
            fired.push((at, name.clone()));
        }
    }
    if fired.is_empty() {
        return;
    }
    group.scheduled_until = Some(now);
    fired.sort();
    for (_, name) in fired {
        let Some(action) = group.scheduled.get(&name).cloned() else {
            continue;
        };
        let number = |member: &str| action.number(member).and_then(|value| u32::try_from(value).ok());
        group.min = number("MinSize").unwrap_or(group.min);
        group.max = number("MaxSize").unwrap_or(group.max).max(group.min);
        group.desired = number("DesiredCapacity")
            .unwrap_or(group.desired)
            .clamp(group.min, group.max);
        group.pause = None;
        if due(&action, now).is_none() {
            group.scheduled.remove(&name);
        }
    }
}

/// `PutScheduledUpdateGroupAction`.
pub async fn put(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let (name, action) = made(&context, group, &input)?;
        apply(group, now);
        group.scheduled.insert(name, action);
        group.scheduled_until = Some(now);
        Ok(nothing())
    })
    .await
}

fn failure(name: &str, error: &ApiError) -> Value {
    json!({"ScheduledActionName": name, "ErrorCode": error.code, "ErrorMessage": error.message})
}

/// `BatchPutScheduledUpdateGroupAction`.
pub async fn put_many(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        apply(group, now);
        let mut failed = Vec::new();
        for asked in input.list("ScheduledUpdateGroupActions") {
            match made(&context, group, asked) {
                Ok((name, action)) => drop(group.scheduled.insert(name, action)),
                Err(error) => failed.push(failure(asked.required("ScheduledActionName"), &error)),
            }
        }
        group.scheduled_until = Some(now);
        Ok(json!({ "FailedScheduledUpdateGroupActions": failed }))
    })
    .await
}

/// `DescribeScheduledActions`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("ScheduledActionNames");
    let group = input.text("AutoScalingGroupName");
    let (from, to) = (moment(input.get("StartTime")), moment(input.get("EndTime")));
    let fits = |action: &&Value| {
        let at = moment(action.get("StartTime"));
        let named = names.is_empty() || names.contains(&action.required("ScheduledActionName"));
        named
            && from.is_none_or(|from| at.is_some_and(|at| at >= from))
            && to.is_none_or(|to| at.is_some_and(|at| at <= to))
    };
    let views = context.region.ledger.read(|state| {
        let groups = state
            .groups
            .values()
            .filter(|known| group.is_none_or(|name| name == known.name));
        groups
            .flat_map(|group| group.scheduled.values())
            .filter(fits)
            .cloned()
            .collect()
    });
    page(&input, "ScheduledUpdateGroupActions", views)
}

/// `DeleteScheduledAction`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("ScheduledActionName");
    let known = |state: &State| {
        let group = find(state, input.required("AutoScalingGroupName"));
        group.is_ok_and(|group| group.scheduled.contains_key(name))
    };
    if !context.region.ledger.read(known) {
        return Err(invalid(NOT_FOUND));
    }
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.scheduled.remove(name);
        Ok(nothing())
    })
    .await
}

/// `BatchDeleteScheduledAction`.
pub async fn delete_many(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let mut failed = Vec::new();
        for name in input.texts("ScheduledActionNames") {
            if group.scheduled.remove(name).is_none() {
                failed.push(failure(name, &invalid(NOT_FOUND)));
            }
        }
        Ok(json!({ "FailedScheduledActions": failed }))
    })
    .await
}
