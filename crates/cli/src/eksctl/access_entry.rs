//! `create|get|delete accessentry`, and the entries of a file.

use std::path::Path;

use aws_types::eks::{
    AccessScope as EksScope, AssociateAccessPolicyRequest, AssociateAccessPolicyResponse, CreateAccessEntryRequest,
    CreateAccessEntryResponse, DeleteAccessEntryRequest, DeleteAccessEntryResponse, DescribeAccessEntryRequest,
    DescribeAccessEntryResponse, ListAccessEntriesRequest, ListAccessEntriesResponse,
    ListAssociatedAccessPoliciesRequest, ListAssociatedAccessPoliciesResponse,
};
use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::ClusterConfig;
use cluster_lifecycle::cluster_config::parts::{AccessEntry, AccessPolicy, AccessScope};
use serde::Serialize;

use super::config;
use super::given::Given;
use crate::aws::AwsError;
use crate::output;
use crate::session::{Done, Made, Session};

/// What eksctl shows of an entry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    #[serde(rename = "principalARN")]
    principal_arn: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kubernetes_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    access_policies: Vec<AccessPolicy>,
}

/// `create accessentry`.
pub async fn create(home: &Path, given: &Given) -> Done {
    let own = ["principal-arn", "type", "kubernetes-groups", "kubernetes-username"];
    let (config, entries) = wanted(given, &own)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    session.create_access_entries(&config.metadata.name, &entries).await
}

/// `get accessentry`.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let principals = match given.text("principal-arn") {
        Some(arn) => vec![arn],
        None => session.access_entries(cluster).await?,
    };
    let mut found = Vec::new();
    for principal in principals {
        found.push(session.access_entry_summary(cluster, principal).await?);
    }
    let header = ["PRINCIPAL ARN", "KUBERNETES GROUPS", "ACCESS POLICIES"];
    output::print(given.output()?, "accessentries", &found, header, |entry| {
        // The table counts; the other forms name.
        [
            entry.principal_arn.clone(),
            entry.kubernetes_groups.len().to_string(),
            entry.access_policies.len().to_string(),
        ]
    })
}

/// `delete accessentry`.
pub async fn delete(home: &Path, given: &Given) -> Done {
    let (config, entries) = wanted(given, &["principal-arn"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    for entry in entries {
        let principal = entry.principal_arn.unwrap_or_default();
        let request = DeleteAccessEntryRequest {
            cluster_name: Some(config.metadata.name.clone()),
            principal_arn: Some(principal.clone()),
        };
        session
            .aws
            .eks::<DeleteAccessEntryResponse>("DeleteAccessEntry", &request)
            .await?;
        session
            .progress
            .info(format!("deleted access entry for principal ARN {principal}"));
    }
    Ok(())
}

fn wanted(given: &Given, own: &[&str]) -> Made<(ClusterConfig, Vec<AccessEntry>)> {
    let (mut config, _) = config::existing(given, own)?;
    if given.config_file().is_some() {
        let entries = config.access_config.take().and_then(|access| access.access_entries);
        return Ok((config, entries.unwrap_or_default()));
    }
    let entry = AccessEntry {
        principal_arn: Some(given.required("principal-arn")?),
        r#type: given.text("type"),
        kubernetes_username: given.text("kubernetes-username"),
        kubernetes_groups: given.some_list("kubernetes-groups"),
        access_policies: None,
    };
    Ok((config, vec![entry]))
}

impl Session {
    /// Makes access entries with their policies; one that is there is completed.
    ///
    /// # Errors
    /// What EKS answers.
    pub async fn create_access_entries(&self, cluster: &str, entries: &[AccessEntry]) -> Done {
        for entry in entries {
            let principal = entry.principal_arn.clone().unwrap_or_default();
            let request = CreateAccessEntryRequest {
                cluster_name: Some(cluster.to_owned()),
                principal_arn: Some(principal.clone()),
                kubernetes_groups: entry.kubernetes_groups.clone(),
                client_request_token: Some(SystemRandom.uuid()),
                username: entry.kubernetes_username.clone(),
                r#type: entry.r#type.clone(),
                tags: None,
            };
            match self
                .aws
                .eks::<CreateAccessEntryResponse>("CreateAccessEntry", &request)
                .await
            {
                Ok(_) => self
                    .progress
                    .info(format!("created access entry for principal ARN {principal}")),
                Err(error) if error.code() == "ResourceInUse" && entry.access_policies.is_some() => self
                    .progress
                    .info(format!("access entry for principal ARN {principal} exists already")),
                Err(error) => return Err(error.into()),
            }
            for policy in entry.access_policies.iter().flatten() {
                let scope = policy.access_scope.clone().unwrap_or_default();
                let request = AssociateAccessPolicyRequest {
                    cluster_name: Some(cluster.to_owned()),
                    principal_arn: Some(principal.clone()),
                    policy_arn: policy.policy_arn.clone(),
                    access_scope: Some(EksScope {
                        r#type: scope.r#type,
                        namespaces: scope.namespaces,
                    }),
                };
                let associated = self
                    .aws
                    .eks::<AssociateAccessPolicyResponse>("AssociateAccessPolicy", &request);
                associated.await?;
            }
        }
        Ok(())
    }

    /// The principals with access entries.
    ///
    /// # Errors
    /// What EKS answers.
    pub async fn access_entries(&self, cluster: &str) -> Result<Vec<String>, AwsError> {
        let mut request = ListAccessEntriesRequest {
            cluster_name: Some(cluster.to_owned()),
            ..ListAccessEntriesRequest::default()
        };
        let mut found = Vec::new();
        loop {
            let page: ListAccessEntriesResponse = self.aws.eks("ListAccessEntries", &request).await?;
            found.extend(page.access_entries.unwrap_or_default());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(found);
            }
        }
    }

    async fn access_entry_summary(&self, cluster: &str, principal: String) -> Made<Summary> {
        let request = DescribeAccessEntryRequest {
            cluster_name: Some(cluster.to_owned()),
            principal_arn: Some(principal.clone()),
        };
        let entry: DescribeAccessEntryResponse = self.aws.eks("DescribeAccessEntry", &request).await?;
        let request = ListAssociatedAccessPoliciesRequest {
            cluster_name: Some(cluster.to_owned()),
            principal_arn: Some(principal.clone()),
            ..ListAssociatedAccessPoliciesRequest::default()
        };
        let policies: ListAssociatedAccessPoliciesResponse =
            self.aws.eks("ListAssociatedAccessPolicies", &request).await?;
        let associated = policies.associated_access_policies.unwrap_or_default();
        let policy = |one: aws_types::eks::AssociatedAccessPolicy| {
            let scope = one.access_scope.unwrap_or_default();
            AccessPolicy {
                policy_arn: one.policy_arn,
                access_scope: Some(AccessScope {
                    r#type: scope.r#type,
                    namespaces: scope.namespaces.filter(|namespaces| !namespaces.is_empty()),
                }),
            }
        };
        Ok(Summary {
            principal_arn: principal,
            kubernetes_groups: entry
                .access_entry
                .and_then(|entry| entry.kubernetes_groups)
                .unwrap_or_default(),
            access_policies: associated.into_iter().map(policy).collect(),
        })
    }
}
