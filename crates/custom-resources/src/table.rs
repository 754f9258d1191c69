//! Rows of tables. Source: `registry/customresource/tableconvertor`.

use jiff::Timestamp;
use kube_types::dynamic::{Map, Value, json};

use crate::definition::{Column, Version};

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources \
                    may allow a client to request the generation of an appropriate name automatically. Name is primarily \
                    intended for creation idempotence and configuration definition. Cannot be updated. More info: \
                    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

impl Version {
    /// The headings.
    pub fn headings(&self) -> Vec<Value> {
        let name = json!({"name": "Name", "type": "string", "format": "name", "description": NAME, "priority": 0});
        let others = self.columns.iter().map(|column| {
            json!({"name": column.name, "type": column.of, "format": column.format,
                "description": column.description, "priority": column.priority})
        });
        std::iter::once(name).chain(others).collect()
    }

    /// The cells of one object; `since` tells how long ago a time was.
    pub fn cells(
        &self,
        object: &Map<String, Value>,
        now: Timestamp,
        since: impl Fn(Option<&Value>, Timestamp) -> String,
    ) -> Vec<Value> {
        let name = object
            .get("metadata")
            .and_then(|metadata| metadata.get("name"))
            .cloned()
            .unwrap_or_else(|| "".into());
        let others = self.columns.iter().map(|column| {
            let found = column.path.as_ref().map(|path| path.find(object)).unwrap_or_default();
            match (found.first(), column.of.as_str()) {
                (None, _) => Value::Null,
                (Some(value), "date") if value.is_string() => since(Some(value), now).into(),
                (Some(value), _) => cell(column, value),
            }
        });
        std::iter::once(name).chain(others).collect()
    }
}

fn cell(column: &Column, value: &Value) -> Value {
    match (column.of.as_str(), value) {
        (_, Value::Null) => Value::Null,
        ("string", Value::String(_)) => value.clone(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(number)) => {
            // Upstream cuts the fraction off too.
            let whole = number.as_i64().or_else(|| number.as_f64().map(|number| number as i64));
            whole.into()
        }
        ("number", Value::Number(number)) => number.as_f64().into(),
        ("boolean", Value::Bool(truth)) => (*truth).into(),
        _ => Value::Null,
    }
}
