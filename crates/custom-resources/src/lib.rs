//! What a CustomResourceDefinition means: structural schemas, pruning, defaults, validation, names, versions.
//!
//! **Invariant:** a function of the definition and the objects given to it; nothing here serves, stores or asks.
#![forbid(unsafe_code)]

pub mod conversion;
mod default;
pub mod definition;
mod embedded;
mod field_path;
#[cfg(test)]
mod fuzzing;
pub mod json_path;
mod list_type;
mod merging;
pub mod openapi;
mod path;
mod pattern;
mod prune;
mod rules;
mod scale;
pub mod schema;
pub mod table;
mod validate;
pub mod version;

pub use definition::{Conversion, Definition, Names, Version};
pub use json_path::JsonPath;
pub use scale::Scale;
pub use schema::Schema;
