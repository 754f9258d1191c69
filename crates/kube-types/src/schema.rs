//! The schema of every built-in type: which fields there are, what type each has, and what an object looks like once
//! the API server has read it.
//!
//! Schemas are compiled on first use from k8s-openapi's, into a form without descriptions that is shared by all kinds.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::GroupVersionKind;
use crate::dynamic::{Map, Value};

mod check;
mod compile;
mod roots;
#[cfg(test)]
mod tests;
mod view;

pub use check::TypeError;
pub use roots::{Visit, visit_kinds};
pub use view::{Scalar, Shape, StructShape, TypeShape};

/// Number of a type in the compiled set.
type TypeId = u32;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    /// A struct of the set.
    Struct(TypeId),
    List(Box<Type>),
    /// A map with text keys.
    Map(Box<Type>),
    Text,
    Integer {
        bits: u8,
    },
    Number,
    Boolean,
    /// Base64 text.
    Bytes,
    Quantity,
    IntOrString,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// Anything at all, or any object; kept as it is.
    Any {
        object: bool,
    },
}

/// One field of a struct.
#[derive(Clone, Debug)]
struct Field {
    name: Box<str>,
    of: Type,
    required: bool,
}

/// A struct: its Go name and its fields, sorted by name.
#[derive(Clone, Debug, Default)]
struct Struct {
    /// Name of the schema, as `io.k8s.api.core.v1.PodSpec`.
    definition: Box<str>,
    /// Name of the Go type without package, as `PodSpec`.
    name: Box<str>,
    /// Package of the Go type, as `v1`.
    package: Box<str>,
    fields: Box<[Field]>,
}

impl Struct {
    fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .binary_search_by(|field| (*field.name).cmp(name))
            .ok()
            .map(|index| &self.fields[index])
    }
}

struct Compiled {
    structs: Vec<Struct>,
    kinds: BTreeMap<GroupVersionKind, TypeId>,
}

fn compiled() -> &'static Compiled {
    static COMPILED: OnceLock<Compiled> = OnceLock::new();
    COMPILED.get_or_init(compile::all)
}

/// The schema of one kind.
#[derive(Clone, Copy)]
pub struct Schema {
    set: &'static Compiled,
    root: TypeId,
}

/// What a checked object had that its kind does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown(pub Vec<String>);

/// The schema of a built-in kind; `None` for kinds that are not built in.
pub fn lookup(gvk: &GroupVersionKind) -> Option<Schema> {
    let set = compiled();
    set.kinds.get(gvk).map(|root| Schema { set, root: *root })
}

/// Every kind that has a schema: all of k8s-openapi's kinds of generally available versions.
pub fn kinds() -> impl Iterator<Item = &'static GroupVersionKind> {
    compiled().kinds.keys()
}

/// The JSON schema of a built-in kind with all definitions it needs and all descriptions, made anew on each call.
pub fn document(gvk: &GroupVersionKind) -> Option<Value> {
    roots::document(gvk)
}

/// The JSON schemas of all built-in kinds and of what requests carry, by name and with all descriptions, made anew on
/// each call; and the name of each kind's schema.
pub fn definitions() -> (Map<String, Value>, BTreeMap<GroupVersionKind, String>) {
    roots::definitions()
}

impl Schema {
    /// Checks the types of all fields and brings the object into the form that upstream's decoder and encoder give it:
    /// unknown fields and nulls are dropped, empty optional lists, maps and texts are dropped, quantities and times are
    /// canonical. Answers the paths of the unknown fields.
    ///
    /// # Errors
    /// The first value of a wrong type, worded as upstream's decoder does.
    pub fn normalize(&self, object: &mut Map<String, Value>) -> Result<Unknown, TypeError> {
        check::normalize(self.set, self.root, object)
    }

    /// The paths of fields that the kind does not have.
    ///
    /// # Errors
    /// As [`Schema::normalize`].
    pub fn unknown_fields(&self, object: &Map<String, Value>) -> Result<Vec<String>, TypeError> {
        self.normalize(&mut object.clone()).map(|unknown| unknown.0)
    }

    /// The type of the kind's objects.
    pub fn shape(&self) -> StructShape {
        StructShape::new(self.set, self.root)
    }

    /// Whether the kind has a top-level field.
    pub fn has_field(&self, name: &str) -> bool {
        self.set.structs[self.root as usize].field(name).is_some()
    }
}
