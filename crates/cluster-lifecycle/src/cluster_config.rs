//! The ClusterConfig file (`eksctl.io/v1alpha5`): read, checked field by field, and brought to one form with the flags of
//! `create cluster`.
//!
//! Every field of eksctl's schema is known. One that has no effect here yet is named in a warning, one that does not exist is
//! an error with its path and line.

mod node;
pub mod parts;
mod schema;
mod validate;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

pub use parts::Addon;
use parts::*;
pub use schema::json_schema;
pub use validate::default_nodegroup_sizes;

/// A ClusterConfig, as far as it has an effect.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterConfig {
    /// `eksctl.io/v1alpha5`.
    pub api_version: String,
    /// `ClusterConfig`.
    pub kind: String,
    /// Name, region, version, tags.
    pub metadata: Metadata,
    /// Role and OIDC.
    #[serde(default)]
    pub iam: Option<Iam>,
    /// The VPC to make.
    #[serde(default)]
    pub vpc: Option<Vpc>,
    /// Zones of the VPC's subnets.
    #[serde(default)]
    pub availability_zones: Option<Vec<String>>,
    /// Services' range.
    #[serde(default)]
    pub kubernetes_network_config: Option<KubernetesNetworkConfig>,
    /// How access is granted.
    #[serde(default)]
    pub access_config: Option<AccessConfig>,
    /// Standard or extended support.
    #[serde(default)]
    pub upgrade_policy: Option<UpgradePolicy>,
    /// Add-ons.
    #[serde(default)]
    pub addons: Option<Vec<Addon>>,
    /// Which add-ons come by themselves.
    #[serde(default)]
    pub addons_config: Option<AddonsConfig>,
    /// Fargate profiles.
    #[serde(default)]
    pub fargate_profiles: Option<Vec<FargateProfile>>,
    /// Entries of `aws-auth`.
    #[serde(default)]
    pub iam_identity_mappings: Option<Vec<IdentityMapping>>,
    /// The control plane's logs.
    #[serde(default)]
    pub cloud_watch: Option<CloudWatch>,
    /// OIDC providers of Kubernetes users.
    #[serde(default)]
    pub identity_providers: Option<Vec<IdentityProvider>>,
    /// Secrets encrypted by a key.
    #[serde(default)]
    pub secrets_encryption: Option<SecretsEncryption>,
    /// Managed node groups.
    #[serde(default)]
    pub managed_node_groups: Option<Vec<ManagedNodeGroup>>,
}

/// `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The cluster's name.
    pub name: String,
    /// Its region.
    #[serde(default)]
    pub region: Option<String>,
    /// Its Kubernetes version.
    #[serde(default)]
    pub version: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Option<BTreeMap<String, String>>,
}

/// `iam`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Iam {
    /// Whether service accounts are to get roles through the cluster's issuer.
    #[serde(rename = "withOIDC", default)]
    pub with_oidc: Option<bool>,
    /// The cluster's own role.
    #[serde(rename = "serviceRoleARN", default)]
    pub service_role_arn: Option<String>,
    /// The role of Fargate's pods.
    #[serde(rename = "fargatePodExecutionRoleARN", default)]
    pub fargate_pod_execution_role_arn: Option<String>,
    /// Roles of service accounts.
    #[serde(rename = "serviceAccounts", default)]
    pub service_accounts: Option<Vec<ServiceAccount>>,
    /// Roles of service accounts by EKS Pod Identity.
    #[serde(rename = "podIdentityAssociations", default)]
    pub pod_identity_associations: Option<Vec<PodIdentityAssociation>>,
}

