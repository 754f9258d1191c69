//! Requests, answers and structures of EKS, for the operations that Ondol serves and calls. Names are AWS's own; a test
//! compares them with the published model.
#![allow(missing_docs, reason = "the members are AWS's own, and documented by AWS")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Time;

type Map = BTreeMap<String, String>;

macro_rules! structures {
    ($($name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {
        $(
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub struct $name {
                $(#[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$kind>,)*
            }
        )*

        /// Every structure here with the members that it has on the wire, for the comparison with the model.
        #[cfg(test)]
        fn declared() -> Vec<(&'static str, Vec<&'static str>)> {
            vec![$((stringify!($name), vec![$(stringify!($field)),*])),*]
        }
    };
}

structures! {
    CreateClusterRequest {
        name: String, version: String, role_arn: String, resources_vpc_config: VpcConfigRequest,
        kubernetes_network_config: KubernetesNetworkConfigRequest, logging: Logging, client_request_token: String,
        tags: Map, encryption_config: Vec<EncryptionConfig>, access_config: CreateAccessConfigRequest,
        bootstrap_self_managed_addons: bool, upgrade_policy: UpgradePolicyRequest, deletion_protection: bool,
    }
    CreateClusterResponse { cluster: Cluster }
    DescribeClusterRequest { name: String }
    DescribeClusterResponse { cluster: Cluster }
    DeleteClusterRequest { name: String }
    DeleteClusterResponse { cluster: Cluster }
    ListClustersRequest { max_results: i64, next_token: String, include: Vec<String> }
    ListClustersResponse { clusters: Vec<String>, next_token: String }
    RegisterClusterRequest {
        name: String, connector_config: ConnectorConfigRequest, client_request_token: String, tags: Map,
    }
    RegisterClusterResponse { cluster: Cluster }
    DeregisterClusterRequest { name: String }
    DeregisterClusterResponse { cluster: Cluster }
    ConnectorConfigRequest { role_arn: String, provider: String }
    CreateNodegroupRequest {
        cluster_name: String, nodegroup_name: String, scaling_config: NodegroupScalingConfig, disk_size: i64,
        subnets: Vec<String>, instance_types: Vec<String>, ami_type: String, remote_access: RemoteAccessConfig,
        node_role: String, labels: Map, taints: Vec<Taint>, tags: Map, client_request_token: String,
        launch_template: LaunchTemplateSpecification, update_config: NodegroupUpdateConfig, capacity_type: String,
        version: String, release_version: String,
    }
    CreateNodegroupResponse { nodegroup: Nodegroup }
    DescribeNodegroupRequest { cluster_name: String, nodegroup_name: String }
    DescribeNodegroupResponse { nodegroup: Nodegroup }
    DeleteNodegroupRequest { cluster_name: String, nodegroup_name: String }
    DeleteNodegroupResponse { nodegroup: Nodegroup }
    ListNodegroupsRequest { cluster_name: String, max_results: i64, next_token: String }
    ListNodegroupsResponse { nodegroups: Vec<String>, next_token: String }
    UpdateNodegroupConfigRequest {
        cluster_name: String, nodegroup_name: String, labels: UpdateLabelsPayload, taints: UpdateTaintsPayload,
        scaling_config: NodegroupScalingConfig, update_config: NodegroupUpdateConfig, client_request_token: String,
    }
    UpdateNodegroupConfigResponse { update: Update }
    DescribeUpdateRequest { name: String, update_id: String, nodegroup_name: String, addon_name: String }
    DescribeUpdateResponse { update: Update }
    ListUpdatesRequest { name: String, nodegroup_name: String, addon_name: String, next_token: String, max_results: i64 }
    ListUpdatesResponse { update_ids: Vec<String>, next_token: String }
    DescribeClusterVersionsRequest {
        cluster_type: String, max_results: i64, next_token: String, default_only: bool, include_all: bool,
        cluster_versions: Vec<String>, status: String, version_status: String,
    }
    DescribeClusterVersionsResponse { next_token: String, cluster_versions: Vec<ClusterVersionInformation> }
    TagResourceRequest { resource_arn: String, tags: Map }
    TagResourceResponse {}
    UntagResourceRequest { resource_arn: String, tag_keys: Vec<String> }
    UntagResourceResponse {}
    ListTagsForResourceRequest { resource_arn: String }
    ListTagsForResourceResponse { tags: Map }

    CreateAddonRequest {
        cluster_name: String, addon_name: String, addon_version: String, service_account_role_arn: String,
        resolve_conflicts: String, client_request_token: String, tags: Map, configuration_values: String,
        pod_identity_associations: Vec<AddonPodIdentityAssociations>, namespace_config: AddonNamespaceConfigRequest,
    }
    CreateAddonResponse { addon: Addon }
    UpdateAddonRequest {
        cluster_name: String, addon_name: String, addon_version: String, service_account_role_arn: String,
        resolve_conflicts: String, client_request_token: String, configuration_values: String,
        pod_identity_associations: Vec<AddonPodIdentityAssociations>,
    }
    UpdateAddonResponse { update: Update }
    DescribeAddonRequest { cluster_name: String, addon_name: String }
    DescribeAddonResponse { addon: Addon }
    DeleteAddonRequest { cluster_name: String, addon_name: String, preserve: bool }
    DeleteAddonResponse { addon: Addon }
    ListAddonsRequest { cluster_name: String, max_results: i64, next_token: String }
    ListAddonsResponse { addons: Vec<String>, next_token: String }
    DescribeAddonVersionsRequest {
        kubernetes_version: String, max_results: i64, next_token: String, addon_name: String, types: Vec<String>,
        publishers: Vec<String>, owners: Vec<String>,
    }
    DescribeAddonVersionsResponse { addons: Vec<AddonInfo>, next_token: String }
    DescribeAddonConfigurationRequest { addon_name: String, addon_version: String }
    DescribeAddonConfigurationResponse {
        addon_name: String, addon_version: String, configuration_schema: String,
        pod_identity_configuration: Vec<AddonPodIdentityConfiguration>,
    }
    CreateFargateProfileRequest {
        fargate_profile_name: String, cluster_name: String, pod_execution_role_arn: String, subnets: Vec<String>,
        selectors: Vec<FargateProfileSelector>, client_request_token: String, tags: Map,
    }
    CreateFargateProfileResponse { fargate_profile: FargateProfile }
    DescribeFargateProfileRequest { cluster_name: String, fargate_profile_name: String }
    DescribeFargateProfileResponse { fargate_profile: FargateProfile }
    DeleteFargateProfileRequest { cluster_name: String, fargate_profile_name: String }
    DeleteFargateProfileResponse { fargate_profile: FargateProfile }
    ListFargateProfilesRequest { cluster_name: String, max_results: i64, next_token: String }
    ListFargateProfilesResponse { fargate_profile_names: Vec<String>, next_token: String }
    CreateAccessEntryRequest {
        cluster_name: String, principal_arn: String, kubernetes_groups: Vec<String>, tags: Map,
        client_request_token: String, username: String, r#type: String,
    }
    CreateAccessEntryResponse { access_entry: AccessEntry }
    DescribeAccessEntryRequest { cluster_name: String, principal_arn: String }
    DescribeAccessEntryResponse { access_entry: AccessEntry }
    DeleteAccessEntryRequest { cluster_name: String, principal_arn: String }
    DeleteAccessEntryResponse {}
    ListAccessEntriesRequest { cluster_name: String, max_results: i64, next_token: String }
    ListAccessEntriesResponse { access_entries: Vec<String>, next_token: String }
    AssociateAccessPolicyRequest {
        cluster_name: String, principal_arn: String, policy_arn: String, access_scope: AccessScope,
    }
    AssociateAccessPolicyResponse { cluster_name: String, principal_arn: String }
    ListAssociatedAccessPoliciesRequest {
        cluster_name: String, principal_arn: String, max_results: i64, next_token: String,
    }
    ListAssociatedAccessPoliciesResponse {
        cluster_name: String, principal_arn: String, next_token: String,
        associated_access_policies: Vec<AssociatedAccessPolicy>,
    }
    CreatePodIdentityAssociationRequest {
        cluster_name: String, namespace: String, service_account: String, role_arn: String,
        client_request_token: String, tags: Map, disable_session_tags: bool, target_role_arn: String, policy: String,
    }
    CreatePodIdentityAssociationResponse { association: PodIdentityAssociation }
    UpdatePodIdentityAssociationRequest {
        cluster_name: String, association_id: String, role_arn: String, client_request_token: String,
        disable_session_tags: bool, target_role_arn: String, policy: String,
    }
    UpdatePodIdentityAssociationResponse { association: PodIdentityAssociation }
    DescribePodIdentityAssociationRequest { cluster_name: String, association_id: String }
    DescribePodIdentityAssociationResponse { association: PodIdentityAssociation }
    DeletePodIdentityAssociationRequest { cluster_name: String, association_id: String }
    DeletePodIdentityAssociationResponse { association: PodIdentityAssociation }
    ListPodIdentityAssociationsRequest {
        cluster_name: String, namespace: String, service_account: String, max_results: i64, next_token: String,
    }
    ListPodIdentityAssociationsResponse { associations: Vec<PodIdentityAssociationSummary>, next_token: String }
    UpdateClusterConfigRequest {
        name: String, resources_vpc_config: VpcConfigRequest, logging: Logging, client_request_token: String,
        access_config: UpdateAccessConfigRequest, upgrade_policy: UpgradePolicyRequest, deletion_protection: bool,
    }
    UpdateClusterConfigResponse { update: Update }
    UpdateClusterVersionRequest { name: String, version: String, client_request_token: String, force: bool }
    UpdateClusterVersionResponse { update: Update }
    UpdateNodegroupVersionRequest {
        cluster_name: String, nodegroup_name: String, version: String, release_version: String,
        launch_template: LaunchTemplateSpecification, force: bool, client_request_token: String,
    }
    UpdateNodegroupVersionResponse { update: Update }
    AssociateEncryptionConfigRequest {
        cluster_name: String, encryption_config: Vec<EncryptionConfig>, client_request_token: String,
    }
    AssociateEncryptionConfigResponse { update: Update }
    AssociateIdentityProviderConfigRequest {
        cluster_name: String, oidc: OidcIdentityProviderConfigRequest, tags: Map, client_request_token: String,
    }
    AssociateIdentityProviderConfigResponse { update: Update, tags: Map }
    DescribeIdentityProviderConfigRequest { cluster_name: String, identity_provider_config: IdentityProviderConfig }
    DescribeIdentityProviderConfigResponse { identity_provider_config: IdentityProviderConfigResponse }
    DisassociateIdentityProviderConfigRequest {
        cluster_name: String, identity_provider_config: IdentityProviderConfig, client_request_token: String,
    }
    DisassociateIdentityProviderConfigResponse { update: Update }
    ListIdentityProviderConfigsRequest { cluster_name: String, max_results: i64, next_token: String }
    ListIdentityProviderConfigsResponse { identity_provider_configs: Vec<IdentityProviderConfig>, next_token: String }
    IdentityProviderConfig { r#type: String, name: String }
    IdentityProviderConfigResponse { oidc: OidcIdentityProviderConfig }
    OidcIdentityProviderConfigRequest {
        identity_provider_config_name: String, issuer_url: String, client_id: String, username_claim: String,
        username_prefix: String, groups_claim: String, groups_prefix: String, required_claims: Map,
    }
    OidcIdentityProviderConfig {
        identity_provider_config_name: String, identity_provider_config_arn: String, cluster_name: String,
        issuer_url: String, client_id: String, username_claim: String, username_prefix: String, groups_claim: String,
        groups_prefix: String, required_claims: Map, tags: Map, status: String,
    }

    Addon {
        addon_name: String, cluster_name: String, status: String, addon_version: String, health: AddonHealth,
        addon_arn: String, created_at: Time, modified_at: Time, service_account_role_arn: String, tags: Map,
        configuration_values: String, pod_identity_associations: Vec<String>,
        namespace_config: AddonNamespaceConfigResponse,
    }
    AddonHealth { issues: Vec<AddonIssue> }
    AddonIssue { code: String, message: String, resource_ids: Vec<String> }
    AddonInfo {
        addon_name: String, r#type: String, addon_versions: Vec<AddonVersionInfo>, publisher: String, owner: String,
        default_namespace: String,
    }
    AddonVersionInfo {
        addon_version: String, architecture: Vec<String>, compute_types: Vec<String>,
        compatibilities: Vec<Compatibility>, requires_configuration: bool, requires_iam_permissions: bool,
    }
    Compatibility { cluster_version: String, platform_versions: Vec<String>, default_version: bool }
    AddonPodIdentityAssociations { service_account: String, role_arn: String }
    AddonPodIdentityConfiguration { service_account: String, recommended_managed_policies: Vec<String> }
    AddonNamespaceConfigRequest { namespace: String }
    AddonNamespaceConfigResponse { namespace: String }
    FargateProfile {
        fargate_profile_name: String, fargate_profile_arn: String, cluster_name: String, created_at: Time,
        pod_execution_role_arn: String, subnets: Vec<String>, selectors: Vec<FargateProfileSelector>, status: String,
        tags: Map, health: FargateProfileHealth,
    }
    FargateProfileSelector { namespace: String, labels: Map }
    FargateProfileHealth { issues: Vec<FargateProfileIssue> }
    FargateProfileIssue { code: String, message: String, resource_ids: Vec<String> }
    AccessEntry {
        cluster_name: String, principal_arn: String, kubernetes_groups: Vec<String>, access_entry_arn: String,
        created_at: Time, modified_at: Time, tags: Map, username: String, r#type: String,
    }
    AccessScope { r#type: String, namespaces: Vec<String> }
    AssociatedAccessPolicy { policy_arn: String, access_scope: AccessScope, associated_at: Time, modified_at: Time }
    PodIdentityAssociation {
        cluster_name: String, namespace: String, service_account: String, role_arn: String, association_arn: String,
        association_id: String, tags: Map, created_at: Time, modified_at: Time, owner_arn: String,
        disable_session_tags: bool, target_role_arn: String, external_id: String, policy: String,
    }
    PodIdentityAssociationSummary {
        cluster_name: String, namespace: String, service_account: String, association_arn: String,
        association_id: String, owner_arn: String,
    }
    UpdateAccessConfigRequest { authentication_mode: String }

    Cluster {
        name: String, arn: String, created_at: Time, version: String, endpoint: String, role_arn: String,
        resources_vpc_config: VpcConfigResponse, kubernetes_network_config: KubernetesNetworkConfigResponse,
        logging: Logging, identity: Identity, status: String, certificate_authority: Certificate,
        client_request_token: String, platform_version: String, tags: Map, health: ClusterHealth,
        access_config: AccessConfigResponse, upgrade_policy: UpgradePolicyResponse, deletion_protection: bool,
        encryption_config: Vec<EncryptionConfig>, connector_config: ConnectorConfigResponse,
    }
    ConnectorConfigResponse {
        activation_id: String, activation_code: String, activation_expiry: Time, provider: String, role_arn: String,
    }
    VpcConfigRequest {
        subnet_ids: Vec<String>, security_group_ids: Vec<String>, endpoint_public_access: bool,
        endpoint_private_access: bool, public_access_cidrs: Vec<String>,
    }
    VpcConfigResponse {
        subnet_ids: Vec<String>, security_group_ids: Vec<String>, cluster_security_group_id: String, vpc_id: String,
        endpoint_public_access: bool, endpoint_private_access: bool, public_access_cidrs: Vec<String>,
    }
    KubernetesNetworkConfigRequest { service_ipv4_cidr: String, ip_family: String }
    KubernetesNetworkConfigResponse { service_ipv4_cidr: String, ip_family: String }
    Logging { cluster_logging: Vec<LogSetup> }
    LogSetup { types: Vec<String>, enabled: bool }
    Identity { oidc: Oidc }
    Oidc { issuer: String }
    Certificate { data: String, active: ActiveCertificateAuthority }
    ActiveCertificateAuthority { id: String, activated_by: String }
    ClusterHealth { issues: Vec<ClusterIssue> }
    ClusterIssue { code: String, message: String, resource_ids: Vec<String> }
    CreateAccessConfigRequest { bootstrap_cluster_creator_admin_permissions: bool, authentication_mode: String }
    AccessConfigResponse { bootstrap_cluster_creator_admin_permissions: bool, authentication_mode: String }
    UpgradePolicyRequest { support_type: String }
    UpgradePolicyResponse { support_type: String }
    EncryptionConfig { resources: Vec<String>, provider: Provider }
    Provider { key_arn: String }
    Nodegroup {
        nodegroup_name: String, nodegroup_arn: String, cluster_name: String, version: String, release_version: String,
        created_at: Time, modified_at: Time, status: String, capacity_type: String,
        scaling_config: NodegroupScalingConfig, instance_types: Vec<String>, subnets: Vec<String>, ami_type: String,
        node_role: String, labels: Map, taints: Vec<Taint>, resources: NodegroupResources, disk_size: i64,
        health: NodegroupHealth, update_config: NodegroupUpdateConfig, tags: Map,
        launch_template: LaunchTemplateSpecification, remote_access: RemoteAccessConfig,
    }
    NodegroupScalingConfig { min_size: i64, max_size: i64, desired_size: i64 }
    NodegroupUpdateConfig { max_unavailable: i64, max_unavailable_percentage: i64 }
    NodegroupResources { auto_scaling_groups: Vec<AutoScalingGroup>, remote_access_security_group: String }
    AutoScalingGroup { name: String }
    NodegroupHealth { issues: Vec<Issue> }
    Issue { code: String, message: String, resource_ids: Vec<String> }
    Taint { key: String, value: String, effect: String }
    RemoteAccessConfig { ec2_ssh_key: String, source_security_groups: Vec<String> }
    LaunchTemplateSpecification { name: String, version: String, id: String }
    UpdateLabelsPayload { add_or_update_labels: Map, remove_labels: Vec<String> }
    UpdateTaintsPayload { add_or_update_taints: Vec<Taint>, remove_taints: Vec<Taint> }
    Update { id: String, status: String, r#type: String, params: Vec<UpdateParam>, created_at: Time, errors: Vec<ErrorDetail> }
    UpdateParam { r#type: String, value: String }
    ErrorDetail { error_code: String, error_message: String, resource_ids: Vec<String> }
    ClusterVersionInformation {
        cluster_version: String, cluster_type: String, default_platform_version: String, default_version: bool,
        release_date: Time, end_of_standard_support_date: Time, end_of_extended_support_date: Time, status: String,
        version_status: String, kubernetes_patch_version: String,
    }
}

#[cfg(test)]
mod tests;
