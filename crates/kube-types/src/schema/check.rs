//! Checking and normalising an object against its schema.

use std::fmt::Write;

use crate::dynamic::{Map, Value};
use crate::{numbers, quantity};

use super::{Compiled, Struct, Type, TypeId, Unknown};

/// Texts of which the empty one means something else than none (pointers in Go).
const MEANINGFUL_WHEN_EMPTY: &[(&str, &str)] = &[
    // An empty list takes all entries away, none keeps them.
    ("ObjectMeta", "managedFields"),
    ("PersistentVolumeClaimSpec", "storageClassName"),
    ("PersistentVolumeClaimSpec", "volumeAttributesClassName"),
    ("EndpointPort", "name"),
    ("EndpointPort", "appProtocol"),
    ("IngressSpec", "ingressClassName"),
    ("ValidatingAdmissionPolicySpec", "failurePolicy"),
    ("CustomResourceDefinitionSpec", "group"),
];

/// A value of a wrong type. Worded as upstream's decoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(pub String);

struct Checker {
    set: &'static Compiled,
    /// Path with indices, for unknown fields.
    path: String,
    unknown: Vec<String>,
    /// Names of the Go struct and of the fields down to the value looked at, without indices.
    within: Vec<TypeId>,
    names: String,
}

pub(super) fn normalize(
    set: &'static Compiled,
    root: TypeId,
    object: &mut Map<String, Value>,
) -> Result<Unknown, TypeError> {
    let mut checker = Checker {
        set,
        path: String::new(),
        unknown: Vec::new(),
        within: vec![root],
        names: String::new(),
    };
    checker.fields(&set.structs[root as usize], object)?;
    Ok(Unknown(checker.unknown))
}

impl Checker {
    fn fields(&mut self, of: &'static Struct, object: &mut Map<String, Value>) -> Result<(), TypeError> {
        let mut failed = None;
        object.retain(|name, value| {
            if failed.is_some() {
                return true;
            }
            let (path, names) = (self.path.len(), self.names.len());
            if !self.path.is_empty() {
                self.path.push('.');
                self.names.push('.');
            }
            self.path.push_str(name);
            self.names.push_str(name);
            let keep = match of.field(name) {
                None => {
                    self.unknown.push(self.path.clone());
                    Ok(false)
                }
                Some(_) if value.is_null() => Ok(false),
                Some(field) => self.value(&field.of, value).map(|()| {
                    field.required || !is_empty(&field.of, value) || MEANINGFUL_WHEN_EMPTY.contains(&(&*of.name, name))
                }),
            };
            self.path.truncate(path);
            self.names.truncate(names);
            keep.unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
        });
        failed.map_or(Ok(()), Err)
    }

