//! CloudWatch Logs: groups, streams and events. The events of one call are one record, so that writing costs what it writes.

mod event;

pub use event::{append, filter, get, put};

use cluster_lifecycle::cluster::Cluster;
use serde_json::{Value, json};

use crate::catalogue::{self, Item, ItemKind};
use crate::control_plane_logs::{group_of, streams_of};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Days for which events may be kept.
const RETENTION: &[i64] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

fn no_group() -> ApiError {
    ApiError::bad_request("ResourceNotFoundException", "The specified log group does not exist.")
}

fn no_stream() -> ApiError {
    ApiError::bad_request("ResourceNotFoundException", "The specified log stream does not exist.")
}

fn exists(what: &str) -> ApiError {
    ApiError::bad_request(
        "ResourceAlreadyExistsException",
        format!("The specified log {what} already exists"),
    )
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("InvalidParameterException", message)
}

/// A stream's key; group names have no control characters.
fn stream_key(group: &str, stream: &str) -> String {
    format!("{group}\n{stream}")
}

fn group_arn(context: &Context, name: &str) -> String {
    format!(
        "arn:aws:logs:{}:{}:log-group:{name}",
        context.region.name, context.caller.account
    )
}

fn millis(context: &Context) -> i64 {
    context.region.clock.now().as_millisecond()
}

/// The group that a name or an ARN means.
fn group_name(text: &str) -> &str {
    text.split_once(":log-group:")
        .map_or(text, |(_, name)| name.trim_end_matches(":*"))
}

/// A new group's record.
fn new_group(context: &Context, name: &str, class: &str) -> Item {
    let arn = group_arn(context, name);
    let body = json!({
        "logGroupName": name, "creationTime": millis(context), "metricFilterCount": 0, "arn": format!("{arn}:*"),
        "logGroupArn": arn, "logGroupClass": class,
    });
    Item::new(ItemKind::LogGroup, name, body)
}

/// The log group of a cluster that logs something, and its streams, as far as they are not there yet.
pub fn of_cluster(context: &Context, state: &State, cluster: &Cluster) -> Vec<Change> {
    let group = group_of(&cluster.name);
    let streams = streams_of(cluster);
    let is_missing = !streams.is_empty() && catalogue::find(state, ItemKind::LogGroup, &group).is_none();
    let made = is_missing.then(|| Change::put(new_group(context, &group, "STANDARD")));
    let streams = streams
        .iter()
        .filter(|stream| catalogue::find(state, ItemKind::LogStream, &stream_key(&group, stream)).is_none());
    let streams = streams.map(|stream| Change::put(new_stream(context, &group, stream)));
    made.into_iter().chain(streams).collect()
}

fn map_tags(input: &Value) -> std::collections::BTreeMap<String, String> {
    let given = input.get("tags").and_then(Value::as_object).into_iter().flatten();
    given
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// `CreateLogGroup`.
pub async fn create_group(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("logGroupName");
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-/.#".contains(letter);
    if !name.chars().all(allowed) {
        let message = format!(
            "1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
        );
        return Err(invalid(message));
    }
    let mut group =
        new_group(&context, name, input.text("logGroupClass").unwrap_or("STANDARD")).tagged(map_tags(&input));
    if let Some(key) = input.text("kmsKeyId") {
        group.body["kmsKeyId"] = key.into();
    }
    catalogue::create(&context, group, |state| {
        match catalogue::find(state, ItemKind::LogGroup, name) {
            Some(_) => Err(exists("group")),
            None => Ok(()),
        }
    })
    .await?;
    Ok(nothing())
}

/// `DeleteLogGroup`.
pub async fn delete_group(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("logGroupName");
    let decide = |state: &State| {
        let group = catalogue::find(state, ItemKind::LogGroup, name).ok_or_else(no_group)?;
        let prefix = stream_key(name, "");
        let own = [ItemKind::LogStream, ItemKind::LogBatch]
            .into_iter()
            .flat_map(|kind| catalogue::beginning(state, kind, &prefix));
        Ok::<_, ApiError>((nothing(), own.map(Item::removal).chain([group.removal()]).collect()))
    };
    context.region.ledger.change(decide).await
}

fn paged(input: &Value, member: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let wrong = || invalid("The specified nextToken is invalid.");
    let (page, next) = catalogue::page(views, input.text("nextToken"), input.number("limit"), 50, wrong)?;
    Ok(json!({member: page, "nextToken": next}))
}

fn stored_bytes(state: &State, prefix: &str) -> i64 {
    catalogue::beginning(state, ItemKind::LogBatch, prefix)
        .filter_map(|batch| batch.body.number("bytes"))
        .sum()
}

/// `DescribeLogGroups`.
pub async fn describe_groups(context: Context, input: Value) -> Result<Value, ApiError> {
    let (prefix, pattern) = (input.text("logGroupNamePrefix"), input.text("logGroupNamePattern"));
    if prefix.is_some() && pattern.is_some() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let views = context.region.ledger.read(|state| {
        let chosen = catalogue::beginning(state, ItemKind::LogGroup, prefix.unwrap_or_default());
        let chosen = chosen.filter(|group| pattern.is_none_or(|pattern| group.key.contains(pattern)));
        chosen
            .map(|group| {
                let mut view = group.without(&[]);
                view["storedBytes"] = stored_bytes(state, &stream_key(&group.key, "")).into();
                view
            })
            .collect()
    });
    paged(&input, "logGroups", views)
}

async fn edit(context: &Context, name: &str, change: impl FnOnce(&mut Item)) -> Result<Value, ApiError> {
    catalogue::edit(context, ItemKind::LogGroup, group_name(name), no_group, |_, group| {
        change(group);
        Ok(nothing())
    })
    .await
}

/// `PutRetentionPolicy`.
pub async fn put_retention(context: Context, input: Value) -> Result<Value, ApiError> {
    let days = input.number("retentionInDays").unwrap_or(0);
    if !RETENTION.contains(&days) {
        let allowed: Vec<String> = RETENTION.iter().map(ToString::to_string).collect();
        let message = format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
            allowed.join(", ")
        );
        return Err(invalid(message));
    }
    edit(&context, input.required("logGroupName"), |group| {
        group.body["retentionInDays"] = days.into()
    })
    .await
}

