//! The Kubernetes versions that clusters may have.

use aws_types::eks::{ClusterVersionInformation, DescribeClusterVersionsRequest, DescribeClusterVersionsResponse};
use aws_types::eks_version::{self, EksVersion, VERSIONS};
use aws_types::time::Time;
use jiff::Timestamp;

use crate::error::ApiError;
use crate::operations::Context;
use crate::page;

/// `DescribeClusterVersions`: newest first, as EKS lists them.
pub async fn describe(
    context: Context,
    request: DescribeClusterVersionsRequest,
) -> Result<DescribeClusterVersionsResponse, ApiError> {
    let now = context.region.clock.now();
    let wanted = request.cluster_versions.unwrap_or_default();
    let fits = |version: &&EksVersion| {
        let support = support(version, now);
        (wanted.is_empty() || wanted.iter().any(|minor| minor == version.minor))
            // eksctl sends an empty type.
            && request.cluster_type.as_deref().is_none_or(|kind| matches!(kind, "eks" | ""))
            && (request.default_only != Some(true) || *version == eks_version::default_version())
            && request
                .version_status
                .as_deref()
                .is_none_or(|status| status == support.upper())
            && request.status.as_deref().is_none_or(|status| status == support.lower())
    };
    let names = VERSIONS
        .iter()
        .filter(fits)
        .map(|version| version.minor.to_owned())
        .collect();
    let (names, next_token) = page::names(names, request.max_results, request.next_token.as_deref())?;
    let versions = names
        .iter()
        .rev()
        .filter_map(|minor| eks_version::find(minor))
        .map(|version| information(version, now));
    Ok(DescribeClusterVersionsResponse {
        next_token,
        cluster_versions: Some(versions.collect()),
    })
}

#[derive(Clone, Copy)]
enum Support {
    Standard,
    Extended,
}

impl Support {
    fn upper(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD_SUPPORT",
            Self::Extended => "EXTENDED_SUPPORT",
        }
    }

    fn lower(self) -> &'static str {
        match self {
            Self::Standard => "standard-support",
            Self::Extended => "extended-support",
        }
    }
}

/// Where a version is in its life. One whose life has ended on AWS is still served here, as if in extended support: it
/// would be useless to offer a version and call it unsupported.
fn support(version: &EksVersion, now: Timestamp) -> Support {
    match version.lifecycle() {
        Some(life) if now >= life.standard_support_ends => Support::Extended,
        _ => Support::Standard,
    }
}

fn information(version: &EksVersion, now: Timestamp) -> ClusterVersionInformation {
    let life = version.lifecycle();
    let support = support(version, now);
    ClusterVersionInformation {
        cluster_version: Some(version.minor.to_owned()),
        cluster_type: Some("eks".to_owned()),
        default_platform_version: Some(version.platform.to_owned()),
        default_version: Some(version == eks_version::default_version()),
        release_date: life.map(|life| Time(life.released)),
        end_of_standard_support_date: life.map(|life| Time(life.standard_support_ends)),
        end_of_extended_support_date: life.map(|life| Time(life.extended_support_ends)),
        status: Some(support.lower().to_owned()),
        version_status: Some(support.upper().to_owned()),
        kubernetes_patch_version: Some(version.patch.to_owned()),
    }
}
