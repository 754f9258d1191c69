//! The EKS state machines: cluster, node group, add-on, update; and the ClusterConfig file.
//!
//! **Invariant:** a state changes only through `step`.
#![forbid(unsafe_code)]

pub mod access_entry;
pub mod addon;
pub mod aws_auth;
pub mod cluster;
pub mod cluster_config;
pub mod fargate;
pub mod identity_provider;
pub mod nodegroup;
pub mod pod_identity;
pub mod refusal;
pub mod request;
pub mod system_pods;
pub mod update;
pub mod user_data;

pub use refusal::Refusal;
