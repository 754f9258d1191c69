//! Between untyped JSON and values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map as JsonMap, Value as Json};

use super::{List, Map, Opaque, Text, Value};
use crate::library::time;
use crate::types::{DYN, ListKind, Type};

/// Why a value has no JSON form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no JSON form")]
pub struct NoJson(pub &'static str);

impl<'a> Value<'a> {
    /// Reads JSON in place, as a type says. What does not fit the type is read as what it is.
    pub fn read(json: &'a Json, of: &'a Type) -> Self {
        match (json, of) {
            (Json::Null, _) => Self::Null,
            (Json::Bool(truth), _) => Self::Bool(*truth),
            (Json::Number(number), of) => read_number(number, of),
            (Json::String(text), Type::Timestamp) => {
                time::parse_timestamp(text).map_or(Self::String(Text::Borrowed(text)), Self::Timestamp)
            }
            (Json::String(text), Type::Duration) => {
                time::parse_duration(text).map_or(Self::String(Text::Borrowed(text)), Self::Duration)
            }
            (Json::String(text), Type::Bytes) => STANDARD
                .decode(text)
                .map_or(Self::String(Text::Borrowed(text)), |bytes| Self::Bytes(bytes.into())),
            (Json::String(text), _) => Self::String(Text::Borrowed(text)),
            (Json::Array(items), Type::List(of, kind)) => Self::List(List::Json(items, of, kind)),
            (Json::Array(items), _) => Self::List(List::Json(items, &DYN, &ListKind::Atomic)),
            (Json::Object(map), of) => Self::Map(Map::Json(map, of)),
        }
    }

    /// Reads JSON of which nothing is known.
    pub fn from_json(json: &'a Json) -> Self {
        Self::read(json, &DYN)
    }

    /// Reads an object of which nothing is known.
    pub fn from_object(object: &'a JsonMap<String, Json>) -> Self {
        Self::Map(Map::Json(object, &DYN))
    }

    /// The value as JSON.
    ///
    /// # Errors
    /// When it has none.
    pub fn to_json(&self) -> Result<Json, NoJson> {
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(truth) => Json::Bool(*truth),
            Self::Int(number) => (*number).into(),
            Self::Uint(number) => (*number).into(),
            Self::Double(number) => serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Self::String(text) | Self::Type(text) => Json::String(text.to_string()),
            Self::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
            Self::Duration(nanos) => Json::String(time::show_duration(*nanos)),
            Self::Timestamp(stamp) => Json::String(stamp.to_string()),
            Self::List(List::Json(items, ..)) => Json::Array(items.to_vec()),
            Self::List(list) => Json::Array(list.iter().map(|item| item.to_json()).collect::<Result<_, _>>()?),
            Self::Map(Map::Json(map, _)) => Json::Object((*map).clone()),
            Self::Map(Map::Owned(map)) => {
                let mut object = JsonMap::new();
                for (key, value) in map.iter() {
                    object.insert(key.to_string(), value.to_json()?);
                }
                Json::Object(object)
            }
            Self::Optional(Some(value)) => value.to_json()?,
            Self::Opaque(Opaque::Quantity(amount)) => Json::String(amount.to_quantity().0),
            Self::Opaque(Opaque::Ip(ip)) => Json::String(ip.to_string()),
            Self::Optional(None) | Self::Opaque(_) => return Err(NoJson(self.type_name())),
        })
    }
}

fn read_number<'a>(number: &serde_json::Number, of: &Type) -> Value<'a> {
    let double = || Value::Double(number.as_f64().unwrap_or(f64::NAN));
    match (of, number.as_i64()) {
        (Type::Double, _) | (_, None) => double(),
        (_, Some(whole)) => Value::Int(whole),
    }
}
