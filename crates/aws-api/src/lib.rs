//! The AWS face: signatures, wire protocols, the table of operations.
//!
//! **Invariant:** an operation that is not in the table answers as AWS does for an unknown one.
#![forbid(unsafe_code)]

pub mod host;