/// `vpc`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vpc {
    /// Its block.
    #[serde(default)]
    pub cidr: Option<String>,
    /// How its private subnets get out.
    #[serde(default)]
    pub nat: Option<Nat>,
    /// Who reaches the API server.
    #[serde(default)]
    pub cluster_endpoints: Option<ClusterEndpoints>,
    /// Addresses from which its public endpoint is reached.
    #[serde(rename = "publicAccessCIDRs", default)]
    pub public_access_cidrs: Option<Vec<String>>,
    /// A VPC that exists.
    #[serde(default)]
    pub id: Option<String>,
    /// Its subnets.
    #[serde(default)]
    pub subnets: Option<ClusterSubnets>,
    /// Subnets of the control plane.
    #[serde(rename = "controlPlaneSubnetIDs", default)]
    pub control_plane_subnet_ids: Option<Vec<String>>,
    /// Security groups of the control plane.
    #[serde(rename = "controlPlaneSecurityGroupIDs", default)]
    pub control_plane_security_group_ids: Option<Vec<String>>,
}

/// `vpc.nat`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nat {
    /// `Single`, `HighlyAvailable` or `Disable`.
    #[serde(default)]
    pub gateway: Option<String>,
}

/// `vpc.clusterEndpoints`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterEndpoints {
    /// From outside the VPC.
    #[serde(default)]
    pub public_access: Option<bool>,
    /// From inside the VPC.
    #[serde(default)]
    pub private_access: Option<bool>,
}

/// `kubernetesNetworkConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesNetworkConfig {
    /// `IPv4` or `IPv6`.
    #[serde(rename = "ipFamily", default)]
    pub ip_family: Option<String>,
    /// The services' range.
    #[serde(rename = "serviceIPv4CIDR", default)]
    pub service_ipv4_cidr: Option<String>,
}

/// `accessConfig`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessConfig {
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    #[serde(default)]
    pub authentication_mode: Option<String>,
    /// Whether the creator is an administrator.
    #[serde(default)]
    pub bootstrap_cluster_creator_admin_permissions: Option<bool>,
    /// Who else has access.
    #[serde(default)]
    pub access_entries: Option<Vec<AccessEntry>>,
}

/// `upgradePolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradePolicy {
    /// `STANDARD` or `EXTENDED`.
    #[serde(default)]
    pub support_type: Option<String>,
}

/// An entry of `managedNodeGroups`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedNodeGroup {
    /// Its name.
    pub name: String,
    /// The operating system's family.
    #[serde(default)]
    pub ami_family: Option<String>,
    /// Its type.
    #[serde(default)]
    pub instance_type: Option<String>,
    /// Or its types.
    #[serde(default)]
    pub instance_types: Option<Vec<String>>,
    /// How many nodes.
    #[serde(default)]
    pub desired_capacity: Option<i64>,
    /// At least.
    #[serde(default)]
    pub min_size: Option<i64>,
    /// At most.
    #[serde(default)]
    pub max_size: Option<i64>,
    /// Root volume in GiB.
    #[serde(default)]
    pub volume_size: Option<i64>,
    /// Labels of its nodes.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// Taints of its nodes, in Kubernetes' spelling.
    #[serde(default)]
    pub taints: Option<Vec<NodeTaint>>,
    /// Its tags.
    #[serde(default)]
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether its capacity is Spot.
    #[serde(default)]
    pub spot: Option<bool>,
    /// Whether its nodes are in the private subnets.
    #[serde(default)]
    pub private_networking: Option<bool>,
    /// The zones that it is limited to.
    #[serde(default)]
    pub availability_zones: Option<Vec<String>>,
    /// Its role.
    #[serde(default)]
    pub iam: Option<NodeGroupIam>,
    /// The subnets that it is limited to.
    #[serde(default)]
    pub subnets: Option<Vec<String>>,
    /// The version of its nodes' software.
    #[serde(default)]
    pub release_version: Option<String>,
    /// A launch template of the user's.
    #[serde(default)]
    pub launch_template: Option<NodeGroupLaunchTemplate>,
    /// Instance types by what they have.
    #[serde(default)]
    pub instance_selector: Option<InstanceSelector>,
    /// Whether and how its nodes are reached by SSH.
    #[serde(default)]
    pub ssh: Option<NodeGroupSsh>,
    /// How many nodes an update may take away.
    #[serde(default)]
    pub update_config: Option<UpdateConfig>,
}

