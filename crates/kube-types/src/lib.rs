//! The Kubernetes vocabulary: re-exported API types, quantities, selectors, object keys, untyped objects and the schema of every built-in type.
//!
//! **Invariant:** no I/O, and `serde_json::Value` is written down nowhere but here.
#![forbid(unsafe_code)]
