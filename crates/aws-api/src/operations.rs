//! The table of operations: every row names a service, an operation of its model, and who answers it. What is not listed
//! answers as the service answers an unknown operation.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::caller::Caller;
use crate::error::ApiError;
use crate::region::Region;
use crate::{ec2, eks, sts};

/// What a handler is given besides its input.
#[derive(Clone)]
pub struct Context {
    /// The region.
    pub region: Arc<Region>,
    /// Who calls.
    pub caller: Caller,
}

/// A handler: input and answer by the model's member names.
type Run = fn(Context, Value) -> BoxFuture<'static, Result<Value, ApiError>>;

/// An operation that is served.
pub struct Row {
    /// The service's signing name.
    pub service: &'static str,
    /// The operation's name in the model.
    pub name: &'static str,
    /// Who answers.
    pub run: Run,
}

/// A typed handler as a row: the input is read into its request type and the answer written from its own.
macro_rules! row {
    ($service:literal, $name:literal, $handler:path) => {
        Row {
            service: $service,
            name: $name,
            run: |context, input| {
                Box::pin(async move {
                    let request = serde_json::from_value(input).map_err(ApiError::internal)?;
                    let answer = $handler(context, request).await?;
                    serde_json::to_value(answer).map_err(ApiError::internal)
                })
            },
        }
    };
}

/// Every operation that is served.
pub const OPERATIONS: &[Row] = &[
    row!("sts", "GetCallerIdentity", sts::get_caller_identity),
    row!("eks", "CreateCluster", eks::cluster::create),
    row!("eks", "DescribeCluster", eks::cluster::describe),
    row!("eks", "ListClusters", eks::cluster::list),
    row!("eks", "DeleteCluster", eks::cluster::delete),
    row!("eks", "CreateNodegroup", eks::nodegroup::create),
    row!("eks", "DescribeNodegroup", eks::nodegroup::describe),
    row!("eks", "ListNodegroups", eks::nodegroup::list),
    row!("eks", "UpdateNodegroupConfig", eks::nodegroup_config::update),
    row!("eks", "DeleteNodegroup", eks::nodegroup::delete),
    row!("eks", "DescribeUpdate", eks::update::describe),
    row!("eks", "ListUpdates", eks::update::list),
    row!("eks", "DescribeClusterVersions", eks::version::describe),
    row!("eks", "TagResource", eks::tag::add),
    row!("eks", "UntagResource", eks::tag::remove),
    row!("eks", "ListTagsForResource", eks::tag::list),
    row!("ec2", "CreateVpc", ec2::vpc::create),
    row!("ec2", "DescribeVpcs", ec2::vpc::describe),
    row!("ec2", "DeleteVpc", ec2::vpc::delete),
    row!("ec2", "CreateSubnet", ec2::subnet::create),
    row!("ec2", "DescribeSubnets", ec2::subnet::describe),
    row!("ec2", "DeleteSubnet", ec2::subnet::delete),
    row!("ec2", "DescribeRegions", ec2::fact::regions),
    row!("ec2", "DescribeAvailabilityZones", ec2::fact::availability_zones),
    row!("ec2", "DescribeInstanceTypes", ec2::fact::instance_types),
];

/// The row of an operation.
pub fn find(service: &str, name: &str) -> Option<&'static Row> {
    OPERATIONS.iter().find(|row| row.service == service && row.name == name)
}

#[cfg(test)]
mod tests;
