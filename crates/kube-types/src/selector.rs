//! Label and field selectors: parsed, compiled and matched with upstream's grammar and messages.

mod fields;
mod labels;

pub use fields::{FieldRequirement, FieldSelector, FieldSelectorError};
pub use labels::{LabelSelector, Operator, Requirement, SelectorError};
