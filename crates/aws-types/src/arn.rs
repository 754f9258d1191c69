//! Amazon Resource Names: reading one, and writing those of the resources Ondol makes.

use std::fmt;
use std::str::FromStr;

use crate::{AccountId, ClusterName, NodegroupName, RegionName};

/// `arn:partition:service:region:account:resource`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// For example `iam`.
    pub service: String,
    /// Empty for global services.
    pub region: String,
    /// Empty for resources without an owner, such as managed policies' `aws`.
    pub account: String,
    /// Everything after the fifth colon.
    pub resource: String,
}

/// A text that is no ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ARN: six parts joined by colons, beginning with \"arn\", are needed")]
pub struct ArnError(pub String);

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [prefix, partition, service, region, account, resource] = parts[..] else {
            return Err(ArnError(text.to_owned()));
        };
        if prefix != "arn" || partition.is_empty() || service.is_empty() || resource.is_empty() {
            return Err(ArnError(text.to_owned()));
        }
        Ok(Self {
            partition: partition.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            service,
            region,
            account,
            resource,
        } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

/// The ARN of an EKS cluster.
pub fn cluster(region: &RegionName, account: &AccountId, name: &ClusterName) -> String {
    format!("arn:aws:eks:{region}:{account}:cluster/{name}")
}

/// The ARN of a managed node group; `id` is its UUID.
pub fn nodegroup(
    region: &RegionName,
    account: &AccountId,
    cluster: &ClusterName,
    name: &NodegroupName,
    id: &str,
) -> String {
    format!("arn:aws:eks:{region}:{account}:nodegroup/{cluster}/{name}/{id}")
}

/// The ARN of an add-on; `id` is its UUID.
pub fn addon(region: &RegionName, account: &AccountId, cluster: &ClusterName, name: &str, id: &str) -> String {
    format!("arn:aws:eks:{region}:{account}:addon/{cluster}/{name}/{id}")
}

/// The ARN of an IAM role without a path.
pub fn role(account: &AccountId, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

/// The ARN of an IAM user without a path.
pub fn user(account: &AccountId, name: &str) -> String {
    format!("arn:aws:iam::{account}:user/{name}")
}

#[cfg(test)]
mod tests;
