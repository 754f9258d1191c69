//! CloudFormation's templates: read, checked, evaluated, ordered and compared.
//!
//! **Invariant:** makes nothing: what a template says of resources comes out as values.
#![forbid(unsafe_code)]

pub mod diff;
pub mod evaluate;
pub mod graph;
pub mod node;
pub mod template;
mod yaml;

pub use evaluate::{EvaluateError, Pseudo, Resources, Scope};
pub use node::Node;
pub use template::{Resource, Template, TemplateError};