/// `managedNodeGroups[].iam`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeGroupIam {
    /// The instances' role.
    #[serde(rename = "instanceRoleARN", default)]
    pub instance_role_arn: Option<String>,
    /// The name of the role that is made.
    #[serde(rename = "instanceRoleName", default)]
    pub instance_role_name: Option<String>,
    /// The boundary of the role that is made.
    #[serde(rename = "instanceRolePermissionsBoundary", default)]
    pub instance_role_permissions_boundary: Option<String>,
    /// Policies of the role that is made, in place of the usual ones.
    #[serde(rename = "attachPolicyARNs", default)]
    pub attach_policy_arns: Option<Vec<String>>,
    /// A policy of the role that is made.
    #[serde(rename = "attachPolicy", default)]
    pub attach_policy: Option<Document>,
    /// Policies that eksctl knows by a word.
    #[serde(rename = "withAddonPolicies", default)]
    pub with_addon_policies: Option<AddonPolicies>,
}

/// `managedNodeGroups[].launchTemplate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeGroupLaunchTemplate {
    /// Its id.
    pub id: String,
    /// Its version.
    #[serde(default)]
    pub version: Option<String>,
}

/// `managedNodeGroups[].instanceSelector`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSelector {
    /// How many processors.
    #[serde(rename = "vCPUs", default)]
    pub vcpus: Option<i64>,
    /// How much memory, `4` or `4GiB`.
    #[serde(default)]
    pub memory: Option<String>,
    /// `x86_64`, `amd64` or `arm64`.
    #[serde(rename = "cpuArchitecture", default)]
    pub cpu_architecture: Option<String>,
    /// How many GPUs.
    #[serde(default)]
    pub gpus: Option<i64>,
}

/// `managedNodeGroups[].updateConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateConfig {
    /// A number of nodes.
    #[serde(default)]
    pub max_unavailable: Option<i64>,
    /// A share of the nodes.
    #[serde(default)]
    pub max_unavailable_percentage: Option<i64>,
}

/// A taint in Kubernetes' spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTaint {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default)]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Something wrong in a ClusterConfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, if it came from a file.
    pub line: Option<u64>,
    /// The path of the field, `managedNodeGroups[0].minSize`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        let path = if self.path.is_empty() {
            "the document"
        } else {
            &self.path
        };
        write!(f, "{path}: {}", self.message)
    }
}

/// A field that is accepted and has no effect, or not its full one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The path of the field.
    pub path: String,
    /// What does not happen.
    pub message: String,
}

impl Warning {
    fn without_effect(path: String) -> Self {
        Self {
            path,
            message: "is not honoured yet".to_owned(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.message)
    }
}

/// Why a ClusterConfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not YAML.
    #[error("not valid YAML: {0}")]
    Yaml(String),
    /// Fields are wrong; all of them are named.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads and checks a file's text.
///
/// # Errors
/// When the text is not YAML, or anything in it is wrong: every wrong field is named.
pub fn parse(text: &str) -> Result<(ClusterConfig, Vec<Warning>), ConfigError> {
    let yaml = |error: serde_saphyr::Error| ConfigError::Yaml(error.to_string());
    let document: Spanned<node::Node> = serde_saphyr::from_str(text).map_err(yaml)?;
    let document = node::Located {
        line: document.referenced.line(),
        node: document.value,
    };
    let schema::Findings { problems, mut warnings } = schema::check(&document);
    if !problems.is_empty() {
        return Err(ConfigError::Problems(problems));
    }
    let config: ClusterConfig = serde_saphyr::from_str(text).map_err(yaml)?;
    warnings.extend(check(&config)?);
    Ok((config, warnings))
}

/// Checks the values of a ClusterConfig, whether it came from a file or from flags.
///
/// # Errors
/// Every value that cannot be used, with its path.
pub fn check(config: &ClusterConfig) -> Result<Vec<Warning>, ConfigError> {
    let problems = validate::problems(config);
    if problems.is_empty() {
        Ok(validate::warnings(config))
    } else {
        Err(ConfigError::Problems(problems))
    }
}

#[cfg(test)]
mod tests;
