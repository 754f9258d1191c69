//! SQS: queues whose messages wait in the region's store until somebody takes and deletes them.

pub mod digest;
pub mod message;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Attributes that a queue has at first.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("VisibilityTimeout", "30"),
    ("MaximumMessageSize", "1048576"),
    ("MessageRetentionPeriod", "345600"),
    ("DelaySeconds", "0"),
    ("ReceiveMessageWaitTimeSeconds", "0"),
    ("SqsManagedSseEnabled", "true"),
];
/// Attributes that may be set besides, and have no value until then.
const MORE: &[&str] = &[
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

fn error(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::bad_request(code, message)
}

fn not_found() -> ApiError {
    error("QueueDoesNotExist", "The specified queue does not exist.")
}

fn url(context: &Context, name: &str) -> String {
    format!(
        "https://sqs.{}.amazonaws.com/{}/{name}",
        context.region.name, context.caller.account
    )
}

/// The name of the queue that a request's URL ends with: clients reach it by whatever host.
fn name_of(input: &Value) -> &str {
    input.required("QueueUrl").rsplit('/').next().unwrap_or_default()
}

fn find<'a>(state: &'a State, name: &str) -> Result<&'a Item, ApiError> {
    catalogue::find(state, ItemKind::Queue, name).ok_or_else(not_found)
}

async fn edit(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&mut Item) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    catalogue::edit(context, ItemKind::Queue, name_of(input), not_found, |_, queue| {
        change(queue)
    })
    .await
}

fn map(input: &Value, member: &str) -> BTreeMap<String, String> {
    let given = input.get(member).and_then(Value::as_object).into_iter().flatten();
    given
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn set(queue: &mut Item, attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    for (key, value) in attributes {
        let is_known = ATTRIBUTES.iter().any(|(known, _)| known == key) || MORE.contains(&key.as_str());
        if !is_known {
            return Err(error("InvalidAttributeName", format!("Unknown Attribute {key}.")));
        }
        let most = match key.as_str() {
            "VisibilityTimeout" => Some(43_200),
            "DelaySeconds" => Some(900),
            "ReceiveMessageWaitTimeSeconds" => Some(20),
            "MessageRetentionPeriod" => Some(1_209_600),
            _ => None,
        };
        if let Some(most) = most
            && !value.parse::<u32>().is_ok_and(|number| number <= most)
        {
            return Err(error(
                "InvalidAttributeValue",
                format!("Invalid value for the parameter {key}."),
            ));
        }
        queue.body["Attributes"][key] = value.as_str().into();
    }
    Ok(())
}

/// `CreateQueue`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("QueueName");
    let attributes = map(&input, "Attributes");
    let is_fifo = attributes.get("FifoQueue").is_some_and(|value| value == "true");
    let plain = name.strip_suffix(".fifo").filter(|_| is_fifo).unwrap_or(name);
    let is_valid = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if plain.is_empty() || name.len() > 80 || !plain.chars().all(is_valid) {
        let message = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        return Err(error("InvalidParameterValue", message));
    }
    let now = context.region.clock.now().as_second().to_string();
    let mut made = Item::new(
        ItemKind::Queue,
        name,
        json!({"Attributes": {}, "_Created": now, "_Modified": now}),
    );
    for (key, value) in ATTRIBUTES {
        made.body["Attributes"][*key] = (*value).into();
    }
    set(&mut made, &attributes)?;
    made.tags = map(&input, "tags");
    let answer = json!({ "QueueUrl": url(&context, name) });
    let decide = |state: &State| match catalogue::find(state, ItemKind::Queue, name) {
        Some(known)
            if attributes
                .iter()
                .any(|(key, value)| known.body["Attributes"].text(key) != Some(value)) =>
        {
            Err(error(
                "QueueNameExists",
                "A queue already exists with the same name and a different value for attribute(s)",
            ))
        }
        Some(_) => Ok((answer, Vec::new())),
        None => Ok((answer, vec![Change::put(made)])),
    };
    context.region.ledger.change(decide).await
}