/// `DeleteRetentionPolicy`.
pub async fn delete_retention(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, input.required("logGroupName"), |group| {
        if let Some(members) = group.body.as_object_mut() {
            members.remove("retentionInDays");
        }
    })
    .await
}

/// `TagResource`, `TagLogGroup`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input
        .text("resourceArn")
        .or(input.text("logGroupName"))
        .unwrap_or_default();
    edit(&context, name, |group| group.tags.extend(map_tags(&input))).await
}

/// `UntagResource`, `UntagLogGroup`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input
        .text("resourceArn")
        .or(input.text("logGroupName"))
        .unwrap_or_default();
    let keys = input.texts("tagKeys").into_iter().chain(input.texts("tags"));
    edit(&context, name, |group| {
        keys.for_each(|key| drop(group.tags.remove(key)))
    })
    .await
}

/// `ListTagsForResource`, `ListTagsLogGroup`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input
        .text("resourceArn")
        .or(input.text("logGroupName"))
        .unwrap_or_default();
    context.region.ledger.read(|state| {
        let group = catalogue::find(state, ItemKind::LogGroup, group_name(name)).ok_or_else(no_group)?;
        Ok(json!({ "tags": group.tags }))
    })
}

/// `CreateLogStream`.
pub async fn create_stream(context: Context, input: Value) -> Result<Value, ApiError> {
    let (group, name) = (input.required("logGroupName"), input.required("logStreamName"));
    let key = stream_key(group, name);
    let made = new_stream(&context, group, name);
    catalogue::create(&context, made, |state| {
        catalogue::find(state, ItemKind::LogGroup, group).ok_or_else(no_group)?;
        match catalogue::find(state, ItemKind::LogStream, &key) {
            Some(_) => Err(exists("stream")),
            None => Ok(()),
        }
    })
    .await?;
    Ok(nothing())
}

fn new_stream(context: &Context, group: &str, name: &str) -> Item {
    let body = json!({
        "logStreamName": name, "creationTime": millis(context), "storedBytes": 0,
        "arn": format!("{}:log-stream:{name}", group_arn(context, group)), "uploadSequenceToken": context.region.random.hex(32),
    });
    Item::new(ItemKind::LogStream, stream_key(group, name), body)
}

/// `DeleteLogStream`.
pub async fn delete_stream(context: Context, input: Value) -> Result<Value, ApiError> {
    let (group, name) = (input.required("logGroupName"), input.required("logStreamName"));
    let key = stream_key(group, name);
    let decide = |state: &State| {
        catalogue::find(state, ItemKind::LogGroup, group).ok_or_else(no_group)?;
        let stream = catalogue::find(state, ItemKind::LogStream, &key).ok_or_else(no_stream)?;
        let batches = catalogue::beginning(state, ItemKind::LogBatch, &format!("{key}\n"));
        Ok::<_, ApiError>((
            nothing(),
            batches
                .map(Item::removal)
                .chain([stream.removal()])
                .collect::<Vec<Change>>(),
        ))
    };
    context.region.ledger.change(decide).await
}

/// `DescribeLogStreams`.
pub async fn describe_streams(context: Context, input: Value) -> Result<Value, ApiError> {
    let given = input
        .text("logGroupName")
        .or(input.text("logGroupIdentifier"))
        .unwrap_or_default();
    let group = group_name(given);
    let by_time = input.text("orderBy") == Some("LastEventTime");
    if by_time && input.text("logStreamNamePrefix").is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let mut views: Vec<Value> = context.region.ledger.read(|state| {
        catalogue::find(state, ItemKind::LogGroup, group).ok_or_else(no_group)?;
        let prefix = stream_key(group, input.text("logStreamNamePrefix").unwrap_or_default());
        Ok::<_, ApiError>(
            catalogue::beginning(state, ItemKind::LogStream, &prefix)
                .map(|stream| stream.without(&["_batches"]))
                .collect(),
        )
    })?;
    if by_time {
        views.sort_by_key(|view| view.number("lastEventTimestamp").unwrap_or(0));
    }
    if input.flag("descending") == Some(true) {
        views.reverse();
    }
    paged(&input, "logStreams", views)
}
