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
    row!("eks", "CreateAccessEntry", eks::access_entry::create),
    row!("eks", "DescribeAccessEntry", eks::access_entry::describe),
    row!("eks", "ListAccessEntries", eks::access_entry::list),
    row!("eks", "UpdateAccessEntry", eks::access_entry::update),
    row!("eks", "DeleteAccessEntry", eks::access_entry::delete),
    row!("eks", "AssociateAccessPolicy", eks::access_entry::associate),
    row!("eks", "DisassociateAccessPolicy", eks::access_entry::disassociate),
    row!("eks", "ListAssociatedAccessPolicies", eks::access_entry::associated),
    row!("eks", "ListAccessPolicies", eks::access_entry::policies),
    row!("eks", "CreateAddon", eks::addon::create),
    row!("eks", "DescribeAddon", eks::addon::describe),
    row!("eks", "ListAddons", eks::addon::list),
    row!("eks", "UpdateAddon", eks::addon::update),
    row!("eks", "DeleteAddon", eks::addon::delete),
    row!("eks", "DescribeAddonVersions", eks::addon::versions),
    row!("eks", "DescribeAddonConfiguration", eks::addon::configuration),
    row!("eks", "CreatePodIdentityAssociation", eks::pod_identity::create),
    row!("eks", "DescribePodIdentityAssociation", eks::pod_identity::describe),
    row!("eks", "ListPodIdentityAssociations", eks::pod_identity::list),
    row!("eks", "UpdatePodIdentityAssociation", eks::pod_identity::update),
    row!("eks", "DeletePodIdentityAssociation", eks::pod_identity::delete),
    row!("eks", "CreateFargateProfile", eks::fargate::create),
    row!("eks", "DescribeFargateProfile", eks::fargate::describe),
    row!("eks", "ListFargateProfiles", eks::fargate::list),
    row!("eks", "DeleteFargateProfile", eks::fargate::delete),
    row!("eks", "UpdateClusterVersion", eks::cluster_update::version),
    row!("eks", "UpdateClusterConfig", eks::cluster_update::config),
    row!("eks", "CancelUpdate", eks::cluster_update::cancel),
    row!("eks", "AssociateEncryptionConfig", eks::encryption::associate),
    row!("eks", "UpdateNodegroupVersion", eks::nodegroup_version::update),
    row!("eks", "ListInsights", eks::insight::list),
    row!("eks", "DescribeInsight", eks::insight::describe),
    row!("eks", "StartInsightsRefresh", eks::insight::refresh),
    row!("eks", "DescribeInsightsRefresh", eks::insight::refreshed),
    row!(
        "eks",
        "AssociateIdentityProviderConfig",
        eks::identity_provider::associate
    ),
    row!("eks", "ListIdentityProviderConfigs", eks::identity_provider::list),
    row!(
        "eks",
        "DescribeIdentityProviderConfig",
        eks::identity_provider::describe
    ),
    row!(
        "eks",
        "DisassociateIdentityProviderConfig",
        eks::identity_provider::disassociate
    ),
    row!("eks-auth", "AssumeRoleForPodIdentity", eks::pod_identity::assume_role),
];
