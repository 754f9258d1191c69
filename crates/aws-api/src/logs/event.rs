//! Events: taken in, shown stream by stream, and looked for over a group.

use serde_json::{Value, json};

use super::{group_name, invalid, millis, new_group, new_stream, no_group, no_stream, stream_key};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// What every event costs beside its text, in bytes.
const OVERHEAD: i64 = 26;
/// The most events of an answer.
const MOST: usize = 10_000;
/// The most bytes of a stream that a service of AWS's own writes.
const MOST_BYTES: i64 = 2 << 20;
/// The most bytes of an event.
const MOST_EVENT: usize = 256 << 10;

/// `PutLogEvents`.
pub async fn put(context: Context, input: Value) -> Result<Value, ApiError> {
    let (group, name) = (input.required("logGroupName"), input.required("logStreamName"));
    let events = input.list("logEvents");
    let times: Vec<i64> = events.iter().filter_map(|event| event.number("timestamp")).collect();
    if times.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let now = millis(&context);
    let key = stream_key(group, name);
    let next = context.region.random.hex(56);
    let decide = |state: &State| {
        catalogue::find(state, ItemKind::LogGroup, group).ok_or_else(no_group)?;
        let mut stream = catalogue::find(state, ItemKind::LogStream, &key)
            .ok_or_else(no_stream)?
            .clone();
        let mut changes = Vec::new();
        if !events.is_empty() {
            changes.push(Change::put(batch(&mut stream, events, now)));
        }
        stream.body["uploadSequenceToken"] = next.as_str().into();
        changes.push(Change::put(stream));
        Ok::<_, ApiError>((json!({ "nextSequenceToken": next }), changes))
    };
    context.region.ledger.change(decide).await
}

/// The events of one call as a record, with what they change in their stream's.
fn batch(stream: &mut Item, events: &[Value], now: i64) -> Item {
    let number = stream.body.number("_batches").unwrap_or(0) + 1;
    let bytes: i64 = events
        .iter()
        .map(|event| OVERHEAD + event.required("message").len() as i64)
        .sum();
    let times = || events.iter().filter_map(|event| event.number("timestamp"));
    let first = stream
        .body
        .number("firstEventTimestamp")
        .into_iter()
        .chain(times())
        .min();
    let last = stream
        .body
        .number("lastEventTimestamp")
        .into_iter()
        .chain(times())
        .max();
    stream.body["_batches"] = number.into();
    stream.body["lastIngestionTime"] = now.into();
    stream.body["firstEventTimestamp"] = first.into();
    stream.body["lastEventTimestamp"] = last.into();
    let body = json!({"events": events, "ingestionTime": now, "bytes": bytes});
    Item::new(ItemKind::LogBatch, format!("{}\n{number:012}", stream.key), body)
}

/// Writes lines of a service's own into a stream; group and stream are made when they are not there. Of a stream that becomes too large
/// the oldest events go.
///
/// # Errors
/// When they cannot be written down.
pub async fn append(context: &Context, group: &str, stream: &str, lines: Vec<(i64, String)>) -> Result<(), ApiError> {
    let event = |(at, line): (i64, String)| json!({"timestamp": at, "message": shortened(line)});
    let events: Vec<Value> = lines.into_iter().map(event).collect();
    let now = millis(context);
    let key = stream_key(group, stream);
    let decide = |state: &State| {
        let mut changes = Vec::new();
        if catalogue::find(state, ItemKind::LogGroup, group).is_none() {
            changes.push(Change::put(new_group(context, group, "STANDARD")));
        }
        let known = catalogue::find(state, ItemKind::LogStream, &key).cloned();
        let mut into = known.unwrap_or_else(|| new_stream(context, group, stream));
        let made = batch(&mut into, &events, now);
        changes.extend(surplus(state, &key, made.body.number("bytes").unwrap_or(0)));
        changes.extend([Change::put(made), Change::put(into)]);
        Ok::<_, ApiError>(((), changes))
    };
    context.region.ledger.change(decide).await
}

/// The oldest batches of a stream, as far as they must go before so many more bytes come.
fn surplus(state: &State, key: &str, coming: i64) -> Vec<Change> {
    let batches = || catalogue::beginning(state, ItemKind::LogBatch, &format!("{key}\n"));
    let size = |batch: &Item| batch.body.number("bytes").unwrap_or(0);
    let mut held: i64 = batches().map(size).sum::<i64>() + coming;
    let mut gone = Vec::new();
    for batch in batches() {
        if held <= MOST_BYTES {
            break;
        }
        held -= size(batch);
        gone.push(batch.removal());
    }
    gone
}

/// A line no longer than an event may be.
fn shortened(mut line: String) -> String {
    if line.len() > MOST_EVENT {
        let end = (0..=MOST_EVENT).rev().find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or(0));
    }
    line
}

/// The events of a stream in the order of their time, each with the time at which it came and its id.
fn of_stream(state: &State, key: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for batch in catalogue::beginning(state, ItemKind::LogBatch, &format!("{key}\n")) {
        let number = batch.key.rsplit('\n').next().unwrap_or_default();
        for (index, event) in batch.body.list("events").iter().enumerate() {
            events.push(json!({
                "timestamp": event["timestamp"], "message": event["message"], "ingestionTime": batch.body["ingestionTime"],
                "eventId": format!("{:020}{number}{index:06}", event.number("timestamp").unwrap_or(0)),
            }));
        }
    }
    events.sort_by_key(|event| event.number("timestamp").unwrap_or(0));
    events
}

