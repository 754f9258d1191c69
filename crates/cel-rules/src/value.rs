//! Values: read in place from untyped JSON, or made by an expression.

mod convert;
mod equal;
mod list;
mod map;

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use kube_types::quantity::Amount;

pub use list::List;
pub use map::{Key, Map};

use crate::authorizer::{AccessCheck, Answer, Authorizer};
use crate::library::formats::NamedFormat;
use crate::library::network::Block;

/// A value.
#[derive(Clone)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// True or false.
    Bool(bool),
    /// 64 bits with sign.
    Int(i64),
    /// 64 bits without sign.
    Uint(u64),
    /// Floating point.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A moment.
    Timestamp(Timestamp),
    /// A list.
    List(List<'a>),
    /// A map, or an object.
    Map(Map<'a>),
    /// A type, by name.
    Type(Text<'a>),
    /// A value that may be absent.
    Optional(Option<Arc<Value<'a>>>),
    /// A value of a library.
    Opaque(Opaque<'a>),
}

/// Text, borrowed from the object that is read or shared.
#[derive(Clone)]
pub enum Text<'a> {
    /// Part of the object.
    Borrowed(&'a str),
    /// Made by an expression.
    Shared(Arc<str>),
}

/// Values of Kubernetes' libraries.
#[derive(Clone)]
pub enum Opaque<'a> {
    /// A URL.
    Url(Arc<url::Url>),
    /// An IP address.
    Ip(IpAddr),
    /// A block of addresses.
    Cidr(Block),
    /// A quantity.
    Quantity(Amount),
    /// A semantic version.
    Semver(Arc<semver::Version>),
    /// A named format.
    Format(NamedFormat),
    /// Who decides about access, and for whom it is asked.
    Authorizer(&'a dyn Authorizer, Option<Arc<(String, String)>>),
    /// A question about a path.
    PathCheck(&'a dyn Authorizer, Arc<AccessCheck>),
    /// A question about a group.
    GroupCheck(&'a dyn Authorizer, Arc<AccessCheck>),
    /// A question about a resource.
    ResourceCheck(&'a dyn Authorizer, Arc<AccessCheck>),
    /// An answer about access.
    Decision(Arc<Answer>),
    /// The variables that a policy composes; the evaluator knows them.
    Variables,
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl<'a> Value<'a> {
    /// Text that an expression made.
    pub fn text(text: impl Into<String>) -> Self {
        Self::String(Text::from(text.into()))
    }

    /// A list that an expression made.
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(List::Owned(Arc::new(items)))
    }

    /// An optional value.
    pub fn optional(value: Option<Value<'a>>) -> Self {
        Self::Optional(value.map(Arc::new))
    }

    /// The truth, when it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Name of the value's type, as `type(x)` shows it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Opaque(opaque) => opaque.type_name(),
        }
    }

    /// Characters, bytes or elements; 1 for everything else. What costs are counted in.
    pub(crate) fn size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            _ => 1,
        };
        u64::try_from(size).unwrap_or(u64::MAX)
    }
}

impl Opaque<'_> {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Authorizer(..) => "kubernetes.authorization.Authorizer",
            Self::PathCheck(..) => "kubernetes.authorization.PathCheck",
            Self::GroupCheck(..) => "kubernetes.authorization.GroupCheck",
            Self::ResourceCheck(..) => "kubernetes.authorization.ResourceCheck",
            Self::Decision(_) => "kubernetes.authorization.Decision",
            Self::Variables => "kubernetes.variables",
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_json() {
            Ok(json) => write!(f, "{json}"),
            Err(_no_json_form) => f.write_str(self.type_name()),
        }
    }
}
