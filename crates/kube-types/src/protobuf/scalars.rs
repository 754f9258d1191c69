//! Values whose JSON form is not that of their fields, in both directions.

use jiff::Timestamp;

use super::wire::{self, Reader, WireValue};
use super::{MAGIC, ProtobufError, decode};
use crate::dynamic::Value;

pub(super) fn text_of(bytes: &[u8], field: &str) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|error| ProtobufError::Malformed(format!("{field}: {error}")))
}

/// A floating point number as Go writes it: whole ones without a fraction.
pub(super) fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

/// A whole number, which JSON may write with a fraction of zero.
pub(super) fn integer(value: &Value) -> Option<i64> {
    let whole = |number: f64| (number.fract() == 0.0).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

pub(super) fn read_quantity(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let text = text_of(wire::bytes_field(bytes, 1)?.unwrap_or_default(), "Quantity")?;
    Ok(if text.is_empty() { "0".into() } else { text.into() })
}

pub(super) fn quantity(value: Option<&Value>) -> Option<Vec<u8>> {
    let text = match value {
        None => "0".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return None,
    };
    let mut bytes = Vec::with_capacity(text.len() + 2);
    wire::write_bytes(&mut bytes, 1, text.as_bytes());
    Some(bytes)
}

pub(super) fn read_int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    if wire::varint_field(bytes, 1)?.unwrap_or_default() == 1 {
        let text = wire::bytes_field(bytes, 3)?.unwrap_or_default();
        return Ok(text_of(text, "IntOrString")?.into());
    }
    Ok(wire::varint_field(bytes, 2)?.unwrap_or_default().cast_signed().into())
}

pub(super) fn int_or_string(value: Option<&Value>) -> Option<Vec<u8>> {
    let (of_text, number, text) = match value {
        None => (0, 0, ""),
        Some(Value::String(text)) => (1, 0, text.as_str()),
        Some(value) => (0, integer(value)?, ""),
    };
    let mut bytes = Vec::with_capacity(text.len() + 8);
    wire::write_number(&mut bytes, 1, of_text);
    wire::write_number(&mut bytes, 2, number.cast_unsigned());
    wire::write_bytes(&mut bytes, 3, text.as_bytes());
    Some(bytes)
}

/// An empty message is Go's zero time, which JSON writes as null.
pub(super) fn read_time(bytes: &[u8], micro: bool) -> Result<Option<Value>, ProtobufError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let malformed = |error: String| ProtobufError::Malformed(format!("time: {error}"));
    let (mut seconds, mut nanos) = (0, 0);
    for field in Reader::new(bytes, "a time") {
        match field? {
            (1, WireValue::Varint(number)) => seconds = number.cast_signed(),
            (2, WireValue::Varint(number)) => nanos = i32::try_from(number).map_err(|e| malformed(e.to_string()))?,
            _ => {}
        }
    }
    let time = Timestamp::new(seconds, nanos).map_err(|error| malformed(error.to_string()))?;
    let format = if micro {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    Ok(Some(time.strftime(format).to_string().into()))
}

pub(super) fn time(value: Option<&Value>, micro: bool) -> Option<Vec<u8>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let time: Timestamp = value.as_str()?.parse().ok()?;
    let nanos = if micro {
        i64::from(time.subsec_microsecond()) * 1000 + i64::from(time.subsec_millisecond()) * 1_000_000
    } else {
        0
    };
    let mut bytes = Vec::with_capacity(16);
    wire::write_number(&mut bytes, 1, time.as_second().cast_unsigned());
    wire::write_number(&mut bytes, 2, nanos.cast_unsigned());
    Some(bytes)
}

/// Upstream keeps JSON that it does not look into as bytes; an object may also lie there in an envelope of its own.
pub(super) fn read_raw_json(bytes: &[u8], name: &str) -> Result<Option<Value>, ProtobufError> {
    let raw = wire::bytes_field(bytes, 1)?.unwrap_or_default();
    if raw.is_empty() {
        return Ok(None);
    }
    if raw.starts_with(MAGIC) {
        return decode(raw).map(|object| Some(Value::Object(object)));
    }
    let parsed = serde_json::from_slice(raw);
    parsed
        .map(Some)
        .map_err(|error| ProtobufError::Malformed(format!("{name}: {error}")))
}

pub(super) fn raw_json(value: Option<&Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(value) = value {
        wire::write_bytes(&mut bytes, 1, value.to_string().as_bytes());
    }
    bytes
}
