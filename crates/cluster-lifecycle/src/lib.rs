//! The EKS state machines: cluster, node group, add-on, update; and the ClusterConfig file.
//!
//! **Invariant:** a state changes only through `step`.
#![forbid(unsafe_code)]

pub mod system_pods;
