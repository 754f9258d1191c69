//! An applied configuration laid over the live object.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use kube_types::dynamic::{Map, Value};

use super::element;
use super::path::PathElement;
use super::schema::{Facet, List, ObjectType, Relation, Schema, TypeId};
use super::validate::TypedError;

/// The live object with everything that the configuration says.
///
/// # Errors
/// When a list has elements that cannot be told apart, or twice the same one in the configuration.
pub(crate) fn merge(
    of: &ObjectType,
    live: &Map<String, Value>,
    applied: &Map<String, Value>,
) -> Result<Map<String, Value>, TypedError> {
    match &of.schema.atom(of.root).map {
        Some(map) => Walk { schema: &of.schema }.members(map, Some(live), Some(applied)),
        None => Ok(applied.clone()),
    }
}

struct Walk<'s> {
    schema: &'s Schema,
}

impl Walk<'_> {
    fn value(&self, of: TypeId, live: Option<&Value>, applied: Option<&Value>) -> Result<Option<Value>, TypedError> {
        let atom = self.schema.atom(of);
        let (Some(old), Some(new)) = (live, applied) else {
            return Ok(applied.or(live).cloned());
        };
        let (left, right) = (atom.facet(live), atom.facet(applied));
        if discriminant(&left) != discriminant(&right) {
            return Ok(Some(new.clone()));
        }
        match right {
            Facet::List(list) if list.relation != Relation::Atomic => {
                let (old, new) = (array(old), array(new));
                if old.is_empty() && new.is_empty() {
                    return Ok(applied.cloned());
                }
                self.items(list, old, new).map(|items| Some(Value::Array(items)))
            }
            Facet::Map(map) if !map.atomic => {
                let (old, new) = (old.as_object(), new.as_object());
                let hollow = |members: Option<&Map<String, Value>>| members.is_none_or(Map::is_empty);
                if hollow(old) && hollow(new) {
                    return Ok(applied.cloned());
                }
                self.members(map, old, new).map(|members| Some(Value::Object(members)))
            }
            _ => Ok(Some(new.clone())),
        }
    }

    fn members(
        &self,
        map: &super::schema::Map,
        live: Option<&Map<String, Value>>,
        applied: Option<&Map<String, Value>>,
    ) -> Result<Map<String, Value>, TypedError> {
        let mut merged = Map::new();
        for (name, old) in live.into_iter().flatten() {
            let new = applied.and_then(|applied| applied.get(name));
            let of = map.type_of(name).unwrap_or(TypeId::NOTHING);
            if let Some(value) = self.value(of, Some(old), new)? {
                merged.insert(name.clone(), value);
            }
        }
        for (name, new) in applied.into_iter().flatten() {
            if !merged.contains_key(name) {
                merged.insert(name.clone(), new.clone());
            }
        }
        Ok(merged)
    }

    /// The elements of both lists. Shared elements stand in the applied order; what only the live list has keeps its
    /// place among its neighbours.
    fn items(&self, list: &List, live: &[Value], applied: &[Value]) -> Result<Vec<Value>, TypedError> {
        let old = self.index(list, live, true)?;
        let new = self.index(list, applied, false)?;
        let mut shared = new
            .order
            .iter()
            .filter(|element| old.known.contains_key(element))
            .peekable();
        let mut taken: BTreeSet<&PathElement> = BTreeSet::new();
        let mut merged = Vec::with_capacity(live.len().max(applied.len()));
        let (mut at, mut there) = (0, 0);
        while at < old.order.len() || there < new.order.len() {
            if let (Some(mine), Some(its)) = (old.order.get(at), new.order.get(there)) {
                if mine == its {
                    taken.insert(its);
                    merged.extend(self.value(list.element, old.only(mine), new.only(its))?);
                    at += 1;
                    there += 1;
                    shared.next();
                    continue;
                }
                let awaited = shared.peek();
                if new.known.contains_key(mine) && awaited.is_some_and(|awaited| *awaited != mine) {
                    at += 1;
                    continue;
                }
            }
            if let Some(mine) = old.order.get(at) {
                if !new.known.contains_key(mine) {
                    merged.push(live[at].clone());
                    at += 1;
                    continue;
                }
                if taken.contains(mine) {
                    at += 1;
                }
            }
            if let Some(its) = new.order.get(there) {
                taken.insert(its);
                merged.extend(self.value(list.element, old.only(its), new.only(its))?);
                there += 1;
                if shared.peek() == Some(&its) {
                    shared.next();
                }
            }
        }
        Ok(merged)
    }

    fn index<'v>(&self, list: &List, items: &'v [Value], duplicates: bool) -> Result<Index<'v>, TypedError> {
        let mut index = Index::default();
        for (at, item) in items.iter().enumerate() {
            let element = element::of_item(self.schema, list, item)
                .map_err(|problem| TypedError(vec![format!(": element {at}: {problem}")]))?;
            let twice = index.known.contains_key(&element);
            if twice && !duplicates {
                return Err(TypedError(vec![format!(": duplicate entries for key {element}")]));
            }
            // An element that occurs twice is merged with nothing: it would not be known with which of the two.
            index.known.insert(element.clone(), (!twice).then_some(item));
            index.order.push(element);
        }
        Ok(index)
    }
}

#[derive(Default)]
struct Index<'v> {
    order: Vec<PathElement>,
    known: BTreeMap<PathElement, Option<&'v Value>>,
}

impl<'v> Index<'v> {
    fn only(&self, element: &PathElement) -> Option<&'v Value> {
        self.known.get(element).copied().flatten()
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
