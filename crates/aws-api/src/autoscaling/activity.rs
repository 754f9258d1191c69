//! What an Auto Scaling group did, as its activities tell it.

use aws_types::time::Time;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fleet::group::AutoScalingGroup;
use crate::operations::Context;

fn entry(context: &Context, group: &AutoScalingGroup, now: Timestamp, description: String, cause: String) -> Value {
    json!({
        "ActivityId": context.region.random.uuid(), "AutoScalingGroupName": group.name, "AutoScalingGroupARN": group.arn,
        "Description": description, "Cause": cause, "StartTime": Time(now), "EndTime": Time(now), "StatusCode": "Successful",
        "Progress": 100, "Details": "{}",
    })
}

fn cause(group: &AutoScalingGroup, now: Timestamp, what: &str) -> String {
    let at = now.strftime("%Y-%m-%dT%H:%M:%SZ");
    format!(
        "At {at} {what} in response to a difference between desired and actual capacity, with a desired capacity of {}.",
        group.desired
    )
}

/// An instance was launched.
pub fn launching(context: &Context, group: &AutoScalingGroup, id: &str, now: Timestamp) -> Value {
    let cause = cause(group, now, "an instance was started");
    entry(
        context,
        group,
        now,
        format!("Launching a new EC2 instance: {id}"),
        cause,
    )
}

/// An instance goes.
pub fn terminating(context: &Context, group: &AutoScalingGroup, id: &str, now: Timestamp) -> Value {
    let cause = cause(group, now, "an instance was taken out of service");
    entry(context, group, now, format!("Terminating EC2 instance: {id}"), cause)
}

/// An instance could not be launched.
pub fn failed(context: &Context, group: &AutoScalingGroup, error: &ApiError, now: Timestamp) -> Value {
    let cause = cause(group, now, "an instance was to be started");
    let mut told = entry(context, group, now, "Launching a new EC2 instance".to_owned(), cause);
    told["StatusCode"] = "Failed".into();
    told["StatusMessage"] = format!(
        "{}. Launching EC2 instance failed.",
        error.message.trim_end_matches('.')
    )
    .into();
    told
}
