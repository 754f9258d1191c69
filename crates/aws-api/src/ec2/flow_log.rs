//! Flow logs: what is to be written down of whose traffic. They are kept and shown; nothing is written here.

use aws_types::time::Time;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, invalid};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// The fields of a line when no others are asked for.
const FORMAT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";

/// Whether a resource of that kind is there.
fn check(state: &State, kind: &str, id: &str) -> Result<(), ApiError> {
    match kind {
        "VPC" => super::vpc::find(state, id).map(drop),
        "Subnet" => super::subnet::find(state, id).map(drop),
        "NetworkInterface" => {
            let is_own = state.instances.values().any(|one| one.eni.as_str() == id);
            if is_own {
                Ok(())
            } else {
                document::find(state, Kind::NetworkInterface, id).map(drop)
            }
        }
        other => Err(invalid(format!(
            "Resource type {other} is not available in this region"
        ))),
    }
}

/// Where the lines are to go: the members that tell, by the kind of place.
fn destination(input: &Value) -> Result<(&str, Value), ApiError> {
    let kind = input.text("LogDestinationType").unwrap_or("cloud-watch-logs");
    let (place, group) = (input.text("LogDestination"), input.text("LogGroupName"));
    let incomplete = |message: &str| Err(ApiError::bad_request("InvalidParameter", message));
    match kind {
        "cloud-watch-logs" if place.is_none() && group.is_none() => Err(ApiError::bad_request(
            "InvalidParameter",
            "LogDestination can't be empty if LogGroupName is not provided.",
        )),
        "cloud-watch-logs" if place.is_some() && group.is_some() => {
            incomplete("Please only provide LogGroupName or only provide LogDestination.")
        }
        "cloud-watch-logs" if input.text("DeliverLogsPermissionArn").is_none() => {
            incomplete("DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.")
        }
        "cloud-watch-logs" => Ok((
            kind,
            json!({
                "LogDestination": place, "LogGroupName": group, "DeliverLogsPermissionArn": input.text("DeliverLogsPermissionArn"),
            }),
        )),
        _ if place.is_none() => incomplete("LogDestination can't be empty."),
        _ if group.is_some() => incomplete("LogDestinationType s3 does not support LogGroupName."),
        _ => Ok((kind, json!({ "LogDestination": place }))),
    }
}

/// `CreateFlowLogs`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let resource = input.required("ResourceType");
    let (kind, place) = destination(&input)?;
    let interval = input.number("MaxAggregationInterval").unwrap_or(600);
    if ![60, 600].contains(&interval) {
        return Err(ApiError::bad_request(
            "InvalidParameter",
            "Invalid Flow Log Max Aggregation Interval",
        ));
    }
    let ids = input.texts("ResourceIds");
    let made: Vec<Document> = ids
        .iter()
        .map(|id| {
            let mut body = json!({
                "ResourceId": id, "TrafficType": input.text("TrafficType").unwrap_or("ALL"), "FlowLogStatus": "ACTIVE",
                "DeliverLogsStatus": "SUCCESS", "LogDestinationType": kind, "MaxAggregationInterval": interval,
                "CreationTime": Time(context.region.clock.now()), "LogFormat": input.text("LogFormat").unwrap_or(FORMAT),
            });
            for (member, value) in place.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
                body[member] = value.clone();
            }
            Document::new(&context, Kind::FlowLog, &input, body)
        })
        .collect();
    let decide = |state: &State| {
        for one in &made {
            let id = one.body.required("ResourceId");
            check(state, resource, id)?;
            let is_same = |known: &&Document| {
                ["ResourceId", "LogDestination", "LogGroupName", "TrafficType"]
                    .iter()
                    .all(|member| known.body.get(*member) == one.body.get(*member))
            };
            if document::of_kind(state, Kind::FlowLog).any(|known| is_same(&known)) {
                let message = "Error. There is an existing Flow Log with the same configuration and log destination.";
                return Err(ApiError::bad_request("FlowLogAlreadyExists", message));
            }
        }
        let made_ids: Vec<&str> = made.iter().map(|one| one.id.as_str()).collect();
        let answer = json!({"FlowLogIds": made_ids, "Unsuccessful": [], "ClientToken": input.text("ClientToken")});
        Ok((answer, made.iter().cloned().map(Change::put).collect()))
    };
    context.region.ledger.change(decide).await
}

/// `DescribeFlowLogs`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::FlowLog)
}

/// `DeleteFlowLogs`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let ids = input.texts("FlowLogIds");
    let decide = |state: &State| {
        let unknown: Vec<&str> = ids
            .iter()
            .copied()
            .filter(|id| document::find(state, Kind::FlowLog, id).is_err())
            .collect();
        if !unknown.is_empty() {
            let message = format!(
                "These flow log ids in the input list are not found: [TotalCount: {}] {}",
                unknown.len(),
                unknown.join(", ")
            );
            return Err(ApiError::bad_request("InvalidFlowLogId.NotFound", message));
        }
        let gone = ids.iter().map(|id| Change::remove::<Document>((*id).to_owned()));
        Ok((json!({ "Unsuccessful": [] }), gone.collect()))
    };
    context.region.ledger.change(decide).await
}