    fn value(&mut self, of: &'static Type, value: &mut Value) -> Result<(), TypeError> {
        match (of, &mut *value) {
            (Type::Any { .. }, _) | (Type::Text, Value::String(_)) | (Type::Boolean, Value::Bool(_)) => Ok(()),
            (Type::Number, Value::Number(number)) => {
                numbers::settle_number(number);
                Ok(())
            }
            (Type::Struct(id), Value::Object(object)) => {
                let of = &self.set.structs[*id as usize];
                self.within.push(*id);
                let result = self.fields(of, object);
                self.within.pop();
                result
            }
            (Type::List(items), Value::Array(list)) => self.items(items, list),
            (Type::Map(values), Value::Object(map)) => self.entries(values, map),
            (Type::Integer { bits }, Value::Number(number)) => {
                let fits = match number.as_i64() {
                    Some(whole) => *bits == 64 || i32::try_from(whole).is_ok(),
                    None => false,
                };
                if fits {
                    Ok(())
                } else {
                    Err(self.mismatch(&format!("number {number}"), of))
                }
            }
            (Type::Bytes, Value::String(text)) => base64(text).map_err(TypeError),
            (Type::Quantity, Value::String(text)) => {
                let amount = quantity::parse(text.trim()).map_err(|error| TypeError(error.to_string()))?;
                *text = amount.to_string();
                Ok(())
            }
            (Type::Quantity, Value::Number(number)) => {
                let amount = quantity::parse(&number.to_string()).map_err(|error| TypeError(error.to_string()))?;
                *value = Value::String(amount.to_string());
                Ok(())
            }
            (Type::IntOrString, Value::String(_)) => Ok(()),
            (Type::IntOrString, Value::Number(number)) => {
                let fits = number.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok());
                if fits {
                    Ok(())
                } else {
                    Err(TypeError(format!(
                        "json: cannot unmarshal number {number} into Go value of type int32"
                    )))
                }
            }
            // The zero time, in a list or a map.
            (Type::Time | Type::MicroTime, Value::Null) => Ok(()),
            (Type::Time, Value::String(text)) => time(text, 0),
            (Type::MicroTime, Value::String(text)) => time(text, 6),
            _ => Err(self.mismatch(kind_of(value), of)),
        }
    }

    fn items(&mut self, of: &'static Type, list: &mut [Value]) -> Result<(), TypeError> {
        for (index, item) in list.iter_mut().enumerate() {
            let path = self.path.len();
            write!(self.path, "[{index}]").map_err(|error| TypeError(error.to_string()))?;
            if item.is_null() {
                *item = zero(of);
            }
            self.value(of, item)?;
            self.path.truncate(path);
        }
        Ok(())
    }

    fn entries(&mut self, of: &'static Type, map: &mut Map<String, Value>) -> Result<(), TypeError> {
        for (key, item) in map.iter_mut() {
            let path = self.path.len();
            self.path.push('.');
            self.path.push_str(key);
            if item.is_null() {
                *item = zero(of);
            }
            self.value(of, item)?;
            self.path.truncate(path);
        }
        Ok(())
    }

    fn mismatch(&self, found: &str, wanted: &Type) -> TypeError {
        let of = self.within.last().map_or("", |id| &self.set.structs[*id as usize].name);
        let wanted = self.go_type(wanted);
        TypeError(format!(
            "json: cannot unmarshal {found} into Go struct field {of}.{} of type {wanted}",
            self.names
        ))
    }

    fn go_type(&self, of: &Type) -> String {
        match of {
            Type::Struct(id) => {
                let of = &self.set.structs[*id as usize];
                format!("{}.{}", of.package, of.name)
            }
            Type::List(items) => format!("[]{}", self.go_type(items)),
            Type::Map(values) => format!("map[string]{}", self.go_type(values)),
            Type::Text | Type::Time | Type::MicroTime | Type::IntOrString | Type::Quantity => "string".to_owned(),
            Type::Integer { bits } => format!("int{bits}"),
            Type::Number => "float64".to_owned(),
            Type::Boolean => "bool".to_owned(),
            Type::Bytes => "[]uint8".to_owned(),
            Type::Any { .. } => "interface {}".to_owned(),
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What Go's decoder makes of null.
fn zero(of: &Type) -> Value {
    match of {
        Type::Text | Type::Bytes => Value::String(String::new()),
        Type::Integer { .. } | Type::Number | Type::IntOrString => 0.into(),
        Type::Boolean => false.into(),
        Type::Quantity => "0".into(),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Struct(_) | Type::Map(_) => Value::Object(Map::new()),
        Type::Any { .. } | Type::Time | Type::MicroTime => Value::Null,
    }
}

/// What Go's encoder leaves out of an optional field.
fn is_empty(of: &Type, value: &Value) -> bool {
    match (of, value) {
        (Type::Text | Type::Bytes, Value::String(text)) => text.is_empty(),
        (Type::List(_), Value::Array(list)) => list.is_empty(),
        (Type::Map(_), Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

/// Upstream's decoder is Go's base64 with padding; it names the first byte that does not fit.
fn base64(text: &str) -> Result<(), String> {
    let bytes: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    let body_end = bytes.iter().position(|b| *b == b'=').unwrap_or(bytes.len());
    let bad = bytes[..body_end]
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')));
    let padding = bytes.len() - body_end;
    match bad {
        Some(at) => Err(format!("illegal base64 data at input byte {at}")),
        None if !bytes.len().is_multiple_of(4) || padding > 2 || bytes[body_end..].iter().any(|b| *b != b'=') => {
            Err(format!(
                "illegal base64 data at input byte {}",
                body_end.min(bytes.len()) / 4 * 4
            ))
        }
        None => Ok(()),
    }
}

/// Brings a time into UTC with the given number of fractional digits.
fn time(text: &mut String, digits: u8) -> Result<(), TypeError> {
    let layout = if digits == 0 {
        "2006-01-02T15:04:05Z07:00"
    } else {
        "2006-01-02T15:04:05.000000Z07:00"
    };
    let parsed: jiff::Timestamp = text.parse().map_err(|_error: jiff::Error| {
        TypeError(format!(
            "parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"2006\""
        ))
    })?;
    *text = if digits == 0 {
        parsed.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    } else {
        parsed.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    };
    Ok(())
}
