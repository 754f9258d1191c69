//! The life of an EKS cluster: CREATING, ACTIVE, DELETING, gone; or FAILED.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_types::{ClusterName, SubnetId, VpcId, eks_version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// A cluster as the region remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Its ARN.
    pub arn: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// For example `1.33`.
    pub version: String,
    /// For example `eks.27`.
    pub platform_version: String,
    /// The service role.
    pub role_arn: String,
    /// The caller who made it.
    pub creator_arn: String,
    /// Its network.
    pub network: Network,
    /// Control plane log types that are to be delivered.
    pub enabled_logs: Vec<String>,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub authentication_mode: String,
    /// Whether the creator is a cluster administrator.
    pub creator_is_admin: bool,
    /// `STANDARD` or `EXTENDED`.
    pub support_type: String,
    /// Whether `DeleteCluster` is refused.
    pub deletion_protection: bool,
    /// Whether the three networking add-ons are installed with the cluster.
    pub bootstrap_addons: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The caller's idempotency token.
    pub client_request_token: Option<String>,
    /// Where it is in its life.
    pub status: ClusterStatus,
    /// The API server's address, once there is one.
    pub endpoint: Option<String>,
    /// The authority behind the endpoint, PEM.
    pub certificate_authority_pem: Option<String>,
    /// What is wrong.
    pub issues: Vec<Issue>,
    /// The public keys of its service-account tokens, as a JSON web key set, once there are any.
    #[serde(default)]
    pub issuer_keys: Option<String>,
    /// The version change that is being done.
    #[serde(default)]
    pub upgrade: Option<Upgrade>,
    /// ARN of the KMS key that encrypts its Secrets.
    #[serde(default)]
    pub encryption_key: Option<String>,
    /// The record of the change by which its Secrets come under the key, while it is being done.
    #[serde(default)]
    pub encrypting: Option<String>,
}

/// A cluster's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The VPC of its subnets.
    pub vpc_id: VpcId,
    /// The subnets of its network interfaces.
    pub subnet_ids: Vec<SubnetId>,
    /// Groups that the caller added.
    pub security_group_ids: Vec<String>,
    /// The group that EKS made.
    pub cluster_security_group_id: String,
    /// Whether the endpoint is reachable from outside the VPC.
    pub endpoint_public_access: bool,
    /// Whether the endpoint is reachable from inside the VPC without leaving it.
    pub endpoint_private_access: bool,
    /// Who may reach the public endpoint.
    pub public_access_cidrs: Vec<String>,
    /// Addresses of the cluster's network interfaces in its subnets.
    pub addresses: Vec<Ipv4Addr>,
    /// The services' range.
    pub service_cidr: String,
    /// The issuer of service-account tokens.
    pub oidc_issuer: String,
}

/// A version change that is being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The id of its record.
    pub update: String,
    /// The version after it.
    pub version: String,
}

/// EKS's `ClusterStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are EKS's own")]
pub enum ClusterStatus {
    Creating,
    Active,
    Deleting,
    Failed,
    Updating,
}

/// Something that is wrong with a resource, as `health.issues` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// One of EKS's issue codes.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What it happened to.
    pub resource_ids: Vec<String>,
}

/// What happens to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Its API server answers.
    ControlPlaneReady {
        /// Where.
        endpoint: String,
        /// Its authority.
        certificate_authority_pem: String,
        /// The keys of its service-account tokens.
        issuer_keys: String,
        /// Records of the changes that it has taken in.
        applied: Vec<String>,
    },
    /// It cannot be made.
    ControlPlaneFailed {
        /// Why.
        message: String,
    },
    /// `DeleteCluster`.
    Delete {
        /// How many node groups it has, in whatever state.
        nodegroups: usize,
    },
    /// `UpdateClusterVersion`.
    Upgrade {
        /// The id of the update's record.
        update: String,
        /// The version after it.
        version: String,
    },
    /// `AssociateEncryptionConfig`.
    Encrypt {
        /// The id of the update's record.
        update: String,
        /// ARN of the KMS key.
        key: String,
    },
    /// Nothing of it is left.
    ControlPlaneGone,
}

/// What is to be done for a cluster, from its status alone, so that a new process does the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The control plane must run.
    EnsureControlPlane,
    /// The control plane must not be.
    RemoveControlPlane,
    /// Nothing.
    Nothing,
}

impl Cluster {
    /// What is to be done now.
    pub fn work(&self) -> Work {
        match self.status {
            ClusterStatus::Creating | ClusterStatus::Active | ClusterStatus::Updating => Work::EnsureControlPlane,
            ClusterStatus::Deleting => Work::RemoveControlPlane,
            ClusterStatus::Failed => Work::Nothing,
        }
    }