fn within(input: &Value, event: &Value) -> bool {
    let at = event.number("timestamp").unwrap_or(0);
    input.number("startTime").is_none_or(|start| at >= start) && input.number("endTime").is_none_or(|end| at < end)
}

/// `GetLogEvents`: tokens name a place in the stream and a direction.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let given = input
        .text("logGroupName")
        .or(input.text("logGroupIdentifier"))
        .unwrap_or_default();
    let group = group_name(given);
    let key = stream_key(group, input.required("logStreamName"));
    let events: Vec<Value> = context.region.ledger.read(|state| {
        catalogue::find(state, ItemKind::LogGroup, group).ok_or_else(no_group)?;
        catalogue::find(state, ItemKind::LogStream, &key).ok_or_else(no_stream)?;
        Ok::<_, ApiError>(
            of_stream(state, &key)
                .into_iter()
                .filter(|event| within(&input, event))
                .collect(),
        )
    })?;
    let limit = input
        .number("limit")
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(MOST)
        .clamp(1, MOST);
    let place = |token: &str| {
        token[2..]
            .parse::<usize>()
            .map_err(|_no_place| invalid("The specified nextToken is invalid."))
    };
    let (begin, end) = match input.text("nextToken") {
        Some(token) if token.starts_with("f/") => {
            let begin = place(token)?.min(events.len());
            (begin, (begin + limit).min(events.len()))
        }
        Some(token) if token.starts_with("b/") => {
            let end = place(token)?.min(events.len());
            (end.saturating_sub(limit), end)
        }
        Some(_) => return Err(invalid("The specified nextToken is invalid.")),
        None if input.flag("startFromHead") == Some(true) => (0, limit.min(events.len())),
        None => (events.len().saturating_sub(limit), events.len()),
    };
    let shown: Vec<Value> = events[begin..end]
        .iter()
        .map(|event| json!({"timestamp": event["timestamp"], "message": event["message"], "ingestionTime": event["ingestionTime"]}))
        .collect();
    Ok(json!({
        "events": shown, "nextForwardToken": format!("f/{end:056}"), "nextBackwardToken": format!("b/{begin:056}"),
    }))
}

/// Whether a message fits a filter pattern: every term must occur, quoted terms as a whole, terms after `-` must not, one of
/// those after `?` suffices. Patterns over JSON and columns are refused.
fn fits(pattern: &str, message: &str) -> Result<bool, ApiError> {
    let pattern = pattern.trim();
    if pattern.starts_with(['{', '[', '%']) {
        return Err(invalid(
            "Patterns over JSON, columns and regular expressions are not available in this region",
        ));
    }
    let mut terms = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let sign = rest.chars().next().filter(|sign| "-?".contains(*sign));
        rest = &rest[sign.map_or(0, char::len_utf8)..];
        let (term, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        terms.push((sign, term));
        rest = after.trim_start();
    }
    let has = |term: &str| message.contains(term);
    let mut optional = terms.iter().filter(|(sign, _)| *sign == Some('?')).peekable();
    let one = optional.peek().is_none() || optional.any(|(_, term)| has(term));
    let all = terms.iter().all(|(sign, term)| match sign {
        Some('-') => !has(term),
        Some(_) => true,
        None => has(term),
    });
    Ok(one && all)
}

/// `FilterLogEvents`.
pub async fn filter(context: Context, input: Value) -> Result<Value, ApiError> {
    let given = input
        .text("logGroupName")
        .or(input.text("logGroupIdentifier"))
        .unwrap_or_default();
    let group = group_name(given);
    let (names, prefix) = (input.texts("logStreamNames"), input.text("logStreamNamePrefix"));
    if !names.is_empty() && prefix.is_some() {
        return Err(invalid(
            "Both logStreamNames and logStreamNamePrefix cannot be specified.",
        ));
    }
    let pattern = input.text("filterPattern").unwrap_or_default();
    let mut found = context.region.ledger.read(|state| {
        catalogue::find(state, ItemKind::LogGroup, group).ok_or_else(no_group)?;
        let mut found = Vec::new();
        for stream in catalogue::beginning(
            state,
            ItemKind::LogStream,
            &stream_key(group, prefix.unwrap_or_default()),
        ) {
            let name = stream.body.required("logStreamName");
            if !(names.is_empty() || names.contains(&name)) {
                continue;
            }
            for mut event in of_stream(state, &stream.key) {
                if within(&input, &event) && fits(pattern, event.required("message"))? {
                    event["logStreamName"] = name.into();
                    found.push(event);
                }
            }
        }
        Ok::<_, ApiError>(found)
    })?;
    found.sort_by_key(|event| event.number("timestamp").unwrap_or(0));
    let wrong = || invalid("The specified nextToken is invalid.");
    let (page, next) = catalogue::page(found, input.text("nextToken"), input.number("limit"), MOST, wrong)?;
    Ok(json!({"events": page, "searchedLogStreams": [], "nextToken": next}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_terms() {
        for (pattern, message, expected) in [
            ("", "x", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR WARN", "an ERROR here", false),
            ("?ERROR ?WARN", "a WARN here", true),
            ("ERROR -exit", "ERROR exit", false),
            ("\"an ERROR\"", "an ERROR here", true),
        ] {
            assert_eq!(fits(pattern, message).ok(), Some(expected), "{pattern}");
        }
        assert!(fits("{ $.a = 1 }", "x").is_err());
    }
}
