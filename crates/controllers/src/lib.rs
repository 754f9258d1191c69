//! Every controller: object and world in, plan out. One file per controller.
//!
//! **Invariant:** nothing here is async, reads a clock or touches a store.
#![forbid(unsafe_code)]

mod claim;
mod deployment;
mod pod;
mod replica_set;

pub use deployment::Deployments;
pub use replica_set::ReplicaSets;

#[cfg(test)]
mod simulation;
