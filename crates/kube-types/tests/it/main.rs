//! The published round-trip fixtures of Kubernetes' types.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixtures;
