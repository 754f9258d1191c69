//! The OpenAPI schema of custom resources, parsed once: structure, extensions and checks of values.

use std::collections::BTreeMap;

use kube_types::dynamic::Value;
use kube_types::numbers;
use object_rules::tree::{Node, child, flag, int, text, texts};

use crate::pattern::Pattern;

/// How a list merges and what makes its items distinct.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// The list is one value.
    #[default]
    Atomic,
    /// Items are distinct values.
    Set,
    /// Items are objects that their keys identify.
    Map,
}

/// What fields an object may have besides its properties.
#[derive(Clone, Debug, PartialEq)]
pub enum Additional {
    /// Any, or none.
    Any(bool),
    /// Any whose values are of this schema.
    Schema(Box<Schema>),
}

/// A schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// `type`; empty where there is none.
    pub of: Box<str>,
    /// `format`.
    pub format: Box<str>,
    /// `nullable`.
    pub nullable: bool,
    /// `properties`.
    pub properties: BTreeMap<String, Schema>,
    /// `additionalProperties`.
    pub additional: Option<Additional>,
    /// `items`.
    pub items: Option<Box<Schema>>,
    /// `default`.
    pub default: Option<Value>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type`.
    pub list_type: ListType,
    /// `x-kubernetes-list-map-keys`.
    pub list_keys: Vec<String>,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic_map: bool,
    /// `x-kubernetes-validations`.
    pub rules: Vec<Rule>,
    /// Checks of the value itself.
    pub checks: Box<Checks>,
}

/// One of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The expression.
    pub rule: String,
    /// What to say when it is false.
    pub message: String,
    /// An expression for what to say.
    pub message_expression: String,
    /// Reason of the error.
    pub reason: String,
    /// The field below that the error names.
    pub field_path: String,
    /// `oldSelf` is an optional.
    pub optional_old_self: Option<bool>,
}

/// Checks of a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// `maximum`, and whether it is exclusive.
    pub maximum: Option<(f64, bool)>,
    /// `minimum`, and whether it is exclusive.
    pub minimum: Option<(f64, bool)>,
    /// `multipleOf`.
    pub multiple_of: Option<f64>,
    /// `maxLength`.
    pub max_length: Option<i64>,
    /// `minLength`.
    pub min_length: Option<i64>,
    /// `pattern`.
    pub pattern: Option<Pattern>,
    /// `maxItems`.
    pub max_items: Option<i64>,
    /// `minItems`.
    pub min_items: Option<i64>,
    /// `uniqueItems`.
    pub unique_items: bool,
    /// `maxProperties`.
    pub max_properties: Option<i64>,
    /// `minProperties`.
    pub min_properties: Option<i64>,
    /// `enum`; empty where there is none.
    pub values: Vec<Value>,
    /// `required`.
    pub required: Vec<String>,
    /// `allOf`.
    pub all_of: Vec<Schema>,
    /// `anyOf`.
    pub any_of: Vec<Schema>,
    /// `oneOf`.
    pub one_of: Vec<Schema>,
    /// `not`.
    pub not: Option<Box<Schema>>,
}

impl Schema {
    /// Reads a schema. What the rules of definitions forbid is left out; a pattern that is no expression matches all.
    pub fn parse(node: &Node) -> Self {
        let properties = child(node, "properties").into_iter().flatten();
        Self {
            of: text(node, "type").into(),
            format: text(node, "format").into(),
            nullable: flag(node, "nullable"),
            properties: properties
                .filter_map(|(name, schema)| Some((name.clone(), Self::parse(schema.as_object()?))))
                .collect(),
            additional: match node.get("additionalProperties") {
                Some(Value::Bool(any)) => Some(Additional::Any(*any)),
                Some(Value::Object(schema)) => Some(Additional::Schema(Box::new(Self::parse(schema)))),
                _ => None,
            },
            items: child(node, "items").map(|schema| Box::new(Self::parse(schema))),
            default: node
                .get("default")
                .filter(|value| !value.is_null())
                .cloned()
                .map(settled),
            preserve_unknown: flag(node, "x-kubernetes-preserve-unknown-fields"),
            embedded: flag(node, "x-kubernetes-embedded-resource"),
            int_or_string: flag(node, "x-kubernetes-int-or-string"),
            list_type: match text(node, "x-kubernetes-list-type") {
                "set" => ListType::Set,
                "map" => ListType::Map,
                _ => ListType::Atomic,
            },
            list_keys: texts(node, "x-kubernetes-list-map-keys").map(str::to_owned).collect(),
            atomic_map: text(node, "x-kubernetes-map-type") == "atomic",
            rules: object_rules::tree::items(node, "x-kubernetes-validations")
                .map(Rule::parse)
                .collect(),
            checks: Box::new(Checks::parse(node)),
        }
    }

    /// The schema of a field of an object.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match (self.properties.get(name), &self.additional) {
            (Some(schema), _) => Some(schema),
            (None, Some(Additional::Schema(schema))) => Some(schema),
            _ => None,
        }
    }

    /// Whether a field that is no property may be there.
    pub fn allows_additional(&self) -> bool {
        matches!(&self.additional, Some(Additional::Any(true) | Additional::Schema(_)))
    }

    /// Whether this schema or one below it, outside of `allOf` and its like, has a property.
    pub fn any(&self, has: &impl Fn(&Self) -> bool) -> bool {
        has(self)
            || self.properties.values().any(|schema| schema.any(has))
            || self.items.as_ref().is_some_and(|schema| schema.any(has))
            || matches!(&self.additional, Some(Additional::Schema(schema)) if schema.any(has))
    }
}

/// A default as it will be stored in objects.
fn settled(mut value: Value) -> Value {
    numbers::settle(&mut value);
    value
}

impl Rule {
    fn parse(node: &Node) -> Self {
        let own = |field: &str| text(node, field).to_owned();
        Self {
            rule: own("rule"),
            message: own("message"),
            message_expression: own("messageExpression"),
            reason: own("reason"),
            field_path: own("fieldPath"),
            optional_old_self: node.get("optionalOldSelf").and_then(Value::as_bool),
        }
    }
}

impl Checks {
    fn parse(node: &Node) -> Self {
        let number = |field: &str| node.get(field).and_then(Value::as_f64);
        let list = |field: &str| {
            object_rules::tree::items(node, field)
                .map(Schema::parse)
                .collect::<Vec<_>>()
        };
        Self {
            maximum: number("maximum").map(|limit| (limit, flag(node, "exclusiveMaximum"))),
            minimum: number("minimum").map(|limit| (limit, flag(node, "exclusiveMinimum"))),
            multiple_of: number("multipleOf"),
            max_length: int(node, "maxLength"),
            min_length: int(node, "minLength"),
            pattern: Some(text(node, "pattern"))
                .filter(|text| !text.is_empty())
                .map(Pattern::lenient),
            max_items: int(node, "maxItems"),
            min_items: int(node, "minItems"),
            unique_items: flag(node, "uniqueItems"),
            max_properties: int(node, "maxProperties"),
            min_properties: int(node, "minProperties"),
            values: node.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            required: texts(node, "required").map(str::to_owned).collect(),
            all_of: list("allOf"),
            any_of: list("anyOf"),
            one_of: list("oneOf"),
            not: child(node, "not").map(|schema| Box::new(Schema::parse(schema))),
        }
    }
}
