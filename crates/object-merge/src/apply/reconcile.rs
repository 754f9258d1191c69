//! Field sets written under an older schema brought into the form of the present one.
//!
//! Where a list or map has become atomic since, whoever owned something in it owns it as a whole.

use super::path::PathElement;
use super::schema::{ObjectType, Relation, Schema, TypeId};
use super::set::{Node, Set};

/// The set under the present schema; `None` when it is the same.
pub(crate) fn reconcile(of: &ObjectType, set: &Set) -> Option<Set> {
    let changed = below(&of.schema, of.root, set);
    (changed != *set).then_some(changed)
}

fn below(schema: &Schema, of: TypeId, set: &Set) -> Set {
    let atom = schema.atom(of);
    let nodes = set.nodes().map(|(element, node)| {
        let inner = match (element, &atom.map, &atom.list) {
            (PathElement::Field(name), Some(map), _) if !map.is_deduced() => map.type_of(name),
            (PathElement::Key(_) | PathElement::Value(_), _, Some(list)) => Some(list.element),
            _ => None,
        };
        let kept = match inner {
            Some(inner) => at(schema, inner, node),
            None => node.clone(),
        };
        (element.clone(), kept)
    });
    Set::from_nodes(nodes.collect())
}

fn at(schema: &Schema, of: TypeId, node: &Node) -> Node {
    if node.below.is_empty() {
        return node.clone();
    }
    let atom = schema.atom(of);
    let atomic = match (&atom.map, &atom.list) {
        (Some(map), _) => map.atomic,
        (None, Some(list)) => list.relation == Relation::Atomic,
        (None, None) => false,
    };
    if atomic {
        return Node::LEAF;
    }
    Node {
        member: node.member,
        below: below(schema, of, &node.below),
    }
}
