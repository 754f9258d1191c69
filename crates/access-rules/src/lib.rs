//! May this identity do this? RBAC and its bootstrap roles, the Node authorizer, bearer and AWS tokens, request signatures.
//!
//! **Invariant:** decides from what it is given; fetches nothing.
#![forbid(unsafe_code)]

pub mod access_policy;
pub mod audit;
pub mod eks_token;
pub mod iam_policy;
pub mod identity;
pub mod node;
pub mod oidc;
pub mod pod_security;
pub mod rbac;
pub mod service_account;
pub mod signers;
pub mod sigv4;

pub use identity::{Attributes, Decision, ResourceAttributes, User};
