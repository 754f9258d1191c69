//! Whether an object has the form that its schema declares, in upstream's words.

use std::collections::BTreeSet;

use kube_types::dynamic::{Map, Value};

use super::element;
use super::path::PathElement;
use super::schema::{Facet, List, ObjectType, Relation, Scalar, Schema, TypeId};
use crate::strategic::go_format;

/// What an object has that its type does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", worded(.0))]
pub struct TypedError(pub Vec<String>);

fn worded(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!(
            "errors:{}",
            many.iter().map(|problem| format!("\n  {problem}")).collect::<String>()
        ),
    }
}

/// Checks a whole object. Lists may hold the same element twice only where `duplicates` allows it.
pub(crate) fn validate(of: &ObjectType, object: &Map<String, Value>, duplicates: bool) -> Result<(), TypedError> {
    let mut walk = Validation {
        schema: &of.schema,
        duplicates,
        path: String::new(),
        problems: Vec::new(),
    };
    if let Facet::Map(map) = of.schema.atom(of.root).facet(Some(&Value::Object(Map::new()))) {
        walk.members(map, object);
    }
    if walk.problems.is_empty() {
        Ok(())
    } else {
        Err(TypedError(walk.problems))
    }
}

struct Validation<'s> {
    schema: &'s Schema,
    duplicates: bool,
    path: String,
    problems: Vec<String>,
}

impl Validation<'_> {
    fn problem(&mut self, message: &str) {
        self.problems.push(format!("{}: {message}", self.path));
    }

    fn value(&mut self, of: TypeId, value: &Value) {
        match self.schema.atom(of).facet(Some(value)) {
            Facet::Scalar(scalar) => self.scalar(scalar, value),
            Facet::List(list) => match value {
                Value::Null => {}
                Value::Array(items) => self.items(list, items),
                other => self.problem(&format!("expected list, got &{{{}}}", go_format(other))),
            },
            Facet::Map(map) => match value {
                Value::Null => {}
                Value::Object(members) => self.members(map, members),
                other => self.problem(&format!("expected map, got &{{{}}}", go_format(other))),
            },
            Facet::Nothing => self.problem("schema error: invalid atom: inlined"),
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        let message = match (scalar, value) {
            (_, Value::Null)
            | (Scalar::Number, Value::Number(_))
            | (Scalar::Text, Value::String(_))
            | (Scalar::Boolean, Value::Bool(_))
            | (Scalar::Untyped, Value::Number(_) | Value::String(_) | Value::Bool(_)) => return,
            (Scalar::Number, other) => format!("expected numeric (int or float), got {}", go_type(other)),
            (Scalar::Text, other) => format!(
                "expected string, got &value.valueUnstructured{{Value:{}}}",
                go_literal(other)
            ),
            (Scalar::Boolean, other) => format!("expected boolean, got &{{{}}}", go_format(other)),
            (Scalar::Untyped, other) => format!("expected any scalar, got &{{{}}}", go_format(other)),
        };
        self.problem(&message);
    }

    fn members(&mut self, map: &super::schema::Map, members: &Map<String, Value>) {
        for (name, value) in members {
            let length = self.path.len();
            self.path.push('.');
            self.path.push_str(name);
            let of = map.type_of(name);
            match of {
                Some(of) => self.value(of, value),
                None => self.problem("field not declared in schema"),
            }
            self.path.truncate(length);
            if of.is_none() {
                return;
            }
        }
    }

    fn items(&mut self, list: &List, items: &[Value]) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let element = if list.relation == Relation::Atomic {
                PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX))
            } else {
                match element::of_item(self.schema, list, item) {
                    Ok(element) => element,
                    Err(problem) => return self.problem(&format!("element {index}: {problem}")),
                }
            };
            let length = self.path.len();
            let shown = element.to_string();
            if list.relation != Relation::Atomic && !seen.insert(element) && !self.duplicates {
                self.problem(&format!("duplicate entries for key {shown}"));
            }
            self.path.push_str(&shown);
            self.value(list.element, item);
            self.path.truncate(length);
        }
    }
}

/// The type that Go's `%T` prints.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value as Go's `%#v` prints it.
fn go_literal(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_literal).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("\"{key}\":{}", go_literal(value)))
                .collect();
            members.sort();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}
