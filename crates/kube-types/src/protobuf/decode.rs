//! From protobuf to JSON, as Go would write the struct that it reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::table::{Count, Field, Form, Kind, Message};
use super::wire::{self, Reader, WireValue};
use super::{MAGIC, ProtobufError, known, scalars};
use crate::dynamic::{Map, Value};

/// Messages inside messages; deeper ones are no honest request.
const DEEPEST: usize = 64;

/// The JSON object that an envelope stands for.
///
/// # Errors
/// When the bytes are malformed or of an unknown kind.
pub fn decode(body: &[u8]) -> Result<Map<String, Value>, ProtobufError> {
    let envelope = body.strip_prefix(MAGIC).ok_or(ProtobufError::Magic)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Reader::new(envelope, "the envelope") {
        match field? {
            (1, WireValue::Bytes(type_meta)) => {
                for field in Reader::new(type_meta, "the type") {
                    match field? {
                        (1, WireValue::Bytes(text)) => api_version = scalars::text_of(text, "apiVersion")?,
                        (2, WireValue::Bytes(text)) => kind = scalars::text_of(text, "kind")?,
                        _ => {}
                    }
                }
            }
            (2, WireValue::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let of = match (api_version.as_str(), kind.as_str()) {
        // What clients from before 1.22 post; the message has not changed since.
        ("policy/v1beta1", "Eviction") => known("policy/v1", "Eviction")?,
        (api_version, kind) => known(api_version, kind)?,
    };
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    read_into(&mut object, raw, of, 0)?;
    Ok(object)
}

pub(super) fn read_into(
    object: &mut Map<String, Value>,
    bytes: &[u8],
    of: &'static Message,
    depth: usize,
) -> Result<(), ProtobufError> {
    if depth > DEEPEST {
        return Err(ProtobufError::Malformed(format!("{}: nested too deeply", of.name())));
    }
    for field in Reader::new(bytes, of.name()) {
        let (tag, value) = field?;
        // Fields of later releases are passed over, as upstream's decoder does.
        if let Some(field) = of.field(tag) {
            let malformed = || ProtobufError::Malformed(format!("{}.{}", of.name(), field.name));
            read_field(object, field, value, depth).ok_or_else(malformed)??;
        }
    }
    Ok(())
}

/// Reads one field. `None`: the wire has another type than the field.
fn read_field(
    object: &mut Map<String, Value>,
    field: &Field,
    value: WireValue<'_>,
    depth: usize,
) -> Option<Result<(), ProtobufError>> {
    match (field.count, field.kind, value) {
        (Count::Inline, Kind::Message(inner), WireValue::Bytes(bytes)) => {
            return Some(read_into(object, bytes, inner, depth + 1));
        }
        (Count::Map, values, WireValue::Bytes(bytes)) => match map_entry(bytes, values, depth)? {
            Ok((key, value)) => {
                let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                map.as_object_mut()?.insert(key, value);
            }
            Err(error) => return Some(Err(error)),
        },
        (Count::List, Kind::Integer, WireValue::Bytes(bytes)) => {
            let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            let numbers = wire::packed(bytes)?;
            list.as_array_mut()?.extend(numbers.into_iter().map(Value::from));
        }
        (Count::List, kind, value) => match single(kind, value, depth)? {
            Ok(value) => {
                let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()?.extend(value);
            }
            Err(error) => return Some(Err(error)),
        },
        (_, kind, value) => match single(kind, value, depth)? {
            Ok(Some(value)) if field.pointer || field.always || says_something(&value) => {
                object.insert(field.name.to_owned(), value);
            }
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        },
    }
    Some(Ok(()))
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Bool(set) => *set,
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

/// One value. The outer `None`: the wire has another type than the field. The inner one: the value is absent in JSON.
fn single(kind: Kind, value: WireValue<'_>, depth: usize) -> Option<Result<Option<Value>, ProtobufError>> {
    Some(Ok(Some(match (kind, value) {
        (Kind::Text, WireValue::Bytes(bytes)) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
        (Kind::Bytes, WireValue::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Kind::Integer, WireValue::Varint(number)) => number.cast_signed().into(),
        (Kind::Boolean, WireValue::Varint(number)) => (number != 0).into(),
        (Kind::Double, WireValue::Fixed64(bits)) => scalars::number(f64::from_bits(bits)),
        (Kind::Message(of), WireValue::Bytes(bytes)) => return Some(message(bytes, of, depth)),
        _ => return None,
    })))
}

/// A message, or the JSON value that stands for it.
fn message(bytes: &[u8], of: &'static Message, depth: usize) -> Result<Option<Value>, ProtobufError> {
    let fields = || {
        let mut object = Map::new();
        read_into(&mut object, bytes, of, depth + 1)?;
        Ok(object)
    };
    match of.form {
        Form::Plain => Ok(Some(Value::Object(fields()?))),
        Form::Quantity => scalars::read_quantity(bytes).map(Some),
        Form::IntOrString => scalars::read_int_or_string(bytes).map(Some),
        Form::Time => scalars::read_time(bytes, false),
        Form::MicroTime => scalars::read_time(bytes, true),
        Form::RawJson => scalars::read_raw_json(bytes, of.name()),
        Form::Items => Ok(Some(
            fields()?.remove("items").unwrap_or_else(|| Value::Array(Vec::new())),
        )),
        Form::Alternatives => {
            let mut object = fields()?;
            // One of the alternatives is set; a lone `allows: false` is the empty message.
            let chosen = object
                .remove("schema")
                .or_else(|| object.into_iter().next().map(|(_, value)| value));
            Ok(Some(chosen.unwrap_or(Value::Bool(false))))
        }
    }
}

/// Key and value of one map entry; a value that is not written is the empty one.
fn map_entry(bytes: &[u8], values: Kind, depth: usize) -> Option<Result<(String, Value), ProtobufError>> {
    let (mut key, mut value) = (String::new(), None);
    for field in Reader::new(bytes, "a map") {
        match field {
            Ok((1, WireValue::Bytes(text))) => key = String::from_utf8_lossy(text).into_owned(),
            Ok((2, found)) => match single(values, found, depth)? {
                Ok(found) => value = found,
                Err(error) => return Some(Err(error)),
            },
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
    }
    let empty = || match values {
        Kind::Message(of) => match of.form {
            Form::Quantity => "0".into(),
            Form::Items => Value::Array(Vec::new()),
            Form::Time | Form::MicroTime => Value::Null,
            _ => Value::Object(Map::new()),
        },
        _ => "".into(),
    };
    Some(Ok((key, value.unwrap_or_else(empty))))
}
