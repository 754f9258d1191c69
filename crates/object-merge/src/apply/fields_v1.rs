//! Field sets as `fieldsV1` of a managed fields entry.

use kube_types::dynamic::{Map, Value};

use super::path::PathElement;
use super::set::{Node, Set};

/// The JSON form of a set.
#[must_use]
pub fn serialize(set: &Set) -> Map<String, Value> {
    set.nodes()
        .map(|(element, node)| (element.serialize(), Value::Object(contents(node))))
        .collect()
}

fn contents(node: &Node) -> Map<String, Value> {
    let below = serialize(&node.below);
    if !node.member || below.is_empty() {
        return below;
    }
    let itself = (".".to_owned(), Value::Object(Map::new()));
    std::iter::once(itself).chain(below).collect()
}

/// Reads the JSON form of a set; `None` when it is not one.
#[must_use]
pub fn parse(value: &Value) -> Option<Set> {
    let members = value.as_object()?;
    let mut nodes = Vec::with_capacity(members.len());
    for (name, value) in members.iter().filter(|(name, _)| *name != ".") {
        let below = parse(value)?;
        let inner = value.as_object()?;
        let node = Node {
            member: inner.is_empty() || inner.contains_key("."),
            below,
        };
        nodes.push((PathElement::parse(name)?, node));
    }
    Some(Set::from_nodes(nodes))
}
