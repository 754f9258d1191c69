//! Maps and objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json};

use super::{Text, Value};
use crate::types::{DYN, Type};

/// A map, or an object with fields.
#[derive(Clone)]
pub enum Map<'a> {
    /// Part of an object, read as this type: an object type, a map or anything.
    Json(&'a JsonMap<String, Json>, &'a Type),
    /// Made by an expression.
    Owned(Arc<BTreeMap<Key, Value<'a>>>),
}

/// A key of a map. Whole numbers are one kind of key, whether they have a sign or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Text.
    String(String),
}

impl Key {
    /// The key that a value is.
    pub fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(Self::Bool(*truth)),
            Value::Int(number) => Some(Self::Int(i128::from(*number))),
            Value::Uint(number) => Some(Self::Int(i128::from(*number))),
            #[expect(clippy::cast_possible_truncation, reason = "only whole numbers in range are keys")]
            Value::Double(number) if number.fract() == 0.0 && number.abs() < 1e18 => Some(Self::Int(*number as i128)),
            Value::String(text) => Some(Self::String(text.to_string())),
            _ => None,
        }
    }

    /// The key as a value.
    pub fn value<'a>(&self) -> Value<'a> {
        match self {
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(number) => match i64::try_from(*number) {
                Ok(number) => Value::Int(number),
                Err(_beyond_int) => Value::Uint(u64::try_from(*number).unwrap_or(u64::MAX)),
            },
            Self::String(text) => Value::text(text.as_str()),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::String(text) => f.write_str(text),
        }
    }
}

impl<'a> Map<'a> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(map, _) => map.len(),
            Self::Owned(map) => map.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field or an entry with a text key.
    pub fn select(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Json(map, Type::Object(object)) => {
                let field = object.fields.get(name)?;
                map.get(&field.json).map(|json| Value::read(json, &field.holds))
            }
            Self::Json(map, Type::Map(_, of)) => map.get(name).map(|json| Value::read(json, of)),
            Self::Json(map, _) => map.get(name).map(|json| Value::read(json, &DYN)),
            Self::Owned(map) => map.get(&Key::String(name.to_owned())).cloned(),
        }
    }

    /// The entry of a key.
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (_, Value::String(name)) => self.select(name),
            (Self::Owned(map), key) => map.get(&Key::of(key)?).cloned(),
            _ => None,
        }
    }

    /// All entries.
    pub fn entries(&self) -> Vec<(Value<'a>, Value<'a>)> {
        match self {
            Self::Json(map, kind) => map
                .iter()
                .map(|(key, json)| {
                    let of = match kind {
                        Type::Map(_, of) => of,
                        Type::Object(object) => object
                            .fields
                            .values()
                            .find(|field| field.json == *key)
                            .map_or(&DYN, |field| &field.holds),
                        _ => &DYN,
                    };
                    (Value::String(Text::Borrowed(key)), Value::read(json, of))
                })
                .collect(),
            Self::Owned(map) => map.iter().map(|(key, value)| (key.value(), value.clone())).collect(),
        }
    }

    /// Same keys, same values.
    pub(crate) fn equals(&self, other: &Map<'_>) -> bool {
        self.len() == other.len()
            && self
                .entries()
                .iter()
                .all(|(key, value)| other.get(key).is_some_and(|found| value.equals(&found)))
    }
}
