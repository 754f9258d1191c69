//! Columns of events.

use jiff::Timestamp;
use kube_types::dynamic::{Map, Value};

use super::{Column, NAME, Printer, at, integer, name, number, since, string, text, wide};

type Node = Map<String, Value>;

const COLUMNS: &[Column] = &[
    text("Last Seen", "Time since the event was last seen."),
    text("Type", "Normal or Warning."),
    text("Reason", "Why it happened, in one word."),
    text("Object", "What it is about."),
    wide("Subobject", "Part of the object that it is about."),
    wide("Source", "Who saw it."),
    text("Message", "What happened."),
    wide("First Seen", "Time since the event was first seen."),
    Column {
        priority: 1,
        ..integer("Count", "How often it happened.")
    },
    Column { priority: 1, ..NAME },
];

/// Events of both groups.
pub static EVENTS: Printer = Printer {
    columns: COLUMNS,
    cells,
};

/// The first of some texts that is there: the two groups have other names for the same things.
fn first<'a>(event: &'a Node, paths: &[&[&str]]) -> &'a str {
    paths
        .iter()
        .map(|path| string(event, path))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// Source: `printEvent`.
fn cells(event: &Node, now: Timestamp) -> Vec<Value> {
    let time = |paths: &[&[&str]]| {
        paths
            .iter()
            .find_map(|path| at(event, path).filter(|value| value.is_string()))
    };
    let seen = time(&[&["eventTime"]]);
    let first_seen = time(&[&["firstTimestamp"], &["deprecatedFirstTimestamp"]]).or(seen);
    let last_seen = time(&[
        &["series", "lastObservedTime"],
        &["lastTimestamp"],
        &["deprecatedLastTimestamp"],
    ]);
    let of = |field: &str| first(event, &[&["involvedObject", field], &["regarding", field]]).to_owned();
    let object = match (of("kind").to_lowercase(), of("name")) {
        (kind, name) if name.is_empty() => kind,
        (kind, name) => format!("{kind}/{name}"),
    };
    let count = [
        number(event, &["series", "count"]),
        number(event, &["count"]),
        number(event, &["deprecatedCount"]),
    ];
    let count = count.into_iter().find(|count| *count > 0).unwrap_or(1);
    let component = first(
        event,
        &[
            &["source", "component"],
            &["deprecatedSource", "component"],
            &["reportingComponent"],
            &["reportingController"],
        ],
    );
    let host = first(event, &[&["source", "host"], &["deprecatedSource", "host"]]);
    let source = if host.is_empty() {
        component.to_owned()
    } else {
        format!("{component}, {host}")
    };
    vec![
        since(last_seen.or(first_seen), now).into(),
        string(event, &["type"]).into(),
        string(event, &["reason"]).into(),
        object.into(),
        of("fieldPath").into(),
        source.into(),
        first(event, &[&["message"], &["note"]]).trim().into(),
        since(first_seen, now).into(),
        count.into(),
        name(event),
    ]
}
