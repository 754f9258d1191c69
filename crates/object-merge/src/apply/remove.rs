//! An object without the fields of a set.

use kube_types::dynamic::{Map, Value};

use super::element;
use super::path::PathElement;
use super::schema::{Facet, ObjectType, Relation, Schema, TypeId};
use super::set::Set;

/// The object without the fields of a set. What is emptied by that becomes null, which decoding drops.
pub(crate) fn remove(of: &ObjectType, object: &Map<String, Value>, gone: &Set) -> Map<String, Value> {
    match &of.schema.atom(of.root).map {
        Some(map) => members(&of.schema, map, object, gone),
        None => object.clone(),
    }
}

fn value(schema: &Schema, of: TypeId, value: &Value, gone: &Set) -> Value {
    match (schema.atom(of).facet(Some(value)), value) {
        (Facet::Scalar(_), scalar) => scalar.clone(),
        (Facet::List(list), Value::Array(items)) if list.relation != Relation::Atomic => {
            let kept = items.iter().filter_map(|item| {
                let Ok(element) = element::of_item(schema, list, item) else {
                    return Some(item.clone());
                };
                remaining(schema, list.element, item, &element, gone)
            });
            let kept: Vec<Value> = kept.collect();
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Array(kept)
            }
        }
        (Facet::Map(map), Value::Object(object)) if !map.atomic => {
            let kept = members(schema, map, object, gone);
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Object(kept)
            }
        }
        _ => Value::Null,
    }
}

fn members(schema: &Schema, map: &super::schema::Map, object: &Map<String, Value>, gone: &Set) -> Map<String, Value> {
    let kept = object.iter().filter_map(|(name, entry)| {
        let of = map.type_of(name).unwrap_or(TypeId::NOTHING);
        Some((
            name.clone(),
            remaining(schema, of, entry, &PathElement::field(name), gone)?,
        ))
    });
    kept.collect()
}

fn remaining(schema: &Schema, of: TypeId, entry: &Value, element: &PathElement, gone: &Set) -> Option<Value> {
    match gone.node(element) {
        Some(node) if node.member => None,
        Some(node) if !node.below.is_empty() => Some(value(schema, of, entry, &node.below)),
        _ => Some(entry.clone()),
    }
}
