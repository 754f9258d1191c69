//! The published round-trip fixtures of Kubernetes' types, and decoders on bytes that nobody meant.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod decoders;
mod fixtures;
mod fuzzing;
