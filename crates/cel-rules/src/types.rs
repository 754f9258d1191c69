//! Types of expressions and of the objects that they read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Type of an expression, or how a piece of untyped JSON is to be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Anything: known at evaluation.
    Dyn,
    /// `null`.
    Null,
    /// True or false.
    Bool,
    /// 64 bits with sign.
    Int,
    /// 64 bits without sign.
    Uint,
    /// Floating point.
    Double,
    /// Text.
    String,
    /// Bytes; base64 in JSON.
    Bytes,
    /// A span of time; `1h30m` in JSON.
    Duration,
    /// A moment; RFC 3339 in JSON.
    Timestamp,
    /// A type.
    Type,
    /// A list.
    List(Arc<Type>, ListKind),
    /// A map from keys of one type to values of another.
    Map(Arc<Type>, Arc<Type>),
    /// An object with known fields.
    Object(Arc<ObjectType>),
    /// A value that may be absent.
    Optional(Arc<Type>),
    /// A type of a library, as `quantity`.
    Opaque(&'static str),
    /// A parameter of a function's signature.
    Param(char),
}

/// How lists are compared and added, `x-kubernetes-list-type`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    /// By position.
    #[default]
    Atomic,
    /// As sets.
    Set,
    /// By the values of key fields.
    Keyed(Vec<String>),
}

/// An object with known fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectType {
    /// Name in messages.
    pub name: String,
    /// Fields by the name that expressions use, which is escaped where CEL reserves a word.
    pub fields: BTreeMap<String, Field>,
}

/// One field of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name in JSON.
    pub json: String,
    /// What it holds.
    pub holds: Type,
}

/// The type of what nothing is known about.
pub(crate) static DYN: Type = Type::Dyn;

impl Type {
    /// A list in which position counts.
    pub fn list(of: Type) -> Self {
        Self::List(Arc::new(of), ListKind::Atomic)
    }

    /// A map with text keys.
    pub fn map(of: Type) -> Self {
        Self::Map(Arc::new(Self::String), Arc::new(of))
    }

    /// A value that may be absent.
    pub fn optional(of: Type) -> Self {
        Self::Optional(Arc::new(of))
    }

    /// What is known of the type when it is that of a policy's variable: objects may then be anything.
    /// Source: `convertCelTypeToDeclType` in `admission/plugin/cel/composition.go`.
    #[must_use]
    pub fn of_variable(&self) -> Self {
        match self {
            Self::List(of, _) => Self::list(of.of_variable()),
            Self::Map(key, of) => Self::Map(Arc::new(key.of_variable()), Arc::new(of.of_variable())),
            Self::Object(_) | Self::Optional(_) | Self::Opaque(_) | Self::Type | Self::Param(_) => Self::Dyn,
            simple => simple.clone(),
        }
    }

    /// Whether the checker lets a value of the other type stand here; parameters are bound on the way.
    pub(crate) fn accepts(&self, given: &Self, bound: &mut BTreeMap<char, Type>) -> bool {
        match (self, given) {
            (Self::Param(name), given) => match bound.get(name).cloned() {
                None | Some(Self::Dyn) => {
                    bound.insert(*name, given.clone());
                    true
                }
                Some(known) => {
                    let fits = known.accepts(given, bound) || given.accepts(&known, bound);
                    if fits && known == Self::Null {
                        bound.insert(*name, given.clone());
                    }
                    fits
                }
            },
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a, _), Self::List(b, _)) | (Self::Optional(a), Self::Optional(b)) => a.accepts(b, bound),
            (Self::Map(a, b), Self::Map(c, d)) => a.accepts(c, bound) && b.accepts(d, bound),
            (Self::Object(_) | Self::Duration | Self::Timestamp | Self::Opaque(_), Self::Null) => true,
            (Self::Object(a), Self::Object(b)) => a.name == b.name,
            (a, b) => a == b,
        }
    }

    /// The type with its parameters replaced; what is not bound may be anything.
    pub(crate) fn filled(&self, bound: &BTreeMap<char, Type>) -> Self {
        match self {
            Self::Param(name) => bound.get(name).cloned().unwrap_or(Self::Dyn),
            Self::List(of, kind) => Self::List(Arc::new(of.filled(bound)), kind.clone()),
            Self::Map(key, of) => Self::Map(Arc::new(key.filled(bound)), Arc::new(of.filled(bound))),
            Self::Optional(of) => Self::Optional(Arc::new(of.filled(bound))),
            other => other.clone(),
        }
    }

    /// The type that holds values of both.
    pub(crate) fn joined(self, other: Self) -> Self {
        if self == other { self } else { Self::Dyn }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("google.protobuf.Duration"),
            Self::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Self::Type => f.write_str("type"),
            Self::List(of, _) => write!(f, "list({of})"),
            Self::Map(key, of) => write!(f, "map({key}, {of})"),
            Self::Object(object) => f.write_str(&object.name),
            Self::Optional(of) => write!(f, "optional_type({of})"),
            Self::Opaque(name) => f.write_str(name),
            Self::Param(name) => write!(f, "{name}"),
        }
    }
}
