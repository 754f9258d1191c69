//! The set of all fields of an object, which is what its applier owns.

use std::collections::{BTreeMap, BTreeSet};

use kube_types::dynamic::{Map, Value};

use super::element;
use super::path::PathElement;
use super::schema::{Facet, List, ObjectType, Relation, Schema, TypeId};
use super::set::{Node, Set};

/// The fields of an object: leaves, list elements, entries of maps, and structs that are empty.
pub(crate) fn field_set(of: &ObjectType, object: &Map<String, Value>) -> Set {
    match of.schema.atom(of.root).map.as_ref() {
        Some(map) => members(&of.schema, map, object),
        None => Set::default(),
    }
}

fn value(schema: &Schema, of: TypeId, value: &Value) -> Node {
    match schema.atom(of).facet(Some(value)) {
        Facet::Scalar(_) => Node::LEAF,
        Facet::List(list) if list.relation == Relation::Atomic => Node::LEAF,
        Facet::Map(map) if map.atomic => Node::LEAF,
        Facet::List(list) => below(match value {
            Value::Array(array) => items(schema, list, array),
            _ => Set::default(),
        }),
        Facet::Map(map) => below(match value {
            Value::Object(object) => members(schema, map, object),
            _ => Set::default(),
        }),
        Facet::Nothing => Node::default(),
    }
}

fn below(set: Set) -> Node {
    Node {
        member: false,
        below: set,
    }
}

fn members(schema: &Schema, map: &super::schema::Map, object: &Map<String, Value>) -> Set {
    let nodes = object.iter().map(|(name, entry)| {
        let mut node = value(schema, map.type_of(name).unwrap_or(TypeId::NOTHING), entry);
        let hollow = entry.is_null() || entry.as_object().is_some_and(Map::is_empty);
        node.member |= hollow || map.field(name).is_none();
        (PathElement::field(name), node)
    });
    Set::from_nodes(nodes.collect())
}

/// Elements that occur more than once are owned as one, without what is in them.
fn items(schema: &Schema, list: &List, items: &[Value]) -> Set {
    let mut nodes: BTreeMap<PathElement, Node> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for item in items {
        let Ok(element) = element::of_item(schema, list, item) else {
            continue;
        };
        let mut node = value(schema, list.element, item);
        node.member = true;
        if nodes.insert(element.clone(), node).is_some() {
            twice.insert(element);
        }
    }
    for element in twice {
        nodes.insert(element, Node::LEAF);
    }
    Set::from_nodes(nodes.into_iter().collect())
}
