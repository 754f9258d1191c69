//! An OpenAPI 3 document in gnostic's protobuf, by which `kubectl apply` asks what a kind's parameters are.
//!
//! Written are the fields that our documents have, by their published numbers (`openapi.v3` of gnostic-models).

use serde_json::Value;

use super::{Message, items, members};

/// The media types by which it is asked for, the newer spelling first.
pub(in super::super) const MEDIA_TYPES: &[&str] = &[
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
];

/// The document's bytes.
pub(in super::super) fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, document.get("openapi"));
    if let Some(info) = document.get("info") {
        let mut inner = Message::default();
        inner.text(1, info.get("title"));
        inner.text(6, info.get("version"));
        message.message(2, &inner);
    }
    let mut paths = Message::default();
    for (path, item) in members(document.get("paths")) {
        paths.named(1, path, &path_item(item));
    }
    message.message(4, &paths);
    let mut schemas = Message::default();
    for (name, one) in members(document.pointer("/components/schemas")) {
        schemas.named(1, name, &schema_or_reference(one));
    }
    message.wrapped(5, &[1], &schemas);
    message.0
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    for (method, tag) in [("get", 4), ("put", 5), ("post", 6), ("delete", 7), ("patch", 10)] {
        if let Some(one) = item.get(method) {
            message.message(tag, &operation(one));
        }
    }
    for one in items(item.get("parameters")) {
        message.wrapped(13, &[1], &parameter(one));
    }
    message
}

fn operation(one: &Value) -> Message {
    let mut message = Message::default();
    message.texts(1, one.get("tags"));
    message.text(3, one.get("description"));
    message.text(5, one.get("operationId"));
    for of in items(one.get("parameters")) {
        message.wrapped(6, &[1], &parameter(of));
    }
    if let Some(body) = one.get("requestBody") {
        let mut inner = Message::default();
        inner.message(2, &content(body));
        inner.boolean(3, body.get("required"));
        message.wrapped(7, &[1], &inner);
    }
    let mut responses = Message::default();
    for (code, response) in members(one.get("responses")) {
        let mut inner = Message::default();
        inner.text(1, response.get("description"));
        if response.get("content").is_some() {
            inner.message(3, &content(response));
        }
        let mut value = Message::default();
        value.message(1, &inner);
        responses.named(2, code, &value);
    }
    message.message(8, &responses);
    message.extensions(13, one);
    message
}

fn parameter(one: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, one.get("name"));
    message.text(2, one.get("in"));
    message.boolean(4, one.get("required"));
    if let Some(of) = one.get("schema") {
        message.message(10, &schema_or_reference(of));
    }
    message
}

/// The media types of a body and what each holds.
fn content(body: &Value) -> Message {
    let mut message = Message::default();
    for (media, of) in members(body.get("content")) {
        let mut inner = Message::default();
        if let Some(of) = of.get("schema") {
            inner.message(1, &schema_or_reference(of));
        }
        message.named(1, media, &inner);
    }
    message
}

fn schema_or_reference(of: &Value) -> Message {
    let mut message = Message::default();
    match of.get("$ref") {
        Some(to) => {
            let mut reference = Message::default();
            reference.text(1, Some(to));
            message.message(2, &reference);
        }
        None => message.message(1, &schema(of)),
    }
    message
}

fn schema(of: &Value) -> Message {
    let mut message = Message::default();
    for (name, value) in members(Some(of)) {
        match name.as_str() {
            "nullable" => message.boolean(1, Some(value)),
            "title" => message.text(9, Some(value)),
            "multipleOf" => message.double(10, value),
            "maximum" => message.double(11, value),
            "exclusiveMaximum" => message.boolean(12, Some(value)),
            "minimum" => message.double(13, value),
            "exclusiveMinimum" => message.boolean(14, Some(value)),
            "maxLength" => message.number(15, value),
            "minLength" => message.number(16, value),
            "pattern" => message.text(17, Some(value)),
            "maxItems" => message.number(18, value),
            "minItems" => message.number(19, value),
            "uniqueItems" => message.boolean(20, Some(value)),
            "maxProperties" => message.number(21, value),
            "minProperties" => message.number(22, value),
            "required" => message.texts(23, Some(value)),
            "enum" => items(Some(value)).for_each(|one| message.any(24, one)),
            "type" => message.text(25, Some(value)),
            "allOf" => alternatives(&mut message, 26, value),
            "oneOf" => alternatives(&mut message, 27, value),
            "anyOf" => alternatives(&mut message, 28, value),
            "not" => message.message(29, &schema(value)),
            "items" => message.wrapped(30, &[1], &schema_or_reference(value)),
            "properties" => {
                let mut properties = Message::default();
                for (field, one) in members(Some(value)) {
                    properties.named(1, field, &schema_or_reference(one));
                }
                message.message(31, &properties);
            }
            "additionalProperties" => {
                let mut item = Message::default();
                match value {
                    Value::Bool(_) => item.boolean(2, Some(value)),
                    other => item.message(1, &schema_or_reference(other)),
                }
                message.message(32, &item);
            }
            "default" => default(&mut message, value),
            "description" => message.text(34, Some(value)),
            "format" => message.text(35, Some(value)),
            _ => {}
        }
    }
    message.extensions(36, of);
    message
}

fn alternatives(message: &mut Message, tag: u32, value: &Value) {
    items(Some(value)).for_each(|one| message.message(tag, &schema_or_reference(one)));
}

/// A default that is a number, a truth or a text; gnostic has no place for others.
fn default(message: &mut Message, value: &Value) {
    let mut inner = Message::default();
    match value {
        Value::Number(_) => inner.double(1, value),
        Value::Bool(_) => inner.boolean(2, Some(value)),
        Value::String(_) => inner.text(3, Some(value)),
        _ => return,
    }
    message.message(33, &inner);
}
