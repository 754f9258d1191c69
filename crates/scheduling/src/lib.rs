//! Which node for this pod: filter and score plugins over a snapshot.
//!
//! **Invariant:** deciding changes nothing; the same snapshot and pod always give the same answer.
#![forbid(unsafe_code)]

pub mod taints;
