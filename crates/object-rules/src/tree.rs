//! Short ways to read and fill untyped objects whose types have been checked.

use kube_types::dynamic::{Map, Value};

/// A JSON object.
pub type Node = Map<String, Value>;

/// The text of a field; empty when absent.
pub fn text<'a>(node: &'a Node, field: &str) -> &'a str {
    node.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The number of a field.
pub fn int(node: &Node, field: &str) -> Option<i64> {
    node.get(field).and_then(Value::as_i64)
}

/// The truth of a field; false when absent.
pub fn flag(node: &Node, field: &str) -> bool {
    node.get(field).and_then(Value::as_bool).unwrap_or_default()
}

/// The object in a field.
pub fn child<'a>(node: &'a Node, field: &str) -> Option<&'a Node> {
    node.get(field).and_then(Value::as_object)
}

/// The object in a field, to be changed.
pub fn child_mut<'a>(node: &'a mut Node, field: &str) -> Option<&'a mut Node> {
    node.get_mut(field).and_then(Value::as_object_mut)
}

/// The object in a field, made when it is missing.
pub fn ensure<'a>(node: &'a mut Node, field: &str) -> &'a mut Node {
    let slot = node.entry(field).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("the slot was made an object above")
}

/// The object down a path.
pub fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, field| child(node, field))
}

/// The object down a path, to be changed.
pub fn at_mut<'a>(node: &'a mut Node, path: &[&str]) -> Option<&'a mut Node> {
    path.iter().try_fold(node, |node, field| child_mut(node, field))
}

/// The objects in a list.
pub fn items<'a>(node: &'a Node, field: &str) -> impl Iterator<Item = &'a Node> {
    node.get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

/// The objects in a list, to be changed.
pub fn items_mut<'a>(node: &'a mut Node, field: &str) -> impl Iterator<Item = &'a mut Node> {
    node.get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// The texts in a list.
pub fn texts<'a>(node: &'a Node, field: &str) -> impl Iterator<Item = &'a str> {
    node.get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// How many entries a list or map has.
pub fn count(node: &Node, field: &str) -> usize {
    match node.get(field) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(entries)) => entries.len(),
        _ => 0,
    }
}

/// Fills a field that is absent; an empty text counts as absent.
pub fn default(node: &mut Node, field: &str, value: impl Into<Value>) {
    if node.get(field).is_none_or(|present| present.as_str() == Some("")) {
        node.insert(field.to_owned(), value.into());
    }
}

/// Makes a field equal to that of another object: the same value, or absent.
pub fn copy(to: &mut Node, from: &Node, field: &str) {
    match from.get(field) {
        Some(value) => to.insert(field.to_owned(), value.clone()),
        None => to.remove(field),
    };
}
