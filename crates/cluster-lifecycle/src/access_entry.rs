//! Access entries: which Kubernetes user an IAM principal is, and which access policies it has.

use std::collections::BTreeMap;

use aws_types::ClusterName;
use aws_types::arn::Arn;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// An access entry as the region remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessEntry {
    /// The cluster.
    pub cluster: ClusterName,
    /// The principal.
    pub principal_arn: String,
    /// Its own ARN.
    pub arn: String,
    /// `STANDARD`, `EC2_LINUX` and others.
    pub kind: String,
    /// The user, maybe with `{{SessionName}}`.
    pub username: String,
    /// Groups of the caller's choice.
    pub groups: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub modified_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Access policies by ARN.
    pub policies: BTreeMap<String, Association>,
    /// The caller's idempotency token.
    pub client_request_token: Option<String>,
}

/// An access policy of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// Where it holds.
    pub scope: Scope,
    /// When it was associated.
    pub associated_at: Timestamp,
    /// When its scope last changed.
    pub modified_at: Timestamp,
}

/// Where an access policy holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Everywhere.
    Cluster,
    /// In these namespaces; `*` stands for any letters.
    Namespaces(Vec<String>),
}

/// Types of entries, the groups that they imply, and the user that they name when the caller does not.
const KINDS: &[(&str, &[&str], &str)] = &[
    ("STANDARD", &[], ""),
    ("EC2_LINUX", &["system:nodes"], "system:node:{{EC2PrivateDNSName}}"),
    (
        "EC2_WINDOWS",
        &["system:nodes", "eks:kube-proxy-windows"],
        "system:node:{{EC2PrivateDNSName}}",
    ),
    (
        "FARGATE_LINUX",
        &["system:nodes", "system:bootstrappers", "system:node-proxier"],
        "system:node:{{SessionName}}",
    ),
    ("HYBRID_LINUX", &["system:nodes"], "system:node:{{SessionName}}"),
    ("EC2", &["system:nodes"], "system:node:{{EC2PrivateDNSName}}"),
    ("HYPERPOD_LINUX", &["system:nodes"], "system:node:{{SessionName}}"),
];

/// Prefixes that belong to Kubernetes and AWS.
const RESERVED: &[&str] = &["system:", "eks:", "aws:", "amazon:", "iam:"];

/// The access policies that exist.
pub const POLICIES: &[&str] = &[
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSAutoNodePolicy",
    "AmazonEKSBlockStorageClusterPolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSClusterInsightsPolicy",
    "AmazonEKSComputeClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSHybridPolicy",
    "AmazonEKSLoadBalancingClusterPolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingClusterPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSViewPolicy",
];

/// The ARN of an access policy.
#[must_use]
pub fn policy_arn(name: &str) -> String {
    format!("arn:aws:eks::aws:cluster-access-policy/{name}")
}

/// The name in an access policy's ARN, if there is such a policy.
#[must_use]
pub fn policy_name(arn: &str) -> Option<&str> {
    let name = arn.strip_prefix("arn:aws:eks::aws:cluster-access-policy/")?;
    POLICIES.contains(&name).then_some(name)
}

/// What a caller may choose of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The user.
    pub username: Option<String>,
    /// Groups.
    pub groups: Option<Vec<String>>,
}

/// Type, user and groups of a new entry after EKS's checks.
///
/// # Errors
/// EKS's sentences for what cannot be.
pub fn identity(principal: &str, kind: Option<&str>, choice: Choice) -> Result<(String, String, Vec<String>), Refusal> {
    let refuse = |message: String| Err(Refusal::invalid_parameter(message));
    let arn: Arn = match principal.parse::<Arn>() {
        Ok(arn)
            if matches!(&*arn.service, "iam")
                && (arn.resource.starts_with("role/") || arn.resource.starts_with("user/")) =>
        {
            arn
        }
        _ => return refuse("The specified principalArn is invalid: invalid principal.".to_owned()),
    };
    if arn.resource.starts_with("role/aws-service-role/") {
        return refuse(
            "The caller is not allowed to modify access entries with a principalArn value of a Service Linked Role"
                .to_owned(),
        );
    }
    let kind = kind.unwrap_or("STANDARD");
    let Some((_, _, default)) = KINDS.iter().find(|(known, ..)| *known == kind) else {
        return refuse(format!("The specified type is invalid: {kind}"));
    };
    if kind != "STANDARD"
        && (choice.username.is_some() || choice.groups.as_ref().is_some_and(|groups| !groups.is_empty()))
    {
        return Err(Refusal::invalid_request(format!(
            "The access entry type {kind} does not support a username or kubernetesGroups"
        )));
    }
    let groups = choice.groups.unwrap_or_default();
    check_groups(&groups)?;
    let username = match choice.username {
        Some(name) => {
            check_username(&name)?;
            name
        }
        None if kind == "STANDARD" => default_username(&arn),
        None => (*default).to_owned(),
    };
    Ok((kind.to_owned(), username, groups))
}

