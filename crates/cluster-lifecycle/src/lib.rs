//! The EKS state machines: cluster, node group, add-on, update; and the ClusterConfig file.
//!
//! **Invariant:** a state changes only through `step`.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod cluster_config;
pub mod nodegroup;
pub mod refusal;
pub mod request;
pub mod system_pods;
pub mod update;

pub use refusal::Refusal;
