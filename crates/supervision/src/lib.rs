//! Named tasks: start, restart, drain, error-chain logging, metrics.
//!
//! **Invariant:** the only crate that spawns a task.
#![forbid(unsafe_code)]