/// Refuses users that belong to others.
///
/// # Errors
/// EKS's sentences.
pub fn check_username(name: &str) -> Result<(), Refusal> {
    let reserved = RESERVED.iter().find(|prefix| name.starts_with(**prefix));
    if let Some(prefix) = reserved {
        return Err(Refusal::invalid_parameter(format!(
            "The username '{name}' is invalid: it must not begin with '{prefix}'"
        )));
    }
    match name.find("{{SessionName}}") {
        Some(at) if !name[..at].contains(':') => Err(Refusal::invalid_parameter(
            "The username must contain a colon before {{SessionName}}",
        )),
        _ => Ok(()),
    }
}

/// Refuses groups that belong to others.
///
/// # Errors
/// EKS's sentences.
pub fn check_groups(groups: &[String]) -> Result<(), Refusal> {
    let reserved = groups
        .iter()
        .find(|group| RESERVED.iter().any(|prefix| group.starts_with(prefix)));
    match reserved {
        Some(group) => Err(Refusal::invalid_parameter(format!(
            "The kubernetes group name {group} is invalid, it cannot start with {}",
            RESERVED.join(", ")
        ))),
        None => Ok(()),
    }
}

/// A user is its ARN; a role's session is known by the role without its path.
fn default_username(principal: &Arn) -> String {
    match principal.resource.strip_prefix("role/") {
        Some(path) => {
            let name = path.rsplit('/').next().unwrap_or_default();
            format!(
                "arn:aws:sts::{}:assumed-role/{name}/{{{{SessionName}}}}",
                principal.account
            )
        }
        None => principal.to_string(),
    }
}

impl AccessEntry {
    /// Every group: the caller's and those that the type implies.
    pub fn all_groups(&self) -> Vec<String> {
        let implied = KINDS
            .iter()
            .find(|(kind, ..)| *kind == self.kind)
            .map(|(_, groups, _)| *groups);
        let implied = implied.unwrap_or_default().iter().map(|group| (*group).to_owned());
        self.groups.iter().cloned().chain(implied).collect()
    }
}

/// Whether a cluster may change from one authentication mode to another: only towards the API, and never back.
///
/// # Errors
/// EKS's sentence.
pub fn mode_change(from: &str, to: &str) -> Result<(), Refusal> {
    let order = ["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"];
    let place = |mode: &str| order.iter().position(|known| *known == mode);
    match (place(from), place(to)) {
        (Some(from), Some(to)) if to == from + 1 => Ok(()),
        (Some(before), Some(after)) if after == before => Err(Refusal::invalid_parameter(format!(
            "The cluster is already at the desired authentication mode {to}"
        ))),
        _ => Err(Refusal::invalid_parameter(format!(
            "Unsupported authentication mode update from {from} to {to}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_become_users_as_eks_names_them() {
        let role = "arn:aws:iam::111122223333:role/team/ops";
        for (principal, kind, username, wanted) in [
            (
                role,
                None,
                None,
                Ok("arn:aws:sts::111122223333:assumed-role/ops/{{SessionName}}"),
            ),
            (
                "arn:aws:iam::111122223333:user/kim",
                None,
                None,
                Ok("arn:aws:iam::111122223333:user/kim"),
            ),
            (role, Some("EC2_LINUX"), None, Ok("system:node:{{EC2PrivateDNSName}}")),
            (role, None, Some("ops:{{SessionName}}"), Ok("ops:{{SessionName}}")),
            (role, None, Some("{{SessionName}}"), Err(())),
            (role, None, Some("system:admin"), Err(())),
            (role, Some("EC2_LINUX"), Some("x"), Err(())),
            (role, Some("NONE"), None, Err(())),
            (
                "arn:aws:iam::111122223333:role/aws-service-role/eks.amazonaws.com/x",
                None,
                None,
                Err(()),
            ),
            ("kim", None, None, Err(())),
        ] {
            let choice = Choice {
                username: username.map(str::to_owned),
                groups: None,
            };
            let found = identity(principal, kind, choice).map(|(_, name, _)| name).map_err(drop);
            assert_eq!(found.as_deref().ok(), wanted.ok(), "{principal} {kind:?} {username:?}");
        }
        let groups = Choice {
            groups: Some(vec!["system:masters".to_owned()]),
            ..Choice::default()
        };
        assert!(identity(role, None, groups).is_err());
    }

    #[test]
    fn modes_change_towards_the_api_only() {
        for (from, to, allowed) in [
            ("CONFIG_MAP", "API_AND_CONFIG_MAP", true),
            ("API_AND_CONFIG_MAP", "API", true),
            ("CONFIG_MAP", "API", false),
            ("API", "API_AND_CONFIG_MAP", false),
            ("API", "API", false),
        ] {
            assert_eq!(mode_change(from, to).is_ok(), allowed, "{from} to {to}");
        }
    }
}
