//! Rows of EKS.

use super::Row;
use crate::eks;

/// Every operation of EKS that is served.
pub const ROWS: &[Row] = &[
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
];
