//! What differs between two states of an object, as sets of fields.

use std::collections::BTreeMap;
use std::mem::discriminant;

use kube_types::dynamic::{Map, Value};

use super::element;
use super::path::{PathElement, same};
use super::schema::{Facet, List, ObjectType, Relation, Schema, TypeId};
use super::set::{Node, Set};
use super::validate::TypedError;

/// The fields that differ between an old and a new state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Fields that only the new state has.
    pub added: Set,
    /// Leaves whose values differ.
    pub modified: Set,
    /// Fields that only the old state has.
    pub removed: Set,
}

impl Comparison {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    pub(crate) fn map(self, filter: impl Fn(Set) -> Set) -> Self {
        Self {
            added: filter(self.added),
            modified: filter(self.modified),
            removed: filter(self.removed),
        }
    }
}

/// Compares two states of an object.
///
/// # Errors
/// When a list has elements that cannot be told apart.
pub fn compare(of: &ObjectType, old: &Map<String, Value>, new: &Map<String, Value>) -> Result<Comparison, TypedError> {
    let Some(map) = &of.schema.atom(of.root).map else {
        return Ok(Comparison::default());
    };
    let found = Walk { schema: &of.schema }.members(map, Some(old), Some(new))?;
    Ok(Comparison {
        added: found.added.below,
        modified: found.modified.below,
        removed: found.removed.below,
    })
}

/// What differs at and below one place.
#[derive(Default)]
struct Outcome {
    added: Node,
    modified: Node,
    removed: Node,
}

/// What differs below the elements of one place.
#[derive(Default)]
struct Below {
    added: Vec<(PathElement, Node)>,
    modified: Vec<(PathElement, Node)>,
    removed: Vec<(PathElement, Node)>,
}

impl Below {
    /// The element is made only for what differs.
    fn push(&mut self, element: impl Fn() -> PathElement, outcome: Outcome) {
        for (nodes, node) in [
            (&mut self.added, outcome.added),
            (&mut self.modified, outcome.modified),
            (&mut self.removed, outcome.removed),
        ] {
            if !node.is_empty() {
                nodes.push((element(), node));
            }
        }
    }

    fn finish(self) -> Outcome {
        let node = |nodes| Node {
            member: false,
            below: Set::from_nodes(nodes),
        };
        Outcome {
            added: node(self.added),
            modified: node(self.modified),
            removed: node(self.removed),
        }
    }
}

struct Walk<'s> {
    schema: &'s Schema,
}

impl Walk<'_> {
    fn value(&self, of: TypeId, old: Option<&Value>, new: Option<&Value>) -> Result<Outcome, TypedError> {
        let atom = self.schema.atom(of);
        let (left, right) = (atom.facet(old), atom.facet(new));
        let mut outcome = if new.is_none() {
            self.facet(left, old, new)?
        } else if old.is_none() || discriminant(&left) == discriminant(&right) {
            self.facet(right, old, new)?
        } else {
            // The value has become another kind of thing.
            Outcome {
                modified: Node::LEAF,
                ..Outcome::default()
            }
        };
        outcome.added.member |= old.is_none();
        outcome.removed.member |= new.is_none();
        Ok(outcome)
    }

    fn facet(&self, facet: Facet<'_>, old: Option<&Value>, new: Option<&Value>) -> Result<Outcome, TypedError> {
        match facet {
            Facet::Scalar(_) | Facet::Nothing => Ok(leaf(old, new)),
            Facet::List(list) => {
                let (before, after) = (old.and_then(Value::as_array), new.and_then(Value::as_array));
                let hollow = |items: Option<&Vec<Value>>| items.is_none_or(Vec::is_empty);
                if list.relation == Relation::Atomic || (hollow(before) && hollow(after)) {
                    return Ok(leaf(old, new));
                }
                self.items(
                    list,
                    before.map_or(&[], Vec::as_slice),
                    after.map_or(&[], Vec::as_slice),
                )
            }
            Facet::Map(map) => {
                let (before, after) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
                let hollow = |members: Option<&Map<String, Value>>| members.is_none_or(Map::is_empty);
                if map.atomic || (hollow(before) && hollow(after)) {
                    return Ok(leaf(old, new));
                }
                self.members(map, before, after)
            }
        }
    }

    fn members(
        &self,
        map: &super::schema::Map,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
    ) -> Result<Outcome, TypedError> {
        let mut below = Below::default();
        let of = |name: &str| map.type_of(name).unwrap_or(TypeId::NOTHING);
        let of_empty =
            |name: &str, parent: Option<&Map<String, Value>>| parent.and_then(|_| map.field(name)?.always.as_ref());
        for (name, after) in new.into_iter().flatten() {
            let before = old.and_then(|old| old.get(name)).or_else(|| of_empty(name, old));
            let outcome = self.value(of(name), before, Some(after))?;
            below.push(|| PathElement::field(name), outcome);
        }
        for (name, before) in old.into_iter().flatten() {
            if new.is_none_or(|new| !new.contains_key(name)) {
                let outcome = self.value(of(name), Some(before), of_empty(name, new))?;
                below.push(|| PathElement::field(name), outcome);
            }
        }
        if old.is_some() != new.is_some() {
            let written = |name: &str| [old, new].into_iter().flatten().any(|parent| parent.contains_key(name));
            for field in map.always().filter(|field| !written(&field.name)) {
                let (before, after) = (of_empty(&field.name, old), of_empty(&field.name, new));
                let outcome = self.value(field.of, before, after)?;
                below.push(|| PathElement::Field(field.name.clone()), outcome);
            }
        }
        Ok(below.finish())
    }

    fn items(&self, list: &List, old: &[Value], new: &[Value]) -> Result<Outcome, TypedError> {
        let mut found: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (index, item) in old.iter().enumerate() {
            found.entry(self.element(list, index, item)?).or_default().0.push(item);
        }
        for (index, item) in new.iter().enumerate() {
            found.entry(self.element(list, index, item)?).or_default().1.push(item);
        }
        let mut below = Below::default();
        for (element, (before, after)) in found {
            let outcome = match (before.as_slice(), after.as_slice()) {
                ([] | [_], [] | [_]) => self.value(list.element, before.first().copied(), after.first().copied())?,
                // Elements that occur more than once are compared as one value.
                ([_, _, ..], [_, _, ..]) => {
                    let unchanged = before.len() == after.len() && before.iter().zip(&after).all(|(a, b)| same(a, b));
                    Outcome {
                        modified: if unchanged { Node::default() } else { Node::LEAF },
                        ..Outcome::default()
                    }
                }
                ([_, _, ..], _) => {
                    let mut outcome = match after.first() {
                        Some(one) => self.value(list.element, None, Some(one))?,
                        None => Outcome::default(),
                    };
                    outcome.removed.member = true;
                    outcome
                }
                (_, [_, _, ..]) => {
                    let mut outcome = match before.first() {
                        Some(one) => self.value(list.element, Some(one), None)?,
                        None => Outcome::default(),
                    };
                    outcome.added.member = true;
                    outcome
                }
            };
            below.push(|| element.clone(), outcome);
        }
        Ok(below.finish())
    }

    fn element(&self, list: &List, index: usize, item: &Value) -> Result<PathElement, TypedError> {
        element::of_item(self.schema, list, item)
            .map_err(|problem| TypedError(vec![format!(": element {index}: {problem}")]))
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Outcome {
    let mut outcome = Outcome::default();
    match (old, new) {
        (None, _) => outcome.added.member = true,
        (_, None) => outcome.removed.member = true,
        (Some(old), Some(new)) => outcome.modified.member = !same(old, new),
    }
    outcome
}
