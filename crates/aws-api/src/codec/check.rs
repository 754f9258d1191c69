//! Whether a value has the shape that the model demands: types, required members, allowed values, lengths.
//!
//! A request is told all that it breaks, in the words of AWS's services: `2 validation errors detected: Value '0' at 'tags.1.member.key'
//! failed to satisfy constraint: …; Value …`.

use std::cell::RefCell;

use aws_types::shapes::{Kind, Protocol, Service, Shape};
use serde_json::Value;

/// A value that its shape does not allow.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    /// The member's path.
    pub path: String,
    /// Which rule.
    pub rule: Rule,
    /// What was given; nothing for a member that is missing or not to be repeated.
    pub value: Option<String>,
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
/// The first rule that is broken, with a message about all of them.
pub fn request(service: &Service, shape: &str, value: &Value) -> Result<(), Violation> {
    let found = RefCell::new(Vec::new());
    let check = Check {
        service,
        found: Some(&found),
    };
    check.value(service.shape(shape), "", value)?;
    let found = found.into_inner();
    let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    let message = match messages.len() {
        1 => format!("1 validation error detected: {}", messages[0]),
        many => format!("{many} validation errors detected: {}", messages.join("; ")),
    };
    match found.into_iter().next() {
        Some(first) => Err(Violation { message, ..first }),
        None => Ok(()),
    }
}

/// Checks an answer of our own: types and members only, because AWS's own answers break their bounds at times.
///
/// # Errors
/// The first rule that is broken.
pub fn answer(service: &Service, shape: &str, value: &Value) -> Result<(), Violation> {
    Check { service, found: None }.value(service.shape(shape), "", value)
}

/// The most values that an enumeration may have and still be complete.
const MOST_VALUES: usize = 40;

/// Members whose values are the handler's to judge: `ReceiveMessage` is asked for attributes of messages by the name that its model has
/// for attributes of queues.
const WIDER: &[(&str, &str)] = &[("AmazonSQS", "AttributeNames")];

/// Members of EC2 for which it takes values in the spelling of other operations, `lowestPrice` for `lowest-price`.
const LOOSE: &[&str] = &["AllocationStrategy", "ExcessCapacityTerminationPolicy"];

struct Check<'a> {
    service: &'a Service,
    /// Where what a request breaks is gathered; nothing for answers.
    found: Option<&'a RefCell<Vec<Violation>>>,
}

fn violation<T>(path: &str, rule: Rule, message: String) -> Result<T, Violation> {
    Err(Violation {
        path: path.to_owned(),
        rule,
        value: None,
        message,
    })
}

/// The most of a value that is repeated, in letters.
const MOST_REPEATED: usize = 1000;

