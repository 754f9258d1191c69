//! Server-side apply: who owns which field of an object, and what an applied configuration makes of it.
//!
//! Everything is a function of objects, field sets and the types of [`schema`]. [`tracking`] is what the pipeline
//! calls; the other modules are its parts: sets of field paths and their JSON form, the walks over objects (which
//! fields there are, what differs, one object over another, an object without some fields), and the entries of owners.

mod built_in;
mod compare;
mod conflict;
mod element;
mod field_set;
mod fields_v1;
mod filter;
mod managers;
mod merge;
mod overlay;
mod path;
mod reconcile;
mod remove;
mod scale;
mod schema;
mod set;
mod tracking;
mod updater;
mod validate;

#[cfg(test)]
mod tests;

pub use built_in::built_in;
pub use compare::{Comparison, compare};
pub use conflict::{Conflict, message as conflict_message};
pub use fields_v1::{parse as parse_fields, serialize as serialize_fields};
pub use filter::{Filter, Step};
pub use managers::{Managed, ManagedError, Manager, Operation, Owner, is_reset};
pub use overlay::{OverlayError, overlay};
pub use path::{Literal, Path, PathElement, shown_path};
pub use scale::{SCALE_VERSION, to_parent, to_scale};
pub use schema::{Atom, Field, List, Map, ObjectType, Relation, Scalar, Schema, TypeId};
pub use set::Set;
pub use tracking::{ApplyError, Writer};
pub use updater::{UpdateError, Versions};
pub use validate::TypedError;
