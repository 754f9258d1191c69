//! The parts of a ClusterConfig beside the cluster and its node groups: profiles, roles, entries, mappings, settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A policy document or another part that eksctl takes as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Document {
    /// Nothing.
    Null,
    /// true or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Document>),
    /// A map.
    Map(BTreeMap<String, Document>),
}

macro_rules! parts {
    ($($(#[$of_struct:meta])* $name:ident { $($(#[$meta:meta])* $field:ident $(as $wire:literal)?: $kind:ty),* $(,)? })*) => {
        $(
            $(#[$of_struct])*
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub struct $name {
                $($(#[$meta])* $(#[serde(rename = $wire)])? #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$kind>,)*
            }
        )*
    };
}

parts! {
    /// An entry of `addons`.
    Addon {
        /// For example `vpc-cni`.
        name: String,
        /// A version, `latest` or `default`.
        version: String,
        /// A role that exists, for its service account.
        service_account_role_arn as "serviceAccountRoleARN": String,
        /// Policies of a role that is made for its service account.
        attach_policy_arns as "attachPolicyARNs": Vec<String>,
        /// A policy of a role that is made for its service account.
        attach_policy: Document,
        /// Policies that eksctl knows by a word.
        well_known_policies: WellKnownPolicies,
        /// The boundary of the role that is made.
        permissions_boundary: String,
        /// JSON or YAML by the add-on's schema.
        configuration_values: String,
        /// `none`, `overwrite` or `preserve`.
        resolve_conflicts: String,
        /// Its tags.
        tags: BTreeMap<String, String>,
        /// Roles by EKS Pod Identity.
        pod_identity_associations: Vec<PodIdentityAssociation>,
        /// Roles by EKS Pod Identity with the policies that the add-on recommends.
        use_default_pod_identity_associations: bool,
        /// Where it is installed.
        namespace_config: AddonNamespaceConfig,
    }
    /// `managedNodeGroups[].ssh`.
    NodeGroupSsh {
        /// Whether SSH is let in; it is when a key is named.
        allow: bool,
        /// A public key in OpenSSH's form.
        public_key: String,
        /// The name of a key pair of EC2's.
        public_key_name: String,
        /// A file with a public key, or the name of a key pair.
        public_key_path: String,
        /// From where SSH is let in; from everywhere when there are none.
        source_security_group_ids: Vec<String>,
    }
    /// `addons[].namespaceConfig`.
    AddonNamespaceConfig {
        /// The namespace.
        namespace: String,
    }
    /// `addonsConfig`.
    AddonsConfig {
        /// Whether roles are given by EKS Pod Identity where an add-on recommends policies.
        auto_apply_pod_identity_associations: bool,
        /// Whether the add-ons that every cluster has are left out.
        disable_default_addons: bool,
    }
    /// An entry of `fargateProfiles`.
    FargateProfile {
        /// Its name.
        name: String,
        /// The role that pulls images; by default the cluster's own.
        pod_execution_role_arn as "podExecutionRoleARN": String,
        /// Which pods.
        selectors: Vec<FargateProfileSelector>,
        /// Where; by default the private subnets.
        subnets: Vec<String>,
        /// Its tags.
        tags: BTreeMap<String, String>,
        /// Its state, as `get` shows it.
        status: String,
    }
    /// An entry of `fargateProfiles[].selectors`.
    FargateProfileSelector {
        /// The namespace; `*` and `?` are wildcards.
        namespace: String,
        /// Labels that pods must have.
        labels: BTreeMap<String, String>,
    }
    /// An entry of `iam.serviceAccounts`.
    ServiceAccount {
        /// Name, namespace, labels, annotations.
        metadata: ServiceAccountMeta,
        /// Policies of its role.
        attach_policy_arns as "attachPolicyARNs": Vec<String>,
        /// A policy of its role.
        attach_policy: Document,
        /// Policies that eksctl knows by a word.
        well_known_policies: WellKnownPolicies,
        /// A role that exists.
        attach_role_arn as "attachRoleARN": String,
        /// The boundary of its role.
        permissions_boundary: String,
        /// The name of its role.
        role_name: String,
        /// Whether the role alone is made.
        role_only: bool,
        /// Tags of its role.
        tags: BTreeMap<String, String>,
        /// What exists, as `get` shows it.
        status: ServiceAccountStatus,
    }
    /// `iam.serviceAccounts[].metadata`.
    ServiceAccountMeta {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// Its labels.
        labels: BTreeMap<String, String>,
        /// Its annotations.
        annotations: BTreeMap<String, String>,
    }
    /// `iam.serviceAccounts[].status`.
    ServiceAccountStatus {
        /// The role.
        role_arn as "roleARN": String,
        /// The stack that made it.
        stack_name: String,
        /// The stack's tags, without eksctl's own.
        tags: BTreeMap<String, String>,
        /// The stack's capabilities.
        capabilities: Vec<String>,
    }
    /// Policies that eksctl knows by a word, in the order in which it shows them.
    WellKnownPolicies {
        /// Pushing images.
        image_builder: bool,
        /// What the cluster autoscaler needs.
        auto_scaler: bool,
        /// What the load balancer controller needs.
        aws_load_balancer_controller: bool,
        /// What ExternalDNS needs.
        external_dns as "externalDNS": bool,
        /// What cert-manager needs.
        cert_manager: bool,
        /// What the EBS CSI controller needs.
        ebs_csi_controller as "ebsCSIController": bool,
        /// What the EFS CSI controller needs.
        efs_csi_controller as "efsCSIController": bool,
    }
    /// An entry of `iam.podIdentityAssociations`.
    PodIdentityAssociation {
        /// The namespace.
        namespace: String,
        /// The service account.
        service_account_name: String,
        /// Whether the service account is made.
        create_service_account: bool,
        /// A role that exists.
        role_arn as "roleARN": String,
        /// The name of the role that is made.
        role_name: String,
        /// Policies of the role that is made.
        permission_policy_arns as "permissionPolicyARNs": Vec<String>,
        /// A policy of the role that is made.
        permission_policy: Document,
        /// The boundary of the role that is made.
        permissions_boundary_arn as "permissionsBoundaryARN": String,
        /// Policies that eksctl knows by a word.
        well_known_policies: WellKnownPolicies,
        /// A role that is assumed after the first.
        target_role_arn as "targetRoleARN": String,
        /// Whether sessions carry no tags.
        disable_session_tags: bool,
        /// A policy that sessions are limited by.
        policy: String,
        /// Tags.
        tags: BTreeMap<String, String>,
    }
    /// An entry of `accessConfig.accessEntries`.
    AccessEntry {
        /// The role or user.
        principal_arn as "principalARN": String,
        /// `STANDARD`, `EC2_LINUX` and so on.
        r#type as "type": String,
        /// Its Kubernetes name.
        kubernetes_username: String,
        /// Its Kubernetes groups.
        kubernetes_groups: Vec<String>,
        /// EKS's policies.
        access_policies: Vec<AccessPolicy>,
    }
    /// An entry of `accessConfig.accessEntries[].accessPolicies`.
    AccessPolicy {
        /// For example `arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy`.
        policy_arn as "policyARN": String,
        /// Where it counts.
        access_scope: AccessScope,
    }
    /// `accessScope` of an access policy.
    AccessScope {
        /// `cluster` or `namespace`.
        r#type as "type": String,
        /// The namespaces.
        namespaces: Vec<String>,
    }
    /// An entry of `iamIdentityMappings`.
    IdentityMapping {
        /// The role or user.
        arn: String,
        /// Its Kubernetes name.
        username: String,
        /// Its Kubernetes groups.
        groups: Vec<String>,
        /// An account whose principals get in by their ARNs.
        account: String,
        /// Whether a second mapping of an ARN is an error.
        no_duplicate_arns as "noDuplicateARNs": bool,
    }
    /// `cloudWatch`.
    CloudWatch {
        /// The control plane's logs.
        cluster_logging: ClusterLogging,
    }
    /// `cloudWatch.clusterLogging`.
    ClusterLogging {
        /// Which; `*` and `all` are every one.
        enable_types: Vec<String>,
    }
    /// An entry of `identityProviders`.
    IdentityProvider {
        /// `oidc`.
        kind as "type": String,
        /// Its name.
        name: String,
        /// URL of the issuer.
        issuer_url as "issuerURL": String,
        /// The audience of tokens.
        client_id as "clientID": String,
        /// The claim that names the user.
        username_claim: String,
        /// What stands before the name.
        username_prefix: String,
        /// The claim that lists the groups.
        groups_claim: String,
        /// What stands before each group.
        groups_prefix: String,
        /// Claims that tokens must have.
        required_claims: BTreeMap<String, String>,
        /// Its tags.
        tags: BTreeMap<String, String>,
    }
    /// `secretsEncryption`.
    SecretsEncryption {
        /// The KMS key.
        key_arn as "keyARN": String,
    }
    /// `vpc.subnets`.
    ClusterSubnets {
        /// By zone or name.
        public: BTreeMap<String, SubnetSpec>,
        /// By zone or name.
        private: BTreeMap<String, SubnetSpec>,
    }
    /// An entry of `vpc.subnets`.
    SubnetSpec {
        /// The subnet's id.
        id: String,
        /// Its zone.
        az: String,
        /// Its block.
        cidr: String,
    }
    /// Policies of a node group's role that eksctl knows by a word.
    AddonPolicies {
        /// Pushing images.
        image_builder: bool,
        /// What the cluster autoscaler needs.
        auto_scaler: bool,
        /// What ExternalDNS needs.
        external_dns as "externalDNS": bool,
        /// What cert-manager needs.
        cert_manager: bool,
        /// App Mesh.
        app_mesh: bool,
        /// App Mesh's preview.
        app_mesh_preview: bool,
        /// What the EBS CSI driver needs.
        ebs: bool,
        /// What the FSx CSI driver needs.
        fsx: bool,
        /// What the EFS CSI driver needs.
        efs: bool,
        /// What the load balancer controller needs.
        aws_load_balancer_controller: bool,
        /// The older word for it.
        alb_ingress: bool,
        /// X-Ray.
        x_ray: bool,
        /// The CloudWatch agent.
        cloud_watch: bool,
    }
}

impl ServiceAccount {
    /// Its namespace; `default` when it names none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        let metadata = self.metadata.as_ref();
        metadata
            .and_then(|metadata| metadata.namespace.as_deref())
            .unwrap_or("default")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        let metadata = self.metadata.as_ref();
        metadata
            .and_then(|metadata| metadata.name.as_deref())
            .unwrap_or_default()
    }
}

/// The types of control plane logs.
pub const LOG_TYPES: &[&str] = &["api", "audit", "authenticator", "controllerManager", "scheduler"];

/// What a list of log types names; `*` and `all` are every one.
#[must_use]
pub fn log_types(named: &[String]) -> Vec<String> {
    let every = named.iter().any(|name| name == "*" || name == "all");
    let known = LOG_TYPES.iter().map(|name| (*name).to_owned());
    known.filter(|name| every || named.contains(name)).collect()
}

impl Addon {
    /// An add-on of which only the name is said.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

impl ServiceAccount {
    /// Namespace and name, joined by a slash.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }
}

impl PodIdentityAssociation {
    /// Namespace and service account, joined by a slash.
    #[must_use]
    pub fn full_name(&self) -> String {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}/{}", part(&self.namespace), part(&self.service_account_name))
    }
}