impl Check<'_> {
    fn value(&self, shape: &Shape, path: &str, value: &Value) -> Result<(), Violation> {
        match (shape.kind, value) {
            (Kind::Structure, Value::Object(members)) => self.structure(shape, path, members),
            (Kind::List, Value::Array(items)) => {
                self.bounds(shape, path, items.len() as f64, "length", || value.to_string());
                let Some(member) = &shape.member else { return Ok(()) };
                for (index, item) in items.iter().enumerate() {
                    self.value(self.service.shape(&member.shape), &format!("{path}[{index}]"), item)?;
                }
                Ok(())
            }
            (Kind::Map, Value::Object(entries)) => {
                // Services take an empty map as none at all, whatever the model says: SDKs send such.
                if !entries.is_empty() {
                    self.bounds(shape, path, entries.len() as f64, "length", || value.to_string());
                }
                let Some(member) = &shape.value else { return Ok(()) };
                for (key, item) in entries {
                    self.value(self.service.shape(&member.shape), &join(path, key), item)?;
                }
                Ok(())
            }
            (Kind::String, Value::String(text)) => {
                self.text(shape, path, text);
                Ok(())
            }
            (Kind::Integer | Kind::Long, Value::Number(number)) if number.is_i64() || number.is_u64() => {
                let size = number.as_f64().unwrap_or(f64::NAN);
                self.bounds(shape, path, size, "value", || number.to_string());
                Ok(())
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
        if self.found.is_some() {
            for required in &shape.required {
                if members.get(&**required).is_none_or(Value::is_null) {
                    self.note(&join(path, required), Rule::Required, None, "Member must not be null");
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

    fn text(&self, shape: &Shape, path: &str, text: &str) {
        // Open-ended sets, such as EC2's instance types, are the handler's to judge: it knows which are offered.
        let closed = (1..=MOST_VALUES).contains(&shape.values.len()) && !self.is_wider(path);
        if closed && !shape.values.iter().any(|allowed| **allowed == *text) {
            let allowed = shape.values.join(", ");
            let constraint = format!("Member must satisfy enum value set: [{allowed}]");
            self.note(path, Rule::Enumeration, Some(text.to_owned()), &constraint);
            return;
        }
        self.bounds(shape, path, text.chars().count() as f64, "length", || text.to_owned());
    }

    /// Whether the service takes more for a member than its model lists.
    fn is_wider(&self, path: &str) -> bool {
        let last = path.rsplit('.').next().unwrap_or_default();
        if self.service.metadata.protocol == Protocol::Ec2 && LOOSE.contains(&last) {
            return true;
        }
        let service = self.service.metadata.target_prefix.as_deref();
        WIDER
            .iter()
            .any(|(prefix, member)| service == Some(prefix) && path.split('[').next() == Some(member))
    }

    fn bounds(&self, shape: &Shape, path: &str, size: f64, what: &str, value: impl FnOnce() -> String) {
        let low = shape.min.filter(|min| size < *min);
        let high = shape.max.filter(|max| size > *max);
        let limit = match (low, high) {
            (Some(min), _) => format!("greater than or equal to {min}"),
            (_, Some(max)) => format!("less than or equal to {max}"),
            (None, None) => return,
        };
        if self.found.is_some() {
            let constraint = format!("Member must have {what} {limit}");
            self.note(path, Rule::Bounds, Some(value()), &constraint);
        }
    }

    /// Gathers what a request breaks.
    fn note(&self, path: &str, rule: Rule, value: Option<String>, constraint: &str) {
        let Some(found) = self.found else { return };
        let short = |value: &String| value.chars().count() <= MOST_REPEATED;
        let given = match &value {
            Some(value) if short(value) => format!("Value '{value}'"),
            Some(_) => "Value".to_owned(),
            None => "Value null".to_owned(),
        };
        let place = in_model(path);
        let message = format!("{given} at '{place}' failed to satisfy constraint: {constraint}");
        found.borrow_mut().push(Violation {
            path: path.to_owned(),
            rule,
            value,
            message,
        });
    }
}

/// A member's path as services' validation spells it: `Tags[0].Key` is `tags.1.member.key`.
pub fn in_model(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('.') {
        let (name, indices) = part.split_once('[').unwrap_or((part, ""));
        let mut letters = name.chars();
        let first = letters.next().into_iter().flat_map(char::to_lowercase);
        parts.push(first.chain(letters).collect::<String>());
        for index in indices
            .split(['[', ']'])
            .filter_map(|index| index.parse::<usize>().ok())
        {
            parts.push(format!("{}.member", index + 1));
        }
    }
    parts.join(".")
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

#[cfg(test)]
mod tests {
    use aws_types::shapes;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_told_all_that_it_breaks() {
        let iam = shapes::service("iam").unwrap();
        let input = json!({"MinimumPasswordLength": 129, "PasswordReusePrevention": 25});
        let refused = request(iam, "UpdateAccountPasswordPolicyRequest", &input).unwrap_err();
        assert_eq!(
            refused.message,
            "2 validation errors detected: Value '129' at 'minimumPasswordLength' failed to satisfy constraint: Member must have \
             value less than or equal to 128; Value '25' at 'passwordReusePrevention' failed to satisfy constraint: Member must \
             have value less than or equal to 24"
        );
        let refused = request(iam, "GetUserRequest", &json!({"UserName": ""})).unwrap_err();
        assert_eq!(
            refused.message,
            "1 validation error detected: Value '' at 'userName' failed to satisfy constraint: Member must have length greater \
             than or equal to 1"
        );
        let refused = request(iam, "GetRoleRequest", &json!({})).unwrap_err();
        assert_eq!(
            refused.message,
            "1 validation error detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(refused.path, "RoleName");
    }

    #[test]
    fn paths_are_spelled_as_services_spell_them() {
        assert_eq!(in_model("Tags[0].Key"), "tags.1.member.key");
        assert_eq!(in_model("TagKeys"), "tagKeys");
    }
}
