//! Rows of the services about the account: what was called, what it costs, what is allowed, what has tags, certificates.

use super::Row;
use crate::{acm, cloudtrail, pricing, quotas, tagging};

/// Every operation of them that is served.
pub const ROWS: &[Row] = &[
    row!("cloudtrail", "LookupEvents", cloudtrail::lookup),
    row!("cloudtrail", "DescribeTrails", cloudtrail::describe),
    row!("cloudtrail", "ListTrails", cloudtrail::list),
    row!("acm", "RequestCertificate", acm::request),
    row!("acm", "DescribeCertificate", acm::describe),
    row!("acm", "ListCertificates", acm::list),
    row!("acm", "DeleteCertificate", acm::delete),
    row!("acm", "AddTagsToCertificate", acm::tag),
    row!("acm", "RemoveTagsFromCertificate", acm::untag),
    row!("acm", "ListTagsForCertificate", acm::list_tags),
    row!("pricing", "GetProducts", pricing::products),
    row!("pricing", "DescribeServices", pricing::services),
    row!("pricing", "GetAttributeValues", pricing::values),
    row!("service-quotas", "ListServices", quotas::services),
    row!("service-quotas", "ListServiceQuotas", quotas::list),
    row!("service-quotas", "ListAWSDefaultServiceQuotas", quotas::list_defaults),
    row!("service-quotas", "GetServiceQuota", quotas::get),
    row!("service-quotas", "GetAWSDefaultServiceQuota", quotas::get_default),
    row!("service-quotas", "RequestServiceQuotaIncrease", quotas::request),
    row!("resourcegroupstaggingapi", "GetResources", tagging::resources),
    row!("resourcegroupstaggingapi", "GetTagKeys", tagging::keys),
    row!("resourcegroupstaggingapi", "GetTagValues", tagging::values),
    row!("resourcegroupstaggingapi", "TagResources", tagging::tag),
    row!("resourcegroupstaggingapi", "UntagResources", tagging::untag),
];
