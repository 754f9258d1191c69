//! The Kubernetes vocabulary: re-exported API types, quantities, selectors, object keys, untyped objects and the schema of every built-in type.
//!
//! **Invariant:** no I/O, and `serde_json::Value` is written down nowhere but here.
#![forbid(unsafe_code)]

pub mod decode;
pub mod dynamic;
pub mod int_or_string;
mod keys;
pub mod numbers;
pub mod protobuf;
pub mod quantity;
pub mod schema;
pub mod selector;

pub use k8s_openapi;
pub use k8s_openapi::{api, apimachinery};
pub use keys::{GroupVersionKind, GroupVersionResource, ObjectKey};

/// Metadata types (`ObjectMeta`, `LabelSelector`, `Status`, …) under a short name.
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
