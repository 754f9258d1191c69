//! May this identity do this? RBAC and its bootstrap roles, the Node authorizer, bearer and AWS tokens, request signatures.
//!
//! **Invariant:** decides from what it is given; fetches nothing.
#![forbid(unsafe_code)]

pub mod identity;
pub mod rbac;

pub use identity::{Attributes, Decision, ResourceAttributes, User};
