//! Kubernetes' dialect of the Common Expression Language: declared variables, static checks, the libraries that upstream's
//! API server offers, and the cost that bounds every evaluation.
//!
//! All of it is our own, because an evaluation must end whatever it is given, read
//! untyped objects in place, and refuse what upstream refuses in upstream's words.
//!
//! **Invariant:** an expression reads nothing but what was bound to it, and always ends.
#![forbid(unsafe_code)]

mod authorizer;
mod check;
mod cost;
mod estimate;
mod evaluate;
mod field_names;
mod functions;
mod library;
mod lower;
mod parse;
mod program;
mod types;
mod value;

pub use authorizer::{AccessCheck, Answer, Authorizer};
pub use estimate::{Extent, Inside};
pub use evaluate::{EvalError, Session};
pub use field_names::field_name;
pub use library::time::parse_duration;
pub use parse::CompileError;
pub use program::{Environment, Program};
pub use types::{Field, ListKind, ObjectType, Type};
pub use value::{Key, List, Map, Opaque, Text, Value};

/// Cost that one expression may take. Source: `apis/cel/config.go`.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// Cost that all expressions of one policy or one object's rules may take together.
pub const BUDGET: u64 = 10_000_000;
/// Longest expression that is compiled, in characters.
pub const LONGEST_EXPRESSION: usize = 100_000;
