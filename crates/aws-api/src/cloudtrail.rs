//! CloudTrail: the calls that changed something, as far as this process remembers them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use aws_types::time::Time;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalogue;
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

/// The most calls that are remembered.
const MOST: usize = 2000;

/// A call that was answered.
#[derive(Debug, Clone)]
struct Call {
    id: String,
    at: Timestamp,
    service: &'static str,
    operation: String,
    user: String,
    key: String,
    record: Value,
}

/// Calls, newest first. They are forgotten with the process.
#[derive(Debug, Default)]
pub struct Trail {
    calls: Mutex<VecDeque<Call>>,
}

/// Whether an operation only looks.
pub fn is_reading(operation: &str) -> bool {
    [
        "Describe",
        "Get",
        "List",
        "Lookup",
        "Filter",
        "Batch Get",
        "BatchGet",
        "Receive",
        "Decode",
        "Simulate",
        "Validate",
    ]
    .iter()
    .any(|verb| operation.starts_with(verb))
}

impl Trail {
    /// Remembers a call that may have changed something, and how it ended.
    pub fn record(
        &self,
        context: &Context,
        service: &'static str,
        operation: &str,
        input: &Value,
        error: Option<&ApiError>,
    ) {
        if is_reading(operation)
            || matches!(
                operation,
                "PutLogEvents" | "SendMessage" | "Encrypt" | "Decrypt" | "GenerateDataKey"
            )
        {
            return;
        }
        let (region, caller) = (&context.region, &context.caller);
        let (id, at) = (region.random.uuid(), region.clock.now());
        let source = format!("{service}.amazonaws.com");
        let mut record = json!({
            "eventVersion": "1.11", "eventID": id, "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "eventSource": source,
            "eventName": operation, "awsRegion": region.name, "recipientAccountId": caller.account, "readOnly": false,
            "eventType": "AwsApiCall", "managementEvent": true, "eventCategory": "Management", "sourceIPAddress": "127.0.0.1",
            "userIdentity": {
                "arn": caller.arn, "accountId": caller.account, "principalId": caller.user_id, "accessKeyId": caller.access_key_id,
                "userName": caller.name,
            },
            "requestParameters": without_secrets(input),
        });
        if let Some(error) = error {
            record["errorCode"] = error.code.as_str().into();
            record["errorMessage"] = error.message.as_str().into();
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push_front(Call {
            id,
            at,
            service,
            operation: operation.to_owned(),
            user: caller.name.clone(),
            key: caller.access_key_id.clone(),
            record,
        });
        calls.truncate(MOST);
    }

    fn calls(&self) -> Vec<Call> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

/// What no record shows: values of parameters, plaintexts, passwords and user data.
fn without_secrets(input: &Value) -> Value {
    let mut shown = input.clone();
    if let Some(members) = shown.as_object_mut() {
        for name in [
            "Value",
            "Plaintext",
            "UserData",
            "Password",
            "WebIdentityToken",
            "token",
            "TemplateBody",
        ] {
            if members.contains_key(name) {
                members.insert(name.to_owned(), "HIDDEN_DUE_TO_SECURITY_REASONS".into());
            }
        }
    }
    shown
}

/// `LookupEvents`.
pub async fn lookup(context: Context, input: Value) -> Result<Value, ApiError> {
    let seconds = |member: &str| input.get(member).and_then(Value::as_f64);
    if let (Some(start), Some(end)) = (seconds("StartTime"), seconds("EndTime"))
        && start > end
    {
        return Err(ApiError::bad_request(
            "InvalidTimeRangeException",
            "The start time must be before the end time.",
        ));
    }
    let wanted = input.list("LookupAttributes");
    let fits = |call: &Call| {
        let at = call.at.as_second() as f64;
        let by_attribute = wanted.iter().all(|attribute| {
            let value = attribute.required("AttributeValue");
            match attribute.required("AttributeKey") {
                "EventName" => call.operation == value,
                "EventId" => call.id == value,
                "EventSource" => format!("{}.amazonaws.com", call.service) == value,
                "Username" => call.user == value,
                "AccessKeyId" => call.key == value,
                "ReadOnly" => value == "false",
                // Names of resources are in the request.
                _ => call.record["requestParameters"].to_string().contains(value),
            }
        });
        by_attribute
            && seconds("StartTime").is_none_or(|start| at >= start)
            && seconds("EndTime").is_none_or(|end| at <= end)
    };
    let calls = context.region.trail.calls();
    let views = calls.iter().filter(|call| fits(call)).map(|call| {
        json!({
            "EventId": call.id, "EventName": call.operation, "ReadOnly": "false", "AccessKeyId": call.key, "EventTime": Time(call.at),
            "EventSource": format!("{}.amazonaws.com", call.service), "Username": call.user, "Resources": [],
            "CloudTrailEvent": call.record.to_string(),
        })
    });
    let wrong = || ApiError::bad_request("InvalidNextTokenException", "The token is invalid.");
    let (page, next) = catalogue::page(
        views.collect(),
        input.text("NextToken"),
        input.number("MaxResults"),
        50,
        wrong,
    )?;
    Ok(json!({"Events": page, "NextToken": next}))
}

/// `DescribeTrails`: there are none; the history of calls needs none.
pub async fn describe(_context: Context, _input: Value) -> Result<Value, ApiError> {
    Ok(json!({ "trailList": [] }))
}

/// `ListTrails`.
pub async fn list(_context: Context, _input: Value) -> Result<Value, ApiError> {
    Ok(json!({ "Trails": [] }))
}
