//! From JSON to protobuf, byte for byte as upstream's encoder: fields in the order of their numbers, map entries in the
//! order of their keys, zero values written unless the field is a pointer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::table::{Count, Field, Form, Kind, Message};
use super::{ProtobufError, scalars, wire};
use crate::dynamic::{Map, Value};

/// Writes the fields of a message; without an object, those that are written even when they are empty.
pub(super) fn write_message(
    bytes: &mut Vec<u8>,
    object: Option<&Map<String, Value>>,
    of: &'static Message,
) -> Result<(), ProtobufError> {
    for field in of.fields() {
        let mismatch = || ProtobufError::Mismatch(format!("{}.{}", of.name(), field.name));
        if field.count == Count::Inline {
            let Kind::Message(inner) = field.kind else { continue };
            wire::write_nested(bytes, field.tag, |bytes| write_message(bytes, object, inner))?;
            continue;
        }
        let value = object
            .and_then(|object| object.get(field.name))
            .filter(|value| !value.is_null());
        write_field(bytes, field, value).ok_or_else(mismatch)??;
    }
    Ok(())
}

/// Writes one field. `None`: the value is not of its type.
fn write_field(bytes: &mut Vec<u8>, field: &Field, value: Option<&Value>) -> Option<Result<(), ProtobufError>> {
    match (field.count, value) {
        (Count::List, Some(value)) => {
            for item in value.as_array()? {
                match write_single(bytes, field.tag, field.kind, Some(item).filter(|item| !item.is_null()))? {
                    Ok(()) => {}
                    failed => return Some(failed),
                }
            }
            Some(Ok(()))
        }
        (Count::Map, Some(value)) => write_map(bytes, field, value.as_object()?),
        (Count::List | Count::Map, None) => Some(Ok(())),
        (_, None) if field.pointer || matches!(field.kind, Kind::Bytes) => Some(Ok(())),
        (_, value) => write_single(bytes, field.tag, field.kind, value),
    }
}

fn write_map(bytes: &mut Vec<u8>, field: &Field, map: &Map<String, Value>) -> Option<Result<(), ProtobufError>> {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    for (key, value) in entries {
        let mut entry = Vec::new();
        wire::write_bytes(&mut entry, 1, key.as_bytes());
        match write_single(&mut entry, 2, field.kind, Some(value).filter(|value| !value.is_null()))? {
            Ok(()) => wire::write_bytes(bytes, field.tag, &entry),
            failed => return Some(failed),
        }
    }
    Some(Ok(()))
}

/// Writes one value; none is the zero value.
fn write_single(bytes: &mut Vec<u8>, tag: u32, kind: Kind, value: Option<&Value>) -> Option<Result<(), ProtobufError>> {
    match kind {
        Kind::Text => wire::write_bytes(bytes, tag, value.map_or(Some(""), Value::as_str)?.as_bytes()),
        Kind::Bytes => {
            let text = value.map_or(Some(""), Value::as_str)?;
            wire::write_bytes(bytes, tag, &STANDARD.decode(text).ok()?);
        }
        Kind::Boolean => wire::write_number(bytes, tag, value.map_or(Some(false), Value::as_bool)?.into()),
        Kind::Integer => wire::write_number(bytes, tag, value.map_or(Some(0), scalars::integer)?.cast_unsigned()),
        Kind::Double => {
            wire::write_key(bytes, tag, wire::FIXED64);
            bytes.extend_from_slice(&value.map_or(Some(0.0), Value::as_f64)?.to_le_bytes());
        }
        Kind::Message(of) => return write_formed(bytes, tag, of, value),
    }
    Some(Ok(()))
}

/// Writes a message from what stands for it in JSON.
fn write_formed(
    bytes: &mut Vec<u8>,
    tag: u32,
    of: &'static Message,
    value: Option<&Value>,
) -> Option<Result<(), ProtobufError>> {
    let content = match of.form {
        Form::Plain => {
            let object = match value {
                Some(value) => Some(value.as_object()?),
                None => None,
            };
            return Some(wire::write_nested(bytes, tag, |bytes| write_message(bytes, object, of)));
        }
        Form::Items | Form::Alternatives => {
            let object = value.map(|value| alternative(of.form, value));
            let object = object.as_ref();
            return Some(wire::write_nested(bytes, tag, |bytes| write_message(bytes, object, of)));
        }
        Form::Quantity => scalars::quantity(value)?,
        Form::IntOrString => scalars::int_or_string(value)?,
        Form::Time | Form::MicroTime => scalars::time(value, of.form == Form::MicroTime)?,
        Form::RawJson => scalars::raw_json(value),
    };
    wire::write_bytes(bytes, tag, &content);
    Some(Ok(()))
}

/// The fields that say the same as a value of another form.
fn alternative(form: Form, value: &Value) -> Map<String, Value> {
    let fields = |fields: &[(&str, &Value)]| {
        let owned = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).clone()));
        owned.collect()
    };
    match value {
        _ if form == Form::Items => fields(&[("items", value)]),
        Value::Bool(_) => fields(&[("allows", value)]),
        Value::Array(_) => fields(&[("jSONSchemas", value), ("property", value)]),
        _ => fields(&[("allows", &Value::Bool(true)), ("schema", value)]),
    }
}
