//! Rows of ECR.

use super::Row;
use crate::ecr;

/// Every operation of it that is served.
pub const ROWS: &[Row] = &[
    row!("ecr", "CreateRepository", ecr::create),
    row!("ecr", "DescribeRepositories", ecr::describe),
    row!("ecr", "DeleteRepository", ecr::delete),
    row!("ecr", "GetAuthorizationToken", ecr::token),
    row!("ecr", "PutImage", ecr::put_image),
    row!("ecr", "ListImages", ecr::list_images),
    row!("ecr", "DescribeImages", ecr::describe_images),
    row!("ecr", "BatchGetImage", ecr::get_images),
    row!("ecr", "BatchDeleteImage", ecr::delete_images),
    row!("ecr", "SetRepositoryPolicy", ecr::put_policy),
    row!("ecr", "GetRepositoryPolicy", ecr::policy),
    row!("ecr", "DeleteRepositoryPolicy", ecr::delete_policy),
    row!("ecr", "PutLifecyclePolicy", ecr::put_lifecycle),
    row!("ecr", "GetLifecyclePolicy", ecr::lifecycle),
    row!("ecr", "DeleteLifecyclePolicy", ecr::delete_lifecycle),
    row!("ecr", "PutImageTagMutability", ecr::set_mutability),
    row!("ecr", "PutImageScanningConfiguration", ecr::set_scanning),
    row!("ecr", "DescribeRegistry", ecr::registry),
    row!("ecr", "TagResource", ecr::tag),
    row!("ecr", "UntagResource", ecr::untag),
    row!("ecr", "ListTagsForResource", ecr::list_tags),
];
