//! The binary: read configuration, wire, run, drain.
//!
//! **Invariant:** no logic: what can be tested lives in a crate below.
#![forbid(unsafe_code)]

fn main() {}
