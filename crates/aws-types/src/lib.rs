//! The AWS vocabulary: request and response shapes, ARNs, identifiers, instance types, prices and address limits.
//!
//! **Invariant:** no behaviour: a table or a value, nothing that decides.
#![forbid(unsafe_code)]

pub mod id;

pub use id::{
    AccountId, ClusterName, EniId, IdError, InstanceId, NodegroupName, RegionName, SubnetId, VpcId, ZoneName,
};