/// `GetQueueUrl`.
pub async fn get_url(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("QueueName");
    context.region.ledger.read(|state| find(state, name).map(drop))?;
    Ok(json!({ "QueueUrl": url(&context, name) }))
}

/// `ListQueues`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| {
        let named = catalogue::beginning(
            state,
            ItemKind::Queue,
            input.text("QueueNamePrefix").unwrap_or_default(),
        );
        named.map(|queue| Value::from(url(&context, &queue.key))).collect()
    });
    let wrong = || error("InvalidParameterValue", "Invalid or expired next token.");
    let (page, next) = catalogue::page(views, input.text("NextToken"), input.number("MaxResults"), 1000, wrong)?;
    // What is empty is not there.
    let urls = (!page.is_empty()).then_some(page);
    Ok(json!({"QueueUrls": urls, "NextToken": next}))
}

/// `DeleteQueue`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = name_of(&input);
    let decide = |state: &State| {
        let queue = find(state, name)?;
        Ok::<_, ApiError>((
            nothing(),
            message::of(state, name)
                .map(Item::removal)
                .chain([queue.removal()])
                .collect(),
        ))
    };
    context.region.ledger.change(decide).await
}

/// `PurgeQueue`.
pub async fn purge(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = name_of(&input);
    let decide = |state: &State| {
        find(state, name)?;
        Ok::<_, ApiError>((nothing(), message::of(state, name).map(Item::removal).collect()))
    };
    context.region.ledger.change(decide).await
}

/// `GetQueueAttributes`.
pub async fn attributes(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = name_of(&input);
    let wanted = input.texts("AttributeNames");
    let now = context.region.clock.now().as_millisecond();
    context.region.ledger.read(|state| {
        let queue = find(state, name)?;
        let mut all: BTreeMap<String, String> = map(&queue.body, "Attributes");
        let (mut visible, mut taken, mut delayed) = (0, 0, 0);
        for one in message::of(state, name) {
            match (
                one.body.number("visibleAt").unwrap_or(0) > now,
                one.body.number("receives").unwrap_or(0),
            ) {
                (false, _) => visible += 1,
                (true, 0) => delayed += 1,
                (true, _) => taken += 1,
            }
        }
        let own = [
            (
                "QueueArn",
                format!("arn:aws:sqs:{}:{}:{name}", context.region.name, context.caller.account),
            ),
            ("CreatedTimestamp", queue.body.required("_Created").to_owned()),
            ("LastModifiedTimestamp", queue.body.required("_Modified").to_owned()),
            ("ApproximateNumberOfMessages", visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", taken.to_string()),
            ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
        ];
        all.extend(own.map(|(key, value)| (key.to_owned(), value)));
        let is_known = |name: &&&str| **name == "All" || all.contains_key(**name) || MORE.contains(*name);
        if let Some(unknown) = wanted.iter().find(|name| !is_known(name)) {
            return Err(error("InvalidAttributeName", format!("Unknown Attribute {unknown}.")));
        }
        if !wanted.contains(&"All") {
            all.retain(|key, _| wanted.contains(&key.as_str()));
        }
        Ok(json!({ "Attributes": all }))
    })
}

/// `SetQueueAttributes`.
pub async fn set_attributes(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = map(&input, "Attributes");
    let now = context.region.clock.now().as_second().to_string();
    edit(&context, &input, |queue| {
        queue.body["_Modified"] = now.into();
        set(queue, &wanted)?;
        Ok(nothing())
    })
    .await
}

/// `TagQueue`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |queue| {
        queue.tags.extend(map(&input, "Tags"));
        Ok(nothing())
    })
    .await
}

/// `UntagQueue`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    let keys = input.texts("TagKeys");
    edit(&context, &input, |queue| {
        queue.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(nothing())
    })
    .await
}

/// `ListQueueTags`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    context
        .region
        .ledger
        .read(|state| Ok(json!({ "Tags": find(state, name_of(&input))?.tags })))
}
