//! Whether a schema is structural: every field has a type outside of `allOf` and its like, which only restrict values.
//! Source: `apiserver/schema/{validation,complete}.go`.

use kube_types::dynamic::{Value, json};
use object_rules::field::{Error, Errors, Kind};
use object_rules::tree::{Node, child, flag, items, text};

use crate::pattern::Pattern;

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Collects what is not structural, sorted.
pub(super) fn validate(schema: &Node, path: &str, errors: &mut Errors) {
    let mut found = Vec::new();
    invariants(schema, Level::Root, path, &mut found);
    complete(schema, path, &mut found);
    found.sort_by_key(ToString::to_string);
    errors.extend(found);
}

fn push(found: &mut Vec<Error>, kind: Kind, field: String, value: Option<Value>, detail: impl Into<String>) {
    found.push(Error {
        kind,
        field,
        value,
        detail: detail.into(),
    });
}

fn properties(schema: &Node) -> impl Iterator<Item = (&String, &Node)> {
    let properties = child(schema, "properties").into_iter().flatten();
    properties.filter_map(|(name, below)| Some((name, below.as_object()?)))
}

fn invariants(schema: &Node, level: Level, path: &str, found: &mut Vec<Error>) {
    let of = text(schema, "type");
    if of == "array" && !schema.contains_key("items") {
        push(
            found,
            Kind::Required,
            format!("{path}.items"),
            None,
            "must be specified",
        );
    }
    if let Some(below) = child(schema, "items") {
        invariants(below, Level::Item, &format!("{path}.items"), found);
    }
    for (name, below) in properties(schema) {
        invariants(below, Level::Field, &format!("{path}.properties[{name}]"), found);
    }
    if schema.contains_key("additionalProperties") && level == Level::Root {
        let detail = "must not be used at the root";
        push(
            found,
            Kind::Forbidden,
            format!("{path}.additionalProperties"),
            None,
            detail,
        );
    }
    if let Some(below) = child(schema, "additionalProperties") {
        invariants(below, Level::Field, &format!("{path}.additionalProperties"), found);
    }
    extensions(schema, level, path, found);
    let alternatives = int_or_string();
    let skip_any = schema.get("anyOf") == Some(&alternatives);
    let skip_first_all = items(schema, "allOf")
        .next()
        .is_some_and(|first| first.get("anyOf") == Some(&alternatives));
    values(schema, skip_any, skip_first_all, path, found);
    if level == Level::Root && !of.is_empty() && of != "object" {
        let detail = "must be object at the root";
        push(found, Kind::Invalid, format!("{path}.type"), Some(of.into()), detail);
    }
    metadata(schema, level, path, found);
}

fn int_or_string() -> Value {
    json!([{"type": "integer"}, {"type": "string"}])
}

fn extensions(schema: &Node, level: Level, path: &str, found: &mut Vec<Error>) {
    let of = text(schema, "type");
    let has = |name: &str| flag(schema, &format!("x-kubernetes-{name}"));
    let (preserve, embedded) = ("preserve-unknown-fields", "embedded-resource");
    if has("int-or-string") {
        for other in [preserve, embedded] {
            if has(other) {
                let field = format!("{path}.x-kubernetes-{other}");
                let detail = "must be false if x-kubernetes-int-or-string is true";
                push(found, Kind::Invalid, field, Some(true.into()), detail);
            }
        }
    }
    if has(embedded) && of != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        let kind = if of.is_empty() { Kind::Required } else { Kind::Invalid };
        let value = (!of.is_empty()).then(|| of.into());
        push(found, kind, format!("{path}.type"), value, detail);
    } else if of.is_empty() && !has("int-or-string") && !has(preserve) {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        push(found, Kind::Required, format!("{path}.type"), None, detail);
    }
    if has(embedded) {
        if schema.contains_key("additionalProperties") {
            let detail = "must not be used if x-kubernetes-embedded-resource is set";
            push(
                found,
                Kind::Forbidden,
                format!("{path}.additionalProperties"),
                None,
                detail,
            );
        }
        if !has(preserve) && child(schema, "properties").is_none_or(Node::is_empty) {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                          x-kubernetes-preserve-unknown-fields";
            push(found, Kind::Required, format!("{path}.properties"), None, detail);
        }
    }
}

