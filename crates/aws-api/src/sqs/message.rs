//! Messages: sent, taken for a while, given back or deleted.

use std::time::Duration;

use serde_json::{Value, json};

use super::digest::md5;
use super::{error, find, name_of};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// The messages of a queue, oldest first.
pub fn of<'a>(state: &'a State, queue: &str) -> impl Iterator<Item = &'a Item> + use<'a> {
    catalogue::beginning(state, ItemKind::Message, &format!("{queue}\n"))
}

fn attribute(queue: &Item, name: &str) -> i64 {
    queue.body["Attributes"]
        .text(name)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The digest of message attributes, as SQS makes it: names in order, each with type and value and their lengths.
fn attributes_digest(attributes: &Value) -> Option<String> {
    let attributes = attributes.as_object().filter(|attributes| !attributes.is_empty())?;
    let sorted: std::collections::BTreeMap<&String, &Value> = attributes.iter().collect();
    let mut bytes = Vec::new();
    let mut part = |part: &[u8]| {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    let mut texts = Vec::new();
    for (name, value) in sorted {
        part(name.as_bytes());
        part(value.required("DataType").as_bytes());
        texts.push(value.required("StringValue"));
    }
    // Only texts are taken in, so each value is of the first type.
    let mut interleaved = Vec::new();
    let mut at = 0;
    for text in texts {
        for _ in 0..2 {
            let length = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
            interleaved.extend_from_slice(&bytes[at..at + 4 + length]);
            at += 4 + length;
        }
        interleaved.push(1);
        interleaved.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        interleaved.extend_from_slice(text.as_bytes());
    }
    Some(md5(&interleaved))
}

/// A new message's record and what its sender is told.
fn new(context: &Context, queue: &Item, input: &Value, serial: i64) -> Result<(Item, Value), ApiError> {
    let body = input.required("MessageBody");
    if body.is_empty() {
        return Err(error(
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        ));
    }
    let most = attribute(queue, "MaximumMessageSize");
    if body.len() as i64 > most {
        let message = format!("One or more parameters are invalid. Reason: Message must be shorter than {most} bytes.");
        return Err(error("InvalidParameterValue", message));
    }
    let attributes = input.get("MessageAttributes").cloned().unwrap_or_else(|| json!({}));
    let binary = attributes
        .as_object()
        .into_iter()
        .flatten()
        .any(|(_, value)| value.text("BinaryValue").is_some());
    if binary {
        return Err(error(
            "UnsupportedOperation",
            "Binary message attributes are not available in this region",
        ));
    }
    let now = context.region.clock.now().as_millisecond();
    let delay = input
        .number("DelaySeconds")
        .unwrap_or_else(|| attribute(queue, "DelaySeconds"));
    let id = context.region.random.uuid();
    let key = format!("{}\n{now:014}{serial:06}", queue.key);
    let record = json!({
        "MessageId": id, "Body": body, "MD5OfBody": md5(body.as_bytes()), "MessageAttributes": attributes, "sentAt": now,
        "visibleAt": now + delay * 1000, "receives": 0, "sender": context.caller.user_id,
        "group": input.text("MessageGroupId"), "deduplication": input.text("MessageDeduplicationId"),
    });
    let mut answer = json!({"MessageId": id, "MD5OfMessageBody": record["MD5OfBody"]});
    if let Some(digest) = attributes_digest(&record["MessageAttributes"]) {
        answer["MD5OfMessageAttributes"] = digest.into();
    }
    Ok((Item::new(ItemKind::Message, key, record), answer))
}

/// A number that no other message of the moment has.
fn serial(state: &State, queue: &str) -> i64 {
    i64::try_from(of(state, queue).count()).unwrap_or(0) % 1000 * 1000
}

/// `SendMessage`.
pub async fn send(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = name_of(&input);
    let decide = |state: &State| {
        let queue = find(state, name)?;
        let (message, answer) = new(&context, queue, &input, serial(state, name))?;
        Ok::<_, ApiError>((answer, vec![Change::put(message)]))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.messages.notify_waiters();
    Ok(answer)
}

/// `SendMessageBatch`.
pub async fn send_batch(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = name_of(&input);
    let entries = input.list("Entries");
    if entries.is_empty() || entries.len() > 10 {
        return Err(error(
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10.",
        ));
    }
    let decide = |state: &State| {
        let queue = find(state, name)?;
        let (mut sent, mut failed, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        let first = serial(state, name);
        for (index, entry) in (0..).zip(entries) {
            match new(&context, queue, entry, first + index) {
                Ok((message, mut answer)) => {
                    answer["Id"] = entry["Id"].clone();
                    sent.push(answer);
                    changes.push(Change::put(message));
                }
                Err(error) => failed.push(json!({
                    "Id": entry["Id"], "SenderFault": true, "Code": error.code, "Message": error.message,
                })),
            }
        }
        Ok::<_, ApiError>((json!({"Successful": sent, "Failed": failed}), changes))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.messages.notify_waiters();
    Ok(answer)
}

/// What may be asked about a message.
const OF_MESSAGES: &[&str] = &[
    "All",
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

/// Takes messages that are visible now.
async fn take(context: &Context, input: &Value) -> Result<(Vec<Value>, i64), ApiError> {
    let name = name_of(input);
    let most = input.number("MaxNumberOfMessages").unwrap_or(1);
    if !(1..=10).contains(&most) {
        let message = format!(
            "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
        );
        return Err(error("InvalidParameterValue", message));
    }
    let unknown = input.texts("AttributeNames").into_iter().find(|name| {
        let is_of_queues = super::ATTRIBUTES.iter().any(|(known, _)| known == name) || super::MORE.contains(name);
        !OF_MESSAGES.contains(name) && !is_of_queues
    });
    if let Some(unknown) = unknown {
        return Err(error("InvalidAttributeName", format!("Unknown Attribute {unknown}.")));
    }
    let now = context.region.clock.now().as_millisecond();
    let decide = |state: &State| {
        let queue = find(state, name)?;
        let hidden = input
            .number("VisibilityTimeout")
            .unwrap_or_else(|| attribute(queue, "VisibilityTimeout"));
        let wait = input
            .number("WaitTimeSeconds")
            .unwrap_or_else(|| attribute(queue, "ReceiveMessageWaitTimeSeconds"));
        let retention = attribute(queue, "MessageRetentionPeriod") * 1000;
        let (mut views, mut changes) = (Vec::new(), Vec::new());
        for known in of(state, name) {
            if known.body.number("sentAt").unwrap_or(0) + retention < now {
                changes.push(known.removal());
                continue;
            }
            let is_visible = known.body.number("visibleAt").unwrap_or(0) <= now;
            if !is_visible || views.len() as i64 == most {
                continue;
            }
            let mut message = known.clone();
            let receives = message.body.number("receives").unwrap_or(0) + 1;
            message.body["receives"] = receives.into();
            message.body["visibleAt"] = (now + hidden * 1000).into();
            if receives == 1 {
                message.body["firstAt"] = now.into();
            }
            let receipt = format!("{}#{}", context.region.random.hex(32), hex::encode(&message.key));
            message.body["receipt"] = receipt.into();
            views.push(view(input, &message.body));
            changes.push(Change::put(message));
        }
        Ok::<_, ApiError>(((views, wait), changes))
    };
    context.region.ledger.change(decide).await
}

fn view(input: &Value, record: &Value) -> Value {
    let mut view = json!({
        "MessageId": record["MessageId"], "ReceiptHandle": record["receipt"], "Body": record["Body"], "MD5OfBody": record["MD5OfBody"],
    });
    let wanted: Vec<&str> = input
        .texts("AttributeNames")
        .into_iter()
        .chain(input.texts("MessageSystemAttributeNames"))
        .collect();
    let is_wanted = |name: &str| wanted.contains(&"All") || wanted.contains(&name);
    let own = [
        ("SenderId", record["sender"].as_str().map(str::to_owned)),
        ("SentTimestamp", record.number("sentAt").map(|at| at.to_string())),
        (
            "ApproximateReceiveCount",
            record.number("receives").map(|count| count.to_string()),
        ),
        (
            "ApproximateFirstReceiveTimestamp",
            record.number("firstAt").map(|at| at.to_string()),
        ),
        ("MessageGroupId", record["group"].as_str().map(str::to_owned)),
        (
            "MessageDeduplicationId",
            record["deduplication"].as_str().map(str::to_owned),
        ),
    ];
    for (name, value) in own {
        if let Some(value) = value.filter(|_| is_wanted(name)) {
            view["Attributes"][name] = value.into();
        }
    }
    let names = input.texts("MessageAttributeNames");
    let given = record["MessageAttributes"].as_object().into_iter().flatten();
    let chosen: serde_json::Map<String, Value> = given
        .filter(|(name, _)| {
            names
                .iter()
                .any(|wanted| matches!(*wanted, "All" | ".*") || wanted == name)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !chosen.is_empty() {
        view["MessageAttributes"] = Value::Object(chosen);
        view["MD5OfMessageAttributes"] = attributes_digest(&view["MessageAttributes"]).into();
    }
    view
}

/// `ReceiveMessage`: waits for messages as long as the request or the queue says.
pub async fn receive(context: Context, input: Value) -> Result<Value, ApiError> {
    let begin = context.region.clock.now();
    loop {
        let sent = context.region.messages.notified();
        let (messages, wait) = take(&context, &input).await?;
        let waited = context.region.clock.now().duration_since(begin).as_millis();
        let left = i128::from(wait.clamp(0, 20)) * 1000 - waited;
        if !messages.is_empty() {
            return Ok(json!({ "Messages": messages }));
        }
        if left <= 0 {
            return Ok(nothing());
        }
        // Messages become visible again by time, so it is looked again each second.
        let pause = Duration::from_millis(u64::try_from(left.min(1000)).unwrap_or(1000));
        tokio::select! {
            () = sent => {}
            () = supervision::sleep(pause) => {}
        }
    }
}

/// The message that a receipt is for.
fn received<'a>(state: &'a State, queue: &str, receipt: &str) -> Result<Option<&'a Item>, ApiError> {
    find(state, queue)?;
    let key = receipt
        .split_once('#')
        .and_then(|(_, key)| hex::decode(key).ok())
        .and_then(|key| String::from_utf8(key).ok());
    let invalid = || {
        error(
            "ReceiptHandleIsInvalid",
            format!("The input receipt handle \"{receipt}\" is not a valid receipt handle."),
        )
    };
    let key = key
        .filter(|key| key.starts_with(&format!("{queue}\n")))
        .ok_or_else(invalid)?;
    Ok(catalogue::find(state, ItemKind::Message, &key))
}

/// `DeleteMessage`: one that is gone is success.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let known = received(state, name_of(&input), input.required("ReceiptHandle"))?;
        Ok::<_, ApiError>((nothing(), known.map(Item::removal).into_iter().collect()))
    };
    context.region.ledger.change(decide).await
}

/// `DeleteMessageBatch`.
pub async fn delete_batch(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = name_of(&input);
    let decide = |state: &State| {
        find(state, name)?;
        let (mut gone, mut failed, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in input.list("Entries") {
            match received(state, name, entry.required("ReceiptHandle")) {
                Ok(known) => {
                    changes.extend(known.map(Item::removal));
                    gone.push(json!({ "Id": entry["Id"] }));
                }
                Err(error) => failed.push(json!({
                    "Id": entry["Id"], "SenderFault": true, "Code": error.code, "Message": error.message,
                })),
            }
        }
        Ok::<_, ApiError>((json!({"Successful": gone, "Failed": failed}), changes))
    };
    context.region.ledger.change(decide).await
}

/// `ChangeMessageVisibility`.
pub async fn change_visibility(context: Context, input: Value) -> Result<Value, ApiError> {
    let seconds = input.number("VisibilityTimeout").unwrap_or(0);
    let now = context.region.clock.now().as_millisecond();
    let decide = |state: &State| {
        let known = received(state, name_of(&input), input.required("ReceiptHandle"))?;
        let mut message = known
            .ok_or_else(|| error("MessageNotInflight", "The specified message isn't in flight."))?
            .clone();
        message.body["visibleAt"] = (now + seconds * 1000).into();
        Ok::<_, ApiError>((nothing(), vec![Change::put(message)]))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.messages.notify_waiters();
    Ok(answer)
}
