//! A Swagger 2 document in gnostic's protobuf, which Go clients ask for.
//!
//! Written are the fields that our documents have, by their published numbers (`openapi.v2` of gnostic-models).

pub(super) mod version3;

use serde_json::{Map, Value};

/// The media types by which it is asked for, the newer spelling first.
pub(super) const MEDIA_TYPES: &[&str] = &[
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
];

/// The document's bytes.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, document.get("swagger"));
    if let Some(info) = document.get("info") {
        let mut inner = Message::default();
        inner.text(1, info.get("title"));
        inner.text(2, info.get("version"));
        message.message(2, &inner);
    }
    let mut paths = Message::default();
    for (path, item) in members(document.get("paths")) {
        paths.named(2, path, &path_item(item));
    }
    message.message(8, &paths);
    let mut definitions = Message::default();
    for (name, one) in members(document.get("definitions")) {
        definitions.named(1, name, &schema(one));
    }
    message.message(9, &definitions);
    message.0
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    for (method, tag) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if let Some(one) = item.get(method) {
            message.message(tag, &operation(one));
        }
    }
    for one in items(item.get("parameters")) {
        message.message(9, &parameter(one));
    }
    message
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn operation(one: &Value) -> Message {
    let mut message = Message::default();
    message.texts(1, one.get("tags"));
    message.text(3, one.get("description"));
    message.text(5, one.get("operationId"));
    message.texts(6, one.get("produces"));
    message.texts(7, one.get("consumes"));
    for parameter_of in items(one.get("parameters")) {
        message.message(8, &parameter(parameter_of));
    }
    let mut responses = Message::default();
    for (code, response) in members(one.get("responses")) {
        let mut inner = Message::default();
        inner.text(1, response.get("description"));
        if let Some(of) = response.get("schema") {
            inner.wrapped(2, &[1], &schema(of));
        }
        let mut value = Message::default();
        value.message(1, &inner);
        responses.named(1, code, &value);
    }
    message.message(9, &responses);
    message.texts(10, one.get("schemes"));
    message.extensions(13, one);
    message
}

/// A `ParametersItem`.
fn parameter(one: &Value) -> Message {
    let mut inner = Message::default();
    let path: &[u32] = match one.get("in").and_then(Value::as_str) {
        Some("body") => {
            inner.text(2, one.get("name"));
            inner.text(3, one.get("in"));
            inner.boolean(4, one.get("required"));
            if let Some(of) = one.get("schema") {
                inner.message(5, &schema(of));
            }
            // parameter, body parameter
            &[1]
        }
        place => {
            inner.boolean(1, one.get("required"));
            inner.text(2, one.get("in"));
            inner.text(4, one.get("name"));
            let in_query = place == Some("query");
            let (of, unique) = if in_query { (6, 20) } else { (5, 19) };
            inner.text(of, one.get("type"));
            inner.boolean(unique, one.get("uniqueItems"));
            // parameter, other parameter, in the query or in the path
            if in_query { &[2, 3] } else { &[2, 4] }
        }
    };
    let mut parameter = Message::default();
    parameter.wrapped(path[0], &path[1..], &inner);
    let mut item = Message::default();
    item.message(1, &parameter);
    item
}

fn schema(of: &Value) -> Message {
    let mut message = Message::default();
    for (name, value) in members(Some(of)) {
        match name.as_str() {
            "$ref" => message.text(1, Some(value)),
            "format" => message.text(2, Some(value)),
            "title" => message.text(3, Some(value)),
            "description" => message.text(4, Some(value)),
            "default" => message.any(5, value),
            "multipleOf" => message.double(6, value),
            "maximum" => message.double(7, value),
            "exclusiveMaximum" => message.boolean(8, Some(value)),
            "minimum" => message.double(9, value),
            "exclusiveMinimum" => message.boolean(10, Some(value)),
            "maxLength" => message.number(11, value),
            "minLength" => message.number(12, value),
            "pattern" => message.text(13, Some(value)),
            "maxItems" => message.number(14, value),
            "minItems" => message.number(15, value),
            "uniqueItems" => message.boolean(16, Some(value)),
            "maxProperties" => message.number(17, value),
            "minProperties" => message.number(18, value),
            "required" => message.texts(19, Some(value)),
            "enum" => items(Some(value)).for_each(|one| message.any(20, one)),
            "additionalProperties" => {
                let mut item = Message::default();
                match value {
                    Value::Bool(_) => item.boolean(2, Some(value)),
                    other => item.message(1, &schema(other)),
                }
                message.message(21, &item);
            }
            "type" => {
                let mut types = Message::default();
                types.text(1, Some(value));
                message.message(22, &types);
            }
            "items" => message.wrapped(23, &[1], &schema(value)),
            "allOf" => items(Some(value)).for_each(|one| message.message(24, &schema(one))),
            "properties" => {
                let mut properties = Message::default();
                for (field, one) in members(Some(value)) {
                    properties.named(1, field, &schema(one));
                }
                message.message(25, &properties);
            }
            _ => {}
        }
    }
    message.extensions(31, of);
    message
}

/// The bytes of a message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        self.varint(u64::from(tag << 3 | 2));
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, tag: u32, inner: &Self) {
        self.bytes(tag, &inner.0);
    }

    /// A message within messages that hold nothing else.
    fn wrapped(&mut self, tag: u32, path: &[u32], inner: &Self) {
        match path.split_first() {
            None => self.message(tag, inner),
            Some((next, rest)) => {
                let mut between = Self::default();
                between.wrapped(*next, rest, inner);
                self.message(tag, &between);
            }
        }
    }

    /// A pair of name and value.
    fn named(&mut self, tag: u32, name: &str, value: &Self) {
        let mut pair = Self::default();
        pair.bytes(1, name.as_bytes());
        pair.message(2, value);
        self.message(tag, &pair);
    }

    fn text(&mut self, tag: u32, value: Option<&Value>) {
        if let Some(text) = value.and_then(Value::as_str) {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn texts(&mut self, tag: u32, value: Option<&Value>) {
        items(value).for_each(|one| self.text(tag, Some(one)));
    }

    fn boolean(&mut self, tag: u32, value: Option<&Value>) {
        if value.and_then(Value::as_bool) == Some(true) {
            self.varint(u64::from(tag << 3));
            self.varint(1);
        }
    }

    fn number(&mut self, tag: u32, value: &Value) {
        if let Some(number) = value.as_u64() {
            self.varint(u64::from(tag << 3));
            self.varint(number);
        }
    }

    fn double(&mut self, tag: u32, value: &Value) {
        if let Some(number) = value.as_f64() {
            self.varint(u64::from(tag << 3 | 1));
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Any value, as YAML; JSON is YAML.
    fn any(&mut self, tag: u32, value: &Value) {
        let mut any = Self::default();
        any.bytes(2, format!("{value}\n").as_bytes());
        self.message(tag, &any);
    }

    fn extensions(&mut self, tag: u32, of: &Value) {
        for (name, value) in members(Some(of)).filter(|(name, _)| name.starts_with("x-")) {
            let mut any = Self::default();
            any.bytes(2, format!("{value}\n").as_bytes());
            self.named(tag, name, &any);
        }
    }
}