/// `kind` and `apiVersion` are texts, `metadata` is an object, of which the root may restrict the name only.
fn metadata(schema: &Node, level: Level, path: &str, found: &mut Vec<Error>) {
    let checked = level == Level::Root || flag(schema, "x-kubernetes-embedded-resource");
    let Some(given) = child(schema, "properties") else {
        return;
    };
    for name in ["kind", "apiVersion"] {
        if let Some(below) = child(given, name).filter(|below| checked && text(below, "type") != "string") {
            let field = format!("{path}.properties[{name}].type");
            push(
                found,
                Kind::Invalid,
                field,
                Some(text(below, "type").into()),
                "must be string",
            );
        }
    }
    let Some(below) = child(given, "metadata").filter(|_| checked) else {
        return;
    };
    let path = format!("{path}.properties[metadata]");
    if text(below, "type") != "object" {
        let field = format!("{path}.type");
        push(
            found,
            Kind::Invalid,
            field,
            Some(text(below, "type").into()),
            "must be object",
        );
    }
    let names_only = properties(below).all(|(name, _)| matches!(name.as_str(), "name" | "generateName"));
    let nothing_else = below
        .keys()
        .all(|field| matches!(field.as_str(), "type" | "properties" | "default" | "description"));
    if level == Level::Root && !(names_only && nothing_else) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        push(found, Kind::Forbidden, path, None, detail);
    }
}

/// The checks of values at one schema.
fn values(schema: &Node, skip_any: bool, skip_first_all: bool, path: &str, found: &mut Vec<Error>) {
    if !skip_any {
        for (index, below) in items(schema, "anyOf").enumerate() {
            nested(below, false, &format!("{path}.anyOf[{index}]"), found);
        }
    }
    for (index, below) in items(schema, "allOf").enumerate() {
        let skip = skip_first_all && index == 0;
        nested(below, skip, &format!("{path}.allOf[{index}]"), found);
    }
    for (index, below) in items(schema, "oneOf").enumerate() {
        nested(below, false, &format!("{path}.oneOf[{index}]"), found);
    }
    if let Some(below) = child(schema, "not") {
        nested(below, false, &format!("{path}.not"), found);
    }
    let pattern = text(schema, "pattern");
    if let Err(problem) = Pattern::new(pattern) {
        let detail = format!("must be a valid regular expression, but isn't: {problem}");
        push(
            found,
            Kind::Invalid,
            format!("{path}.pattern"),
            Some(pattern.into()),
            detail,
        );
    }
}

/// What a schema under `allOf` and its like may not say.
fn nested(schema: &Node, skip_any: bool, path: &str, found: &mut Vec<Error>) {
    values(schema, skip_any, false, path, found);
    if let Some(below) = child(schema, "items") {
        nested(below, false, &format!("{path}.items"), found);
    }
    for (name, below) in properties(schema) {
        nested(below, false, &format!("{path}.properties[{name}]"), found);
    }
    for (field, must) in [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("externalDocs", "must be undefined to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ] {
        let given = schema.get(field).is_some_and(|value| match value {
            Value::Bool(truth) => *truth || field == "additionalProperties",
            Value::String(text) => !text.is_empty(),
            Value::Null => false,
            _ => true,
        });
        if given {
            push(found, Kind::Forbidden, format!("{path}.{field}"), None, must);
        }
    }
    if child(schema, "properties").is_some_and(|given| given.contains_key("metadata")) {
        let detail = "must not be specified in a nested context";
        push(
            found,
            Kind::Forbidden,
            format!("{path}.properties[metadata]"),
            None,
            detail,
        );
    }
}

/// Every field that is restricted must be declared outside.
fn complete(schema: &Node, path: &str, found: &mut Vec<Error>) {
    for list in ["allOf", "anyOf", "oneOf"] {
        for (index, below) in items(schema, list).enumerate() {
            declared(below, schema, &format!("{path}.{list}[{index}]"), path, found);
        }
    }
    if let Some(below) = child(schema, "not") {
        declared(below, schema, &format!("{path}.not"), path, found);
    }
    if let Some(below) = child(schema, "items") {
        complete(below, &format!("{path}.items"), found);
    }
    for (name, below) in properties(schema) {
        complete(below, &format!("{path}.properties[{name}]"), found);
    }
    if let Some(below) = child(schema, "additionalProperties") {
        complete(below, &format!("{path}.additionalProperties"), found);
    }
}

fn declared(nested: &Node, outside: &Node, path: &str, at: &str, found: &mut Vec<Error>) {
    for list in ["allOf", "anyOf", "oneOf"] {
        for (index, below) in items(nested, list).enumerate() {
            declared(below, outside, &format!("{path}.{list}[{index}]"), at, found);
        }
    }
    if let Some(below) = child(nested, "not") {
        declared(below, outside, &format!("{path}.not"), at, found);
    }
    let because = |field: &str| format!("because it is defined in {field}");
    if let Some(below) = child(nested, "items") {
        let (inner, field) = (format!("{path}.items"), format!("{at}.items"));
        match child(outside, "items") {
            Some(outside) => declared(below, outside, &inner, &field, found),
            None => push(found, Kind::Required, field, None, because(&inner)),
        }
    }
    for (name, below) in properties(nested) {
        let inner = format!("{path}.properties[{name}]");
        let field = format!("{at}.properties[{name}]");
        match child(outside, "properties").and_then(|outside| child(outside, name)) {
            Some(outside) => declared(below, outside, &inner, &field, found),
            None => push(found, Kind::Required, field, None, because(&inner)),
        }
    }
}
