//! Whether a value has the shape that the model demands: types, required members, allowed values, lengths.

use aws_types::shapes::{Kind, Service, Shape};
use serde_json::Value;

/// A value that its shape does not allow.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    /// The member's path.
    pub path: String,
    /// Which rule.
    pub rule: Rule,
    /// A sentence that names the member.
    pub message: String,
}

/// A rule of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A required member.
    Required,
    /// The type.
    Type,
    /// The allowed values.
    Enumeration,
    /// Length, size or range.
    Bounds,
    /// A member that the model does not have.
    Unknown,
}

/// Checks a request after decoding: types, required members, allowed values and bounds.
///
/// # Errors
/// The first rule that is broken.
pub fn request(service: &Service, shape: &str, value: &Value) -> Result<(), Violation> {
    Check { service, strict: true }.value(service.shape(shape), "", value)
}

/// Checks an answer of our own: types and members only, because AWS's own answers break their bounds at times.
///
/// # Errors
/// The first rule that is broken.
pub fn answer(service: &Service, shape: &str, value: &Value) -> Result<(), Violation> {
    Check { service, strict: false }.value(service.shape(shape), "", value)
}

/// The most values that an enumeration may have and still be complete.
const MOST_VALUES: usize = 40;

/// Members whose values are the handler's to judge: `ReceiveMessage` is asked for attributes of messages by the name that its model has
/// for attributes of queues.
const WIDER: &[(&str, &str)] = &[("AmazonSQS", "AttributeNames")];

struct Check<'a> {
    service: &'a Service,
    strict: bool,
}

fn violation<T>(path: &str, rule: Rule, message: String) -> Result<T, Violation> {
    Err(Violation {
        path: path.to_owned(),
        rule,
        message,
    })
}

impl Check<'_> {
    fn value(&self, shape: &Shape, path: &str, value: &Value) -> Result<(), Violation> {
        match (shape.kind, value) {
            (Kind::Structure, Value::Object(members)) => self.structure(shape, path, members),
            (Kind::List, Value::Array(items)) => {
                self.bounds(shape, path, items.len() as f64, "size")?;
                let Some(member) = &shape.member else { return Ok(()) };
                for (index, item) in items.iter().enumerate() {
                    self.value(self.service.shape(&member.shape), &format!("{path}[{index}]"), item)?;
                }
                Ok(())
            }
            (Kind::Map, Value::Object(entries)) => {
                self.bounds(shape, path, entries.len() as f64, "size")?;
                let Some(member) = &shape.value else { return Ok(()) };
                for (key, item) in entries {
                    self.value(self.service.shape(&member.shape), &join(path, key), item)?;
                }
                Ok(())
            }
            (Kind::String, Value::String(text)) => self.text(shape, path, text),
            (Kind::Integer | Kind::Long, Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.bounds(shape, path, number.as_f64().unwrap_or(f64::NAN), "value")
            }
            (Kind::Float | Kind::Double | Kind::Timestamp, Value::Number(_))
            | (Kind::Boolean, Value::Bool(_))
            | (Kind::Timestamp | Kind::Blob, Value::String(_)) => Ok(()),
            (kind, found) => {
                let message = format!("{} must be {}, is {}", named(path), kind_name(kind), value_name(found));
                violation(path, Rule::Type, message)
            }
        }
    }

    fn structure(&self, shape: &Shape, path: &str, members: &serde_json::Map<String, Value>) -> Result<(), Violation> {
        if self.strict {
            for required in &shape.required {
                if members.get(&**required).is_none_or(Value::is_null) {
                    let path = join(path, required);
                    let message = format!("{path} is required");
                    return violation(&path, Rule::Required, message);
                }
            }
        }
        for (name, value) in members {
            let path = join(path, name);
            let Some((_, member)) = shape.members.0.iter().find(|(known, _)| **known == **name) else {
                let message = format!("{path} is no member of the model");
                return violation(&path, Rule::Unknown, message);
            };
            if !value.is_null() {
                self.value(self.service.shape(&member.shape), &path, value)?;
            }
        }
        Ok(())
    }

    fn text(&self, shape: &Shape, path: &str, text: &str) -> Result<(), Violation> {
        if !self.strict {
            return Ok(());
        }
        // Open-ended sets, such as EC2's instance types, are the handler's to judge: it knows which are offered.
        let closed = (1..=MOST_VALUES).contains(&shape.values.len()) && !self.is_wider(path);
        if closed && !shape.values.iter().any(|allowed| **allowed == *text) {
            let allowed = shape.values.join(", ");
            let message = format!(
                "Value '{text}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: [{allowed}]"
            );
            return violation(path, Rule::Enumeration, message);
        }
        self.bounds(shape, path, text.chars().count() as f64, "length")
    }

    /// Whether the service takes more for a member than its model lists.
    fn is_wider(&self, path: &str) -> bool {
        let service = self.service.metadata.target_prefix.as_deref();
        WIDER
            .iter()
            .any(|(prefix, member)| service == Some(prefix) && path.split('[').next() == Some(member))
    }

    fn bounds(&self, shape: &Shape, path: &str, size: f64, what: &str) -> Result<(), Violation> {
        let low = shape.min.filter(|min| size < *min);
        let high = shape.max.filter(|max| size > *max);
        if !self.strict || (low.is_none() && high.is_none()) {
            return Ok(());
        }
        let limit = match (low, high) {
            (Some(min), _) => format!("greater than or equal to {min}"),
            (_, Some(max)) => format!("less than or equal to {max}"),
            (None, None) => return Ok(()),
        };
        let message = format!("Value at '{path}' failed to satisfy constraint: Member must have {what} {limit}");
        violation(path, Rule::Bounds, message)
    }
}

fn named(path: &str) -> &str {
    if path.is_empty() { "the request" } else { path }
}

/// A member's path with one more name.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Structure | Kind::Map => "an object",
        Kind::List => "a list",
        Kind::String | Kind::Blob => "a string",
        Kind::Integer | Kind::Long => "a whole number",
        Kind::Float | Kind::Double => "a number",
        Kind::Boolean => "true or false",
        Kind::Timestamp => "a timestamp",
    }
}

fn value_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
