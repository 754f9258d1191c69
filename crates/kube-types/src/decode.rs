//! JSON and YAML text to untyped values, noticing keys that occur twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::dynamic::{Map, Value};
use crate::numbers;

/// Why a text could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON.
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    /// Not YAML.
    #[error("error converting YAML to JSON: {0}")]
    Yaml(String),
}

/// A value and the paths of the fields that were given more than once; the last one counts.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    /// The value.
    pub value: Value,
    /// Dotted paths, as `spec.containers[0].name`.
    pub duplicates: Vec<String>,
}

/// Reads one JSON value.
///
/// # Errors
/// When the text is not exactly one JSON value.
pub fn json(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let duplicates = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed {
        duplicates: &duplicates,
        float: json_float,
    };
    let value = seed.deserialize(&mut deserializer).map_err(DecodeError::Json)?;
    deserializer.end().map_err(DecodeError::Json)?;
    Ok(finish(value, duplicates))
}

/// Reads one YAML document, which becomes JSON as upstream makes it: a whole float is a whole number there.
///
/// # Errors
/// When the text is not one YAML document.
pub fn yaml(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|error| DecodeError::Yaml(error.to_string()))?;
    let duplicates = RefCell::new(Vec::new());
    // Only `true` and `false` are booleans, so that names such as `y` and `on` stay what they are.
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
    };
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        let seed = Seed {
            duplicates: &duplicates,
            float: yaml_float,
        };
        seed.deserialize(deserializer)
    });
    Ok(finish(
        read.map_err(|error| DecodeError::Yaml(error.to_string()))?,
        duplicates,
    ))
}

/// Each field is named once, however often it was given.
fn finish(value: Value, found: RefCell<Vec<String>>) -> Decoded {
    let mut duplicates: Vec<String> = Vec::new();
    for path in found.into_inner() {
        let path = path.trim_start_matches('.');
        if !duplicates.iter().any(|known| known == path) {
            duplicates.push(path.to_owned());
        }
    }
    Decoded { value, duplicates }
}

fn json_float(float: f64) -> Result<Value, &'static str> {
    Ok(float.into())
}

/// Infinities and what is no number have no form in JSON; the words are Go's.
fn yaml_float(float: f64) -> Result<Value, &'static str> {
    numbers::of_float(float).map(Value::Number).ok_or(match float {
        f64::INFINITY => "json: unsupported value: +Inf",
        f64::NEG_INFINITY => "json: unsupported value: -Inf",
        _ => "json: unsupported value: NaN",
    })
}

/// Paths are put together on the way out, and only when something was found, so that sound input costs nothing.
#[derive(Clone, Copy)]
struct Seed<'a> {
    duplicates: &'a RefCell<Vec<String>>,
    float: fn(f64) -> Result<Value, &'static str>,
}

impl Seed<'_> {
    fn prefix_since(&self, before: usize, prefix: &dyn Fn() -> String) {
        let mut found = self.duplicates.borrow_mut();
        if found.len() > before {
            let prefix = prefix();
            for path in &mut found[before..] {
                path.insert_str(0, &prefix);
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        (self.float)(value).map_err(E::custom)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0).min(1024));
        loop {
            let before = self.duplicates.borrow().len();
            let Some(item) = items.next_element_seed(self)? else {
                break;
            };
            self.prefix_since(before, &|| format!("[{}]", list.len()));
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let before = self.duplicates.borrow().len();
            let value = entries.next_value_seed(self)?;
            self.prefix_since(before, &|| format!(".{key}"));
            if map.contains_key(&key) {
                self.duplicates.borrow_mut().push(format!(".{key}"));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_given_twice_are_named_and_the_last_counts() {
        let text = br#"{"a":1,"a":2,"s":[{"x":1},{"x":1,"x":3}],"m":{"n":{"o":1,"o":2}}}"#;
        let decoded = json(text).unwrap();
        assert_eq!(decoded.duplicates, ["a", "s[1].x", "m.n.o"]);
        assert_eq!(decoded.value["a"], 2);
        assert_eq!(decoded.value["s"][1]["x"], 3);
    }

    #[test]
    fn a_key_given_three_times_is_named_once() {
        let decoded = json(br#"{"a":1,"a":2,"a":3,"m":{"a":1,"a":2}}"#).unwrap();
        assert_eq!(decoded.duplicates, ["a", "m.a"]);
    }

    #[test]
    fn whole_floats_of_yaml_are_whole_numbers_and_infinities_are_refused() {
        let decoded = yaml(b"a: 1.0\nb: 1e3\nc: 1.5\n").unwrap();
        assert_eq!(decoded.value.to_string(), r#"{"a":1,"b":1000,"c":1.5}"#);
        assert_eq!(json(br#"{"a":1.0}"#).unwrap().value.to_string(), r#"{"a":1.0}"#);
        let refused = yaml(b"a: .inf\n").unwrap_err().to_string();
        assert!(refused.contains("json: unsupported value: +Inf"), "{refused}");
    }

    #[test]
    fn more_than_one_value_is_refused() {
        assert!(json(b"{} {}").is_err());
        assert!(json(b"{").is_err());
    }

    #[test]
    fn yaml_becomes_the_same_values() {
        let decoded = yaml(b"a: 1\nb: [x, \"2\", true]\n").unwrap();
        assert_eq!(decoded.value, crate::dynamic::json!({"a": 1, "b": ["x", "2", true]}));
        assert!(yaml(b"a: [").is_err());
        let twice = yaml(b"name: y\nm: {on: 1}\nname: z\n").unwrap();
        assert_eq!(twice.value, crate::dynamic::json!({"name": "z", "m": {"on": 1}}));
        assert_eq!(twice.duplicates, ["name"]);
    }
}
