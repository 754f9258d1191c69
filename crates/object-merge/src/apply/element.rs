//! Which path element an item of a list is.

use kube_types::dynamic::Value;

use super::path::{Literal, PathElement};
use super::schema::{List, Relation, Schema};

/// The path element of an item; the problem, in upstream's words, when the item has none.
pub(crate) fn of_item(schema: &Schema, list: &List, item: &Value) -> Result<PathElement, String> {
    match &list.relation {
        Relation::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        Relation::Set => of_set(item),
        Relation::Keyed(keys) => of_keys(schema, list, keys, item),
    }
}

fn of_set(item: &Value) -> Result<PathElement, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        scalar => Ok(PathElement::Value(Literal(scalar.clone()))),
    }
}

fn of_keys(schema: &Schema, list: &List, keys: &[Box<str>], item: &Value) -> Result<PathElement, String> {
    let members = match item {
        Value::Object(members) => members,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let declared = schema.atom(list.element).map.as_ref();
    let mut fields: Vec<(Box<str>, Literal)> = Vec::with_capacity(keys.len());
    for key in keys {
        let default = || declared.and_then(|map| map.field(key)?.default.as_ref());
        if let Some(value) = members.get(&**key).or_else(default) {
            fields.push((key.clone(), Literal(value.clone())));
        }
    }
    if fields.is_empty() {
        let names: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            names.join(" ")
        ));
    }
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(PathElement::Key(fields))
}
