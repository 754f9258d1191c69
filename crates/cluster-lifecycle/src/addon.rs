//! Add-ons: which there are, in which versions, and the life of one in a cluster.

use std::collections::BTreeMap;

use aws_types::{ClusterName, eks_version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Refusal;
use crate::cluster::Issue;

/// An add-on that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// Its name.
    pub name: &'static str,
    /// EKS's type of it.
    pub kind: &'static str,
    /// Whether AWS's own needs permissions, for which eksctl makes a role.
    pub needs_permissions: bool,
    /// The account that guides give it.
    pub service_account: &'static str,
    /// AWS's policy for that account.
    pub policy: &'static str,
    /// Versions for minors 1.28 to 1.36, oldest first; the last is the default. Where AWS's own follow Kubernetes
    /// (kube-proxy), `{patch}` stands for the cluster's.
    versions: &'static [&'static str],
    /// The schema of its configuration.
    pub schema: &'static str,
}

const NO_VALUES: &str = r#"{"$schema":"http://json-schema.org/draft-06/schema#","type":"object","additionalProperties":false,"properties":{}}"#;

/// Every add-on that is offered. Others of AWS's have no counterpart here and are not listed.
pub const OFFERED: &[Offered] = &[
    Offered {
        name: "vpc-cni",
        kind: "networking",
        needs_permissions: true,
        service_account: "aws-node",
        policy: "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy",
        versions: &["v1.19.6-eksbuild.7", "v1.20.4-eksbuild.1"],
        schema: r#"{"$schema":"http://json-schema.org/draft-06/schema#","type":"object","additionalProperties":false,"properties":{"env":{"type":"object","additionalProperties":{"type":"string"}}}}"#,
    },
    Offered {
        name: "coredns",
        kind: "networking",
        needs_permissions: false,
        service_account: "coredns",
        policy: "",
        versions: &["v1.11.4-eksbuild.24", "v1.12.4-eksbuild.1"],
        schema: r#"{"$schema":"http://json-schema.org/draft-06/schema#","type":"object","additionalProperties":false,"properties":{"replicaCount":{"type":"integer","minimum":1}}}"#,
    },
    Offered {
        name: "kube-proxy",
        kind: "networking",
        needs_permissions: false,
        service_account: "kube-proxy",
        policy: "",
        versions: &["v{patch}-eksbuild.2"],
        schema: NO_VALUES,
    },
    Offered {
        name: "metrics-server",
        kind: "observability",
        needs_permissions: false,
        service_account: "metrics-server",
        policy: "",
        versions: &["v0.8.0-eksbuild.2"],
        schema: NO_VALUES,
    },
    // Without objects: the VPC itself answers at the agent's address, for clusters that have the add-on.
    Offered {
        name: "eks-pod-identity-agent",
        kind: "security",
        needs_permissions: false,
        service_account: "eks-pod-identity-agent",
        policy: "",
        versions: &["v1.3.8-eksbuild.2", "v1.3.9-eksbuild.3"],
        schema: NO_VALUES,
    },
];

/// The add-on of that name.
#[must_use]
pub fn offered(name: &str) -> Option<&'static Offered> {
    OFFERED.iter().find(|known| known.name == name)
}

impl Offered {
    /// Its versions for a minor of Kubernetes, oldest first; the last is the default.
    #[must_use]
    pub fn versions(&self, minor: &str) -> Vec<String> {
        let Some(known) = eks_version::find(minor) else {
            return Vec::new();
        };
        self.versions
            .iter()
            .map(|version| version.replace("{patch}", known.patch))
            .collect()
    }

    /// The version that a request means: a version, or the default.
    ///
    /// # Errors
    /// When it is not offered for the cluster's version.
    pub fn version(&self, wanted: Option<&str>, minor: &str) -> Result<String, Refusal> {
        let versions = self.versions(minor);
        let found = match wanted {
            None => versions.last(),
            Some(wanted) => versions.iter().find(|version| *version == wanted),
        };
        found.cloned().ok_or_else(|| {
            let message = format!(
                "Addon version specified is not supported: {} {}",
                self.name,
                wanted.unwrap_or_default()
            );
            Refusal::invalid_parameter(message).of_addon(self.name)
        })
    }
}

/// What a caller may configure, as far as it has an effect here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Values {
    /// coredns: how many pods.
    #[serde(default)]
    pub replica_count: Option<i32>,
    /// vpc-cni: environment of its container.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// Reads configuration values, JSON or YAML.
