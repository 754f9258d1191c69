//! Inputs and answers as values keyed by the model's member names. The shape table has checked types and required members
//! before a handler sees an input, so what is read here is there or was optional.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Reads the members of an input.
pub trait Members {
    /// A text, if it is given.
    fn text(&self, name: &str) -> Option<&str>;
    /// A text that the model requires; empty when it is not there.
    fn required(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }
    /// A flag, if it is given.
    fn flag(&self, name: &str) -> Option<bool>;
    /// A whole number, if it is given.
    fn number(&self, name: &str) -> Option<i64>;
    /// A list; empty when it is not given.
    fn list(&self, name: &str) -> &[Value];
    /// A list of texts.
    fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }
    /// A list of `Key` and `Value` as a map.
    fn tags(&self, name: &str) -> BTreeMap<String, String> {
        let pair = |tag: &Value| Some((tag.text("Key")?.to_owned(), tag.required("Value").to_owned()));
        self.list(name).iter().filter_map(pair).collect()
    }
}

impl Members for Value {
    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_i64)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.get(name)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

/// A map as a list of `Key` and `Value`.
pub fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

/// An answer without members.
pub fn nothing() -> Value {
    Value::Object(Map::new())
}
