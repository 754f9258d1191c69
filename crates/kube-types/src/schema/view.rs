//! The compiled types as other crates read them.

use super::{Compiled, Type, TypeId};

/// A type, to be looked into.
#[derive(Clone, Copy)]
pub struct TypeShape {
    set: &'static Compiled,
    of: &'static Type,
}

/// What a type is.
#[derive(Clone, Copy)]
pub enum Shape {
    /// A struct.
    Struct(StructShape),
    /// A list of elements.
    List(TypeShape),
    /// A map with text keys.
    Map(TypeShape),
    /// Text, base64 text included.
    Text,
    /// A whole or broken number.
    Number,
    /// True or false.
    Boolean,
    /// A scalar of more than one kind: quantities, times, int-or-string.
    Scalar,
    /// Any object.
    AnyObject,
    /// Anything at all.
    Any,
}

/// What a type without parts is to OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text,
    /// Base64 text.
    Bytes,
    /// A time.
    Moment,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A whole number or text.
    IntOrString,
    /// A number or text.
    Quantity,
}

impl TypeShape {
    /// What it is to OpenAPI, when it has no parts.
    pub fn scalar(self) -> Option<Scalar> {
        Some(match self.of {
            Type::Text => Scalar::Text,
            Type::Bytes => Scalar::Bytes,
            Type::Time | Type::MicroTime => Scalar::Moment,
            Type::Integer { .. } => Scalar::Whole,
            Type::Number => Scalar::Number,
            Type::Boolean => Scalar::Boolean,
            Type::IntOrString => Scalar::IntOrString,
            Type::Quantity => Scalar::Quantity,
            Type::Struct(_) | Type::List(_) | Type::Map(_) | Type::Any { .. } => return None,
        })
    }

    /// What the type is.
    pub fn shape(self) -> Shape {
        let inner = |of| TypeShape { set: self.set, of };
        match self.of {
            Type::Struct(id) => Shape::Struct(StructShape::new(self.set, *id)),
            Type::List(of) => Shape::List(inner(of)),
            Type::Map(of) => Shape::Map(inner(of)),
            Type::Text | Type::Bytes => Shape::Text,
            Type::Integer { .. } | Type::Number => Shape::Number,
            Type::Boolean => Shape::Boolean,
            Type::Quantity | Type::IntOrString | Type::Time | Type::MicroTime => Shape::Scalar,
            Type::Any { object: true } => Shape::AnyObject,
            Type::Any { object: false } => Shape::Any,
        }
    }
}

/// A struct, to be looked into.
#[derive(Clone, Copy)]
pub struct StructShape {
    set: &'static Compiled,
    id: TypeId,
}

impl StructShape {
    pub(super) fn new(set: &'static Compiled, id: TypeId) -> Self {
        Self { set, id }
    }

    /// A number that no other struct has.
    pub fn id(self) -> u32 {
        self.id
    }

    /// Name of the schema, as `io.k8s.api.core.v1.PodSpec`.
    pub fn definition(self) -> &'static str {
        &self.set.structs[self.id as usize].definition
    }

    /// Name, type and whether it must be there, for each field.
    pub fn fields(self) -> impl Iterator<Item = (&'static str, TypeShape, bool)> {
        let set = self.set;
        set.structs[self.id as usize]
            .fields
            .iter()
            .map(move |field| (&*field.name, TypeShape { set, of: &field.of }, field.required))
    }
}
