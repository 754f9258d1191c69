//! `get addon`.

use std::path::Path;

use aws_types::eks::{
    Addon as EksAddon, DescribeAddonVersionsRequest, DescribePodIdentityAssociationRequest,
    DescribePodIdentityAssociationResponse,
};
use cluster_lifecycle::cluster_config::parts::AddonNamespaceConfig;
use serde::Serialize;

use super::super::config;
use super::super::given::Given;
use crate::arguments::Output;
use crate::output;
use crate::session::{CommandError, Done, Made, Session};

/// What eksctl shows of an add-on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    name: String,
    version: String,
    newer_version: String,
    #[serde(rename = "IAMRole")]
    iam_role: String,
    status: String,
    configuration_values: String,
    namespace_config: Option<AddonNamespaceConfig>,
    issues: Option<Vec<IssueSummary>>,
    pod_identity_associations: Option<Vec<AssociationSummary>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct IssueSummary {
    code: String,
    message: String,
    #[serde(rename = "ResourceIDs")]
    resource_ids: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssociationSummary {
    #[serde(rename = "AssociationID")]
    association_id: String,
    namespace: String,
    service_account: String,
    #[serde(rename = "RoleARN")]
    role_arn: String,
}

/// `get addon`.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let kubernetes = session.existing_cluster(cluster).await?.version;
    let names = match given.name("name")? {
        Some(name) => vec![name],
        None => session.addons(cluster).await?,
    };
    let mut found = Vec::new();
    for name in &names {
        let addon = session.addon(cluster, name).await?;
        let addon =
            addon.ok_or_else(|| CommandError::Usage(format!("No addon: {name} found in cluster: {cluster}")))?;
        found.push(session.addon_summary(cluster, addon, kubernetes.clone()).await?);
    }
    let header = [
        "NAME",
        "VERSION",
        "STATUS",
        "ISSUES",
        "IAMROLE",
        "UPDATE AVAILABLE",
        "CONFIGURATION VALUES",
        "NAMESPACE",
        "POD IDENTITY ASSOCIATION ROLES",
    ];
    let form = given.output()?;
    output::print(form, "addons", &found, header, row)?;
    if form == Output::Table && names.len() == 1 && given.name("name")?.is_some() {
        for issue in found.iter().flat_map(|addon| addon.issues.iter().flatten()) {
            let ids = issue.resource_ids.join(" ");
            println!(
                "Issue: {{Code:{} Message:{} ResourceIDs:[{ids}]}}",
                issue.code, issue.message
            );
        }
    }
    Ok(())
}

fn row(addon: &Summary) -> [String; 9] {
    let namespace = addon
        .namespace_config
        .as_ref()
        .and_then(|config| config.namespace.clone());
    let roles: Vec<String> = addon
        .pod_identity_associations
        .iter()
        .flatten()
        .map(|association| association.role_arn.clone())
        .collect();
    [
        addon.name.clone(),
        addon.version.clone(),
        addon.status.clone(),
        addon.issues.as_ref().map_or(0, Vec::len).to_string(),
        addon.iam_role.clone(),
        addon.newer_version.clone(),
        addon.configuration_values.clone(),
        namespace.unwrap_or_else(|| "-".to_owned()),
        roles.join(","),
    ]
}

impl Session {
    async fn addon_summary(&self, cluster: &str, addon: EksAddon, kubernetes: Option<String>) -> Made<Summary> {
        let mut associations = Vec::new();
        for arn in addon.pod_identity_associations.iter().flatten() {
            let request = DescribePodIdentityAssociationRequest {
                cluster_name: Some(cluster.to_owned()),
                association_id: arn.rsplit('/').next().map(str::to_owned),
            };
            let answer: DescribePodIdentityAssociationResponse =
                self.aws.eks("DescribePodIdentityAssociation", &request).await?;
            let association = answer.association.unwrap_or_default();
            associations.push(AssociationSummary {
                association_id: association.association_id.unwrap_or_default(),
                namespace: association.namespace.unwrap_or_default(),
                service_account: association.service_account.unwrap_or_default(),
                role_arn: association.role_arn.unwrap_or_default(),
            });
        }
        let version = addon.addon_version.unwrap_or_default();
        let request = DescribeAddonVersionsRequest {
            kubernetes_version: kubernetes,
            addon_name: addon.addon_name.clone(),
            ..DescribeAddonVersionsRequest::default()
        };
        let offered = self.addon_versions(&request).await?;
        let mut newer: Vec<String> = offered
            .into_iter()
            .flat_map(|info| info.addon_versions.unwrap_or_default())
            .filter_map(|info| info.addon_version)
            .filter(|other| numbers(other) > numbers(&version))
            .collect();
        newer.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
        let issues = addon.health.and_then(|health| health.issues).unwrap_or_default();
        let issues: Vec<IssueSummary> = issues
            .into_iter()
            .map(|issue| IssueSummary {
                code: issue.code.unwrap_or_default(),
                message: issue.message.unwrap_or_default(),
                resource_ids: issue.resource_ids.unwrap_or_default(),
            })
            .collect();
        let namespace = addon.namespace_config.and_then(|config| config.namespace);
        Ok(Summary {
            name: addon.addon_name.unwrap_or_default(),
            version,
            newer_version: newer.join(","),
            iam_role: addon.service_account_role_arn.unwrap_or_default(),
            status: addon.status.unwrap_or_default(),
            configuration_values: addon.configuration_values.unwrap_or_default(),
            namespace_config: namespace.map(|namespace| AddonNamespaceConfig {
                namespace: Some(namespace),
            }),
            issues: Some(issues).filter(|issues| !issues.is_empty()),
            pod_identity_associations: Some(associations).filter(|associations| !associations.is_empty()),
        })
    }
}

/// The numbers of a version, `v1.18.1-eksbuild.3`, by which versions are ordered.
pub fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split(|letter: char| !letter.is_ascii_digit());
    parts.filter_map(|part| part.parse().ok()).collect()
}
