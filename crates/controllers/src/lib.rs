//! Every controller: object and world in, plan out. One file per controller.
//!
//! **Invariant:** nothing here is async, reads a clock or touches a store.
#![forbid(unsafe_code)]

pub mod certificate_approval;
mod certificate_cleaning;
mod certificate_signing;
mod claim;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoint_slice;
mod endpoint_slice_mirroring;
mod endpoints;
pub mod garbage;
mod job;
mod load_balancer;
pub mod namespace;
mod node_lifecycle;
mod pod;
mod pod_garbage;
pub mod quota;
mod replica_set;
mod replication_controller;
mod revision;
mod root_ca;
mod selected;
mod service_account;
mod stateful_set;
mod storage_protection;
mod taint_eviction;
mod template;

pub use certificate_cleaning::CertificateCleaning;
pub use certificate_signing::CertificateSigning;
pub use cron_job::{CronJobs, Schedule};
pub use daemon_set::DaemonSets;
pub use deployment::Deployments;
pub use disruption::DisruptionBudgets;
pub use endpoint_slice::EndpointSlices;
pub use endpoint_slice_mirroring::EndpointSliceMirroring;
pub use endpoints::EndpointsObjects;
pub use job::Jobs;
pub use load_balancer::{LoadBalancers, wants_balancer};
pub use node_lifecycle::NodeLifecycle;
pub use pod_garbage::PodGarbage;
pub use replica_set::ReplicaSets;
pub use replication_controller::ReplicationControllers;
pub use root_ca::RootCertificates;
pub use service_account::ServiceAccounts;
pub use stateful_set::StatefulSets;
pub use storage_protection::{ClaimProtection, VolumeProtection};
pub use taint_eviction::TaintEviction;

pub mod autoscaler;

#[cfg(test)]
mod simulation;