    /// The cluster after an event; `None` when it is gone.
    ///
    /// # Errors
    /// The refusal that EKS gives when the state does not allow what was asked.
    pub fn step(mut self, input: Input) -> Result<Option<Self>, Refusal> {
        match (self.status, input) {
            (ClusterStatus::Deleting, Input::ControlPlaneGone) => return Ok(None),
            (ClusterStatus::Deleting, Input::ControlPlaneReady { .. } | Input::ControlPlaneFailed { .. }) => {}
            (
                _,
                Input::ControlPlaneReady {
                    endpoint,
                    certificate_authority_pem,
                    issuer_keys,
                    applied,
                },
            ) => {
                self.issuer_keys = Some(issuer_keys);
                self.endpoint = Some(endpoint);
                self.certificate_authority_pem = Some(certificate_authority_pem);
                self.issues.clear();
                self.upgrade = None;
                self.encrypting.take_if(|update| applied.contains(update));
                self.status = match self.encrypting {
                    Some(_) => ClusterStatus::Updating,
                    None => ClusterStatus::Active,
                };
            }
            (ClusterStatus::Creating, Input::ControlPlaneFailed { message }) => {
                self.status = ClusterStatus::Failed;
                self.issues = vec![self.failure(message)];
            }
            // An existing cluster stays ACTIVE when its control plane cannot be reached, and says so in its health.
            (_, Input::ControlPlaneFailed { message }) => self.issues = vec![self.failure(message)],
            (_, Input::Delete { nodegroups }) => self.delete(nodegroups)?,
            (_, Input::Upgrade { update, version }) => {
                self.require_settled()?;
                if let Some(known) = eks_version::find(&version) {
                    self.platform_version = known.platform.to_owned();
                }
                self.version.clone_from(&version);
                self.upgrade = Some(Upgrade { update, version });
                self.status = ClusterStatus::Updating;
            }
            (_, Input::Encrypt { update, key }) => {
                self.require_settled()?;
                if self.encryption_key.is_some() {
                    let message = format!("Encryption is already enabled for cluster {}", self.name);
                    return Err(Refusal::invalid_request(message).of_cluster(self.name.as_str()));
                }
                self.encryption_key = Some(key);
                self.encrypting = Some(update);
                self.status = ClusterStatus::Updating;
            }
            (_, Input::ControlPlaneGone) => {}
        }
        Ok(Some(self))
    }

    fn delete(&mut self, nodegroups: usize) -> Result<(), Refusal> {
        let name = self.name.as_str();
        if nodegroups > 0 {
            return Err(Refusal::in_use("Cluster has nodegroups attached").of_cluster(name));
        }
        if self.deletion_protection {
            let message =
                format!("Cluster {name} has deletion protection enabled; disable it before deleting the cluster");
            return Err(Refusal::invalid_request(message).of_cluster(name));
        }
        if self.status == ClusterStatus::Creating {
            return Err(Refusal::in_use("Cannot delete a cluster while it is being created").of_cluster(name));
        }
        self.status = ClusterStatus::Deleting;
        Ok(())
    }

    fn failure(&self, message: String) -> Issue {
        Issue {
            code: "InternalFailure".to_owned(),
            message,
            resource_ids: vec![self.name.to_string()],
        }
    }

    /// Refuses unless the cluster may be changed: it is ACTIVE and nothing else is being changed.
    ///
    /// # Errors
    /// `ResourceInUse` naming the state.
    pub fn require_settled(&self) -> Result<(), Refusal> {
        if self.status == ClusterStatus::Active {
            return Ok(());
        }
        let state = self.status.name();
        let message = format!(
            "Cannot update cluster {} as it is currently in {state} state",
            self.name
        );
        Err(Refusal::in_use(message).of_cluster(self.name.as_str()))
    }

    /// Refuses unless the cluster is ready for node groups and other parts.
    ///
    /// # Errors
    /// `InvalidRequest` naming the state.
    pub fn require_active(&self, what: &str) -> Result<(), Refusal> {
        if matches!(self.status, ClusterStatus::Active | ClusterStatus::Updating) {
            return Ok(());
        }
        let state = self.status.name();
        let message = format!("Cannot {what} while cluster {} is in {state} state", self.name);
        Err(Refusal::invalid_request(message).of_cluster(self.name.as_str()))
    }
}

impl ClusterStatus {
    /// EKS's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
            Self::Failed => "FAILED",
            Self::Updating => "UPDATING",
        }
    }
}

#[cfg(test)]
mod tests;
