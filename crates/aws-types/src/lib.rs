//! The AWS vocabulary: request and response shapes, ARNs, identifiers, instance types, prices and address limits.
//!
//! **Invariant:** no behaviour: a table or a value, nothing that decides.
#![forbid(unsafe_code)]

pub mod arn;
pub mod ec2;
pub mod eks;
pub mod eks_version;
pub mod id;
pub mod image;
pub mod instance_type;
pub mod price;
pub mod region;
pub mod region_files;
pub mod shapes;
pub mod status;
pub mod time;

pub use id::{
    AccountId, ClusterName, EniId, IdError, InstanceId, NodegroupName, RegionName, SubnetId, VpcId, ZoneName,
};