///
/// # Errors
/// EKS's sentence for values that the schema does not allow.
pub fn values(addon: &Offered, text: Option<&str>) -> Result<Values, Refusal> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(Values::default());
    };
    let refuse = |why: String| {
        let message = format!("ConfigurationValue provided in request is not supported: {why}");
        Refusal::invalid_parameter(message).of_addon(addon.name)
    };
    let values: Values = serde_saphyr::from_str(text).map_err(|error| refuse(error.to_string()))?;
    let allowed = (values.replica_count.is_none() || addon.name == "coredns")
        && (values.env.is_empty() || addon.name == "vpc-cni");
    if !allowed || values.replica_count.is_some_and(|count| count < 1) {
        return Err(refuse(format!(
            "Json schema validation failed with error: {}",
            addon.schema
        )));
    }
    Ok(values)
}

/// An add-on of a cluster as the region remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addon {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its version.
    pub version: String,
    /// Where it is in its life.
    pub status: AddonStatus,
    /// The role of its service account.
    pub service_account_role_arn: Option<String>,
    /// Configuration as it was given.
    pub configuration_values: Option<String>,
    /// ARNs of its pod identity associations.
    pub associations: Vec<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub modified_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What is wrong.
    pub issues: Vec<Issue>,
    /// `NONE`, `OVERWRITE` or `PRESERVE`.
    pub resolve_conflicts: String,
    /// Whether its objects stay when it goes.
    pub preserve: bool,
    /// The record of the update that is being done.
    pub update: Option<String>,
    /// The caller's idempotency token.
    pub client_request_token: Option<String>,
}

/// EKS's `AddonStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are EKS's own")]
pub enum AddonStatus {
    Creating,
    Active,
    CreateFailed,
    Updating,
    UpdateFailed,
    Degraded,
    Deleting,
}

impl AddonStatus {
    /// EKS's spelling.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::CreateFailed => "CREATE_FAILED",
            Self::Updating => "UPDATING",
            Self::UpdateFailed => "UPDATE_FAILED",
            Self::Degraded => "DEGRADED",
            Self::Deleting => "DELETING",
        }
    }
}

/// What happens to an add-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Its objects are in the cluster.
    Applied,
    /// Fields of these objects are somebody else's.
    Conflicts(Vec<String>),
    /// Its workloads were looked at: those that lack ready pods, with how many they lack.
    Observed(Vec<String>),
    /// Nothing of it is left that should not be.
    Gone,
}

/// How the update of an add-on ended: EKS's code and sentence if it failed.
pub type Outcome = Result<(), (String, String)>;

impl Addon {
    /// The add-on after an event, and how its update ended if the event decides that; `None` when it is gone.
    #[must_use]
    pub fn step(mut self, input: Input, now: Timestamp) -> Option<(Self, Option<(String, Outcome)>)> {
        let mut ended = None;
        match (self.status, input) {
            (AddonStatus::Deleting, Input::Gone) => return None,
            (AddonStatus::Creating | AddonStatus::Updating, Input::Applied) => {
                self.set(AddonStatus::Active, Vec::new(), now);
                ended = self.update.take().map(|id| (id, Ok(())));
            }
            (AddonStatus::Creating | AddonStatus::Updating, Input::Conflicts(objects)) => {
                let message = format!(
                    "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts: {}",
                    objects.join(", ")
                );
                let issue = Issue {
                    code: "ConfigurationConflict".to_owned(),
                    message: message.clone(),
                    resource_ids: objects,
                };
                let status = if self.status == AddonStatus::Creating {
                    AddonStatus::CreateFailed
                } else {
                    AddonStatus::UpdateFailed
                };
                self.set(status, vec![issue], now);
                ended = self
                    .update
                    .take()
                    .map(|id| (id, Err(("ConfigurationConflict".to_owned(), message))));
            }
            (AddonStatus::Active, Input::Observed(lacking)) if !lacking.is_empty() => {
                let message =
                    "The add-on is unhealthy because it doesn't have the desired number of replicas.".to_owned();
                let issue = Issue {
                    code: "InsufficientNumberOfReplicas".to_owned(),
                    message,
                    resource_ids: lacking,
                };
                self.set(AddonStatus::Degraded, vec![issue], now);
            }
            (AddonStatus::Degraded, Input::Observed(lacking)) if lacking.is_empty() => {
                self.set(AddonStatus::Active, Vec::new(), now)
            }
            _ => {}
        }
        Some((self, ended))
    }

    fn set(&mut self, status: AddonStatus, issues: Vec<Issue>, now: Timestamp) {
        self.status = status;
        self.issues = issues;
        self.modified_at = now;
    }
}

#[cfg(test)]
mod tests;
