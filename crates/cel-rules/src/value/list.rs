//! Lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::Value;
use crate::types::{ListKind, Type};

/// A list.
#[derive(Clone)]
pub enum List<'a> {
    /// Part of an object: elements, their type and how they are compared.
    Json(&'a [Json], &'a Type, &'a ListKind),
    /// Made by an expression.
    Owned(Arc<Vec<Value<'a>>>),
}

impl<'a> List<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(items, ..) => items.len(),
            Self::Owned(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at a position.
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(items, of, _) => items.get(index).map(|item| Value::read(item, of)),
            Self::Owned(items) => items.get(index).cloned(),
        }
    }

    /// All elements.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn kind(&self) -> &ListKind {
        match self {
            Self::Json(_, _, kind) => kind,
            Self::Owned(_) => &ListKind::Atomic,
        }
    }

    /// Whether an element is there.
    pub(crate) fn has(&self, wanted: &Value<'_>) -> bool {
        self.iter().any(|item| item.equals(wanted))
    }

    /// Equality as the kind of the left list defines it.
    pub(crate) fn equals(&self, other: &List<'_>) -> bool {
        if self.len() != other.len() {
            return false;
        }
        match self.kind() {
            ListKind::Atomic => self.iter().zip(other.iter()).all(|(a, b)| a.equals(&b)),
            ListKind::Set => self.iter().all(|item| other.has(&item)),
            ListKind::Keyed(keys) => self.iter().all(|item| {
                let mut same = other.iter().filter(|candidate| same_keys(keys, &item, candidate));
                same.next().is_some_and(|found| found.equals(&item))
            }),
        }
    }

    /// Concatenation, union or merge, as the kind of the left list defines it.
    pub(crate) fn plus(&self, other: &List<'a>) -> Value<'a> {
        let mut all: Vec<Value<'a>> = self.iter().collect();
        match self.kind() {
            ListKind::Atomic => all.extend(other.iter()),
            ListKind::Set => {
                for item in other.iter() {
                    if !all.iter().any(|known| known.equals(&item)) {
                        all.push(item);
                    }
                }
            }
            ListKind::Keyed(keys) => {
                for item in other.iter() {
                    match all.iter_mut().find(|known| same_keys(keys, known, &item)) {
                        Some(known) => *known = item,
                        None => all.push(item),
                    }
                }
            }
        }
        Value::list(all)
    }
}

fn same_keys(keys: &[String], a: &Value<'_>, b: &Value<'_>) -> bool {
    let values = |value: &Value<'_>| -> BTreeMap<String, String> {
        let Value::Map(map) = value else {
            return BTreeMap::new();
        };
        let of = |key: &String| map.select(key).map(|value| format!("{value:?}"));
        keys.iter().filter_map(|key| Some((key.clone(), of(key)?))).collect()
    };
    values(a) == values(b)
}
