//! JSON bodies: wire names to member names and back.

use aws_types::shapes::{Kind, Member, Operation, Service};
use serde_json::{Map, Value};

use super::DecodeError;
use super::check::join;

/// A request's body by member names. Members that travel elsewhere and members that the model lacks are ignored, as AWS
/// does; values of another type are refused.
///
/// # Errors
/// When a value has another type than its shape.
pub fn decode(service: &Service, shape: &str, body: &Value, path: &str) -> Result<Value, DecodeError> {
    let shape = service.shape(shape);
    let wrong = |wanted: &str| {
        let found = match body {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "a structure",
        };
        let path = if path.is_empty() { "the request body" } else { path };
        Err(DecodeError::WrongType {
            path: path.to_owned(),
            message: format!("{found} can not be converted to {wanted}"),
        })
    };
    match (shape.kind, body) {
        (Kind::Structure, Value::Object(wire)) => {
            let mut members = Map::new();
            for (name, member) in shape.members.0.iter().filter(|(_, member)| member.location.is_none()) {
                if let Some(value) = wire.get(wire_name(name, member)).filter(|value| !value.is_null()) {
                    members.insert(
                        name.to_string(),
                        decode(service, &member.shape, value, &join(path, name))?,
                    );
                }
            }
            Ok(Value::Object(members))
        }
        (Kind::List, Value::Array(items)) => {
            let Some(member) = &shape.member else {
                return Ok(body.clone());
            };
            let decode = |(index, item)| decode(service, &member.shape, item, &format!("{path}[{index}]"));
            items.iter().enumerate().map(decode).collect()
        }
        (Kind::Map, Value::Object(entries)) => {
            let Some(member) = &shape.value else {
                return Ok(body.clone());
            };
            let decoded = entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), decode(service, &member.shape, value, &join(path, key))?)));
            Ok(Value::Object(decoded.collect::<Result<_, DecodeError>>()?))
        }
        (Kind::Structure, _) => wrong("a structure"),
        (Kind::List, _) => wrong("a list"),
        (Kind::Map, _) => wrong("a map"),
        (Kind::String | Kind::Blob, Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Float | Kind::Double | Kind::Timestamp, Value::Number(_)) => Ok(body.clone()),
        (Kind::Integer | Kind::Long, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(body.clone()),
        (Kind::String | Kind::Blob, _) => wrong("a string"),
        (Kind::Boolean, _) => wrong("a boolean"),
        (Kind::Integer | Kind::Long, _) => wrong("an integer"),
        (Kind::Float | Kind::Double, _) => wrong("a number"),
        (Kind::Timestamp, _) => wrong("a timestamp"),
    }
}

/// An answer's body by wire names, without members that are null or travel elsewhere.
pub fn encode(service: &Service, shape: &str, value: &Value) -> Value {
    let shape = service.shape(shape);
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(members)) => {
            let wire = shape
                .members
                .0
                .iter()
                .filter(|(_, member)| member.location.is_none())
                .filter_map(|(name, member)| {
                    let value = members.get(&**name).filter(|value| !value.is_null())?;
                    Some((
                        wire_name(name, member).to_owned(),
                        encode(service, &member.shape, value),
                    ))
                });
            Value::Object(wire.collect())
        }
        (Kind::List, Value::Array(items)) => match &shape.member {
            Some(member) => items.iter().map(|item| encode(service, &member.shape, item)).collect(),
            None => value.clone(),
        },
        (Kind::Map, Value::Object(entries)) => match &shape.value {
            Some(member) => {
                let encoded = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), encode(service, &member.shape, value)));
                Value::Object(encoded.collect())
            }
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

/// An answer of a query service for a client that wants JSON: the same elements as in XML.
pub fn query_answer(service: &Service, name: &str, operation: &Operation, value: &Value, request_id: &str) -> String {
    let one = |key: &str, value: Value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
    let mut parts = Map::new();
    if let Some(shape) = &operation.output {
        let wrapper = operation
            .result_wrapper
            .as_deref()
            .map_or_else(|| format!("{name}Result"), str::to_owned);
        parts.insert(wrapper, encode(service, shape, value));
    }
    parts.insert("ResponseMetadata".to_owned(), one("RequestId", request_id.into()));
    one(&format!("{name}Response"), Value::Object(parts)).to_string()
}

/// A member's name on the wire.
pub fn wire_name<'a>(name: &'a str, member: &'a Member) -> &'a str {
    member.location_name.as_deref().unwrap_or(name)
}
