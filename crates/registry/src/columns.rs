//! Table columns as upstream's printers show them (`pkg/printers/internalversion/printers.go`).

use jiff::Timestamp;
use kube_types::dynamic::{Map, Value, json};

pub mod core;
pub mod events;
pub mod extensions;
pub mod nodes;
pub mod pods;
pub mod services;
pub mod storage;
pub mod workloads;

/// A column's heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, `boolean`.
    pub type_: &'static str,
    /// OpenAPI format; `name` marks the column that names the object.
    pub format: &'static str,
    /// 0 is always shown; greater ones in wide output.
    pub priority: i32,
    /// What the column means.
    pub description: &'static str,
}

/// A heading as tables carry it.
pub(crate) fn heading(column: &Column) -> Value {
    json!({"name": column.name, "type": column.type_, "format": column.format,
        "description": column.description, "priority": column.priority})
}

/// How a kind is shown as rows.
#[derive(Debug)]
pub struct Printer {
    /// Headings.
    pub columns: &'static [Column],
    /// The cells of one object, as many as there are columns.
    pub cells: fn(&Map<String, Value>, Timestamp) -> Vec<Value>,
}

/// Name and age: the columns of kinds without a printer of their own.
pub static AGE_ONLY: Printer = Printer {
    columns: &[NAME, AGE],
    cells: |object, now| vec![name(object), age(object, now)],
};

/// The `Name` column.
pub const NAME: Column = Column {
    name: "Name",
    type_: "string",
    format: "name",
    priority: 0,
    description: "Name must be unique within a namespace. Is required when creating resources, although some resources \
                  may allow a client to request the generation of an appropriate name automatically.",
};

/// The `Age` column.
pub const AGE: Column = text("Age", "How long ago the object was created.");

/// A column of text.
pub const fn text(name: &'static str, description: &'static str) -> Column {
    Column {
        name,
        type_: "string",
        format: "",
        priority: 0,
        description,
    }
}

/// A column of whole numbers.
pub const fn integer(name: &'static str, description: &'static str) -> Column {
    Column {
        name,
        type_: "integer",
        format: "",
        priority: 0,
        description,
    }
}

/// A column that only wide output shows.
pub const fn wide(name: &'static str, description: &'static str) -> Column {
    Column {
        name,
        type_: "string",
        format: "",
        priority: 1,
        description,
    }
}

/// `metadata.name`.
pub fn name(object: &Map<String, Value>) -> Value {
    at(object, &["metadata", "name"]).cloned().unwrap_or_else(|| "".into())
}

/// Time since `metadata.creationTimestamp`.
pub fn age(object: &Map<String, Value>, now: Timestamp) -> Value {
    since(at(object, &["metadata", "creationTimestamp"]), now).into()
}

/// The value at a path.
pub fn at<'a>(object: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let mut value = object.get(*first)?;
    for part in rest {
        value = value.get(part)?;
    }
    Some(value)
}

/// The text at a path; empty when absent.
pub fn string<'a>(object: &'a Map<String, Value>, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a path; 0 when absent.
pub fn number(object: &Map<String, Value>, path: &[&str]) -> i64 {
    at(object, path).and_then(Value::as_i64).unwrap_or_default()
}

/// The truth at a path; false when absent.
pub fn truth(object: &Map<String, Value>, path: &[&str]) -> bool {
    at(object, path).and_then(Value::as_bool).unwrap_or_default()
}

/// The list at a path; empty when absent.
pub fn list<'a>(object: &'a Map<String, Value>, path: &[&str]) -> &'a [Value] {
    at(object, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The number of entries of a list or map at a path.
pub fn count(object: &Map<String, Value>, path: &[&str]) -> usize {
    match at(object, path) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(entries)) => entries.len(),
        _ => 0,
    }
}

/// A time's distance from now as kubectl writes ages; `<unknown>` when there is no time.
pub fn since(time: Option<&Value>, now: Timestamp) -> String {
    match time
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<Timestamp>().ok())
    {
        Some(time) => duration(now.as_second() - time.as_second()),
        None => "<unknown>".to_owned(),
    }
}

/// Seconds as kubectl writes them: `59s`, `2m30s`, `3h5m`, `2d4h`, `12d`, `2y30d`. Source: `duration.HumanDuration`.
pub fn duration(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |large: i64, unit: &str, small: i64, part: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{part}"),
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => pair(days, "d", hours % 24, "h"),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

/// A label map as `a=b,c=d`, or `<none>`.
pub fn labels(map: Option<&Value>) -> String {
    match map.and_then(Value::as_object) {
        Some(map) if !map.is_empty() => {
            let mut pairs: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            pairs.sort();
            pairs.join(",")
        }
        _ => "<none>".to_owned(),
    }
}

/// A typed label selector as `a=b,c in (d,e)`, or `<none>`.
pub fn selector(value: Option<&Value>) -> String {
    let Some(value) = value else { return "<none>".to_owned() };
    let typed: Result<kube_types::meta::LabelSelector, _> = serde::Deserialize::deserialize(value);
    let compiled = typed
        .ok()
        .and_then(|typed| kube_types::selector::LabelSelector::from_typed(&typed).ok());
    match compiled.map(|selector| selector.to_string()) {
        Some(text) if !text.is_empty() => text,
        Some(_) => "<none>".to_owned(),
        None => "<error>".to_owned(),
    }
}
