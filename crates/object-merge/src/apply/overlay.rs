//! A configuration laid over an object without owners: what a mutating policy's ApplyConfiguration does.
//!
//! Source of the rules: `apiserver/pkg/admission/plugin/policy/mutating/patch`. What is a value as a whole cannot be
//! set in part, and setting it whole would drop what others wrote, so upstream refuses configurations that hold such a
//! thing.

use kube_types::dynamic::{Map, Value};

use super::merge::merge;
use super::path::{Path, PathElement, shown_path};
use super::schema::{Facet, ObjectType, Relation, Schema, TypeId};
use super::validate::{TypedError, validate};

/// Why a configuration cannot be laid over an object. The texts are upstream's, which hold their cause.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// The configuration is not of the object's type.
    #[error("failed to convert patch object to typed object: {0}")]
    Configuration(TypedError),
    /// The configuration has lists, maps or structs that are replaced as a whole.
    #[error("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {0}")]
    Atomic(String),
    /// The object itself is not of its type.
    #[error("failed to convert original object to typed object: {0}")]
    Object(TypedError),
    /// Elements of a list cannot be told apart.
    #[error("failed to merge patch: {0}")]
    Merge(TypedError),
}

/// The object with everything that the configuration says.
///
/// # Errors
/// When either does not have the form of its type, or the configuration holds what is replaced as a whole.
pub fn overlay(
    of: &ObjectType,
    object: &Map<String, Value>,
    configuration: &Map<String, Value>,
) -> Result<Map<String, Value>, OverlayError> {
    validate(of, configuration, false).map_err(OverlayError::Configuration)?;
    let mut search = Search {
        schema: &of.schema,
        path: Path::new(),
        found: Vec::new(),
    };
    for (name, value) in configuration {
        if let Some(map) = &of.schema.atom(of.root).map {
            search.member(map, name, value);
        }
    }
    if !search.found.is_empty() {
        return Err(OverlayError::Atomic(search.found.join(", ")));
    }
    validate(of, object, true).map_err(OverlayError::Object)?;
    merge(of, object, configuration).map_err(OverlayError::Merge)
}

/// Looks for lists, maps and structs that are one value.
struct Search<'s> {
    schema: &'s Schema,
    path: Path,
    found: Vec<String>,
}

impl Search<'_> {
    fn member(&mut self, map: &super::schema::Map, name: &str, value: &Value) {
        if let Some(of) = map.type_of(name) {
            self.path.push(PathElement::field(name));
            self.value(of, value);
            self.path.pop();
        }
    }

    fn value(&mut self, of: TypeId, value: &Value) {
        match (self.schema.atom(of).facet(Some(value)), value) {
            (Facet::Map(map), Value::Object(members)) => {
                if map.atomic {
                    self.found.push(shown_path(&self.path));
                }
                for (name, value) in members {
                    self.member(map, name, value);
                }
            }
            (Facet::List(list), Value::Array(items)) => {
                if list.relation == Relation::Atomic {
                    self.found.push(shown_path(&self.path));
                }
                for (index, item) in (0..).zip(items) {
                    self.path.push(PathElement::Index(index));
                    self.value(list.element, item);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }
}
