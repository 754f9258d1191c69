//! The AWS face: signatures, wire protocols, the table of operations.
//!
//! **Invariant:** an operation that is not in the table answers as AWS does for an unknown one.
#![forbid(unsafe_code)]

mod access;
mod accounts;
mod acm;
mod allocation;
mod authorization;
mod autoscaling;
mod caller;
mod catalogue;
mod cloudformation;
mod cloudtrail;
mod codec;
mod control;
mod control_plane_logs;
pub mod credentials;
mod driver;
mod ec2;
mod ecr;
mod eks;
mod elb;
pub mod endpoint;
mod error;
mod events;
mod fleet;
pub mod host;
mod iam;
mod issuer;
mod kms;
mod ledger;
mod logs;
mod members;
pub mod metadata;
mod network;
mod operations;
mod page;
mod partition;
mod pricing;
mod quotas;
mod region;
mod s3;
mod security;
mod server;
mod sqs;
mod ssm;
mod sts;
mod tagging;
mod throttle;

pub use caller::TokenError;
pub use control_plane_logs::LogKind;
pub use host::ClusterHost;
pub use kms::KeyError;
pub use ledger::LedgerError;
pub use partition::Partition;
pub use region::{Options, Region};

/// Every operation that is served, as signing name of its service and name.
pub fn served_operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    operations::all().map(|row| (row.service, row.name))
}
