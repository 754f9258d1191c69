//! Records as EKS's answers show them.

use aws_types::eks::{self, AutoScalingGroup, Identity, LogSetup, Logging, Oidc};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Nodegroup, Unavailable};
use cluster_lifecycle::update::{Update, UpdateStatus};

use super::certificate_authority;

/// Control plane logs that EKS can deliver.
pub const LOG_TYPES: &[&str] = &["api", "audit", "authenticator", "controllerManager", "scheduler"];

/// A cluster.
pub fn cluster(cluster: &Cluster) -> eks::Cluster {
    let network = &cluster.network;
    let resources_vpc_config = eks::VpcConfigResponse {
        subnet_ids: Some(network.subnet_ids.iter().map(ToString::to_string).collect()),
        security_group_ids: Some(network.security_group_ids.clone()),
        cluster_security_group_id: Some(network.cluster_security_group_id.clone()),
        vpc_id: Some(network.vpc_id.to_string()),
        endpoint_public_access: Some(network.endpoint_public_access),
        endpoint_private_access: Some(network.endpoint_private_access),
        public_access_cidrs: Some(network.public_access_cidrs.clone()),
    };
    eks::Cluster {
        name: Some(cluster.name.to_string()),
        arn: Some(cluster.arn.clone()),
        created_at: Some(cluster.created_at.into()),
        version: Some(cluster.version.clone()),
        endpoint: cluster.endpoint.clone(),
        role_arn: Some(cluster.role_arn.clone()),
        resources_vpc_config: Some(resources_vpc_config),
        kubernetes_network_config: Some(eks::KubernetesNetworkConfigResponse {
            service_ipv4_cidr: Some(network.service_cidr.clone()),
            ip_family: Some("ipv4".to_owned()),
        }),
        logging: Some(logging(&cluster.enabled_logs)),
        identity: Some(Identity {
            oidc: Some(Oidc {
                issuer: Some(network.oidc_issuer.clone()),
            }),
        }),
        status: Some(cluster.status.name().to_owned()),
        certificate_authority: Some(certificate_authority::of_cluster(cluster)),
        client_request_token: cluster.client_request_token.clone(),
        platform_version: Some(cluster.platform_version.clone()),
        tags: Some(cluster.tags.clone()),
        health: Some(eks::ClusterHealth {
            issues: Some(cluster.issues.iter().map(issue).collect()),
        }),
        access_config: Some(eks::AccessConfigResponse {
            bootstrap_cluster_creator_admin_permissions: Some(cluster.creator_is_admin),
            authentication_mode: Some(cluster.authentication_mode.clone()),
        }),
        upgrade_policy: Some(eks::UpgradePolicyResponse {
            support_type: Some(cluster.support_type.clone()),
        }),
        deletion_protection: Some(cluster.deletion_protection),
        encryption_config: cluster.encryption_key.as_ref().map(|key| vec![encryption(key)]),
        connector_config: None,
    }
}

fn encryption(key: &str) -> eks::EncryptionConfig {
    eks::EncryptionConfig {
        resources: Some(vec!["secrets".to_owned()]),
        provider: Some(eks::Provider {
            key_arn: Some(key.to_owned()),
        }),
    }
}

/// Something that is wrong with a cluster.
pub fn issue(issue: &cluster_lifecycle::cluster::Issue) -> eks::ClusterIssue {
    eks::ClusterIssue {
        code: Some(issue.code.clone()),
        message: Some(issue.message.clone()),
        resource_ids: Some(issue.resource_ids.clone()),
    }
}

/// EKS lists every log type, those that are delivered and those that are not.
fn logging(enabled: &[String]) -> Logging {
    let (on, off): (Vec<&str>, Vec<&str>) = LOG_TYPES
        .iter()
        .partition(|kind| enabled.iter().any(|name| name == *kind));
    let setup = |types: Vec<&str>, enabled| {
        let types: Vec<String> = types.into_iter().map(str::to_owned).collect();
        (!types.is_empty()).then_some(LogSetup {
            types: Some(types),
            enabled: Some(enabled),
        })
    };
    Logging {
        cluster_logging: Some([setup(on, true), setup(off, false)].into_iter().flatten().collect()),
    }
}

/// A node group.
pub fn nodegroup(group: &Nodegroup) -> eks::Nodegroup {
    let number = |value: u32| Some(i64::from(value));
    let update_config = match group.max_unavailable {
        Unavailable::Count(count) => eks::NodegroupUpdateConfig {
            max_unavailable: number(count),
            max_unavailable_percentage: None,
        },
        Unavailable::Percentage(share) => eks::NodegroupUpdateConfig {
            max_unavailable: None,
            max_unavailable_percentage: number(share),
        },
    };
    let issue = |issue: &cluster_lifecycle::nodegroup::Issue| eks::Issue {
        code: Some(issue.code.clone()),
        message: Some(issue.message.clone()),
        resource_ids: Some(issue.resource_ids.clone()),
    };
    let taint = |taint: &cluster_lifecycle::nodegroup::Taint| eks::Taint {
        key: Some(taint.key.clone()),
        value: taint.value.clone(),
        effect: Some(taint.effect.clone()),
    };
    eks::Nodegroup {
        nodegroup_name: Some(group.name.to_string()),
        nodegroup_arn: Some(group.arn.clone()),
        cluster_name: Some(group.cluster.to_string()),
        version: Some(group.version.clone()),
        release_version: Some(group.release_version.clone()),
        created_at: Some(group.created_at.into()),
        modified_at: Some(group.modified_at.into()),
        status: Some(group.status.name().to_owned()),
        capacity_type: Some(group.capacity_type.clone()),
        scaling_config: Some(eks::NodegroupScalingConfig {
            min_size: number(group.scaling.min),
            max_size: number(group.scaling.max),
            desired_size: number(group.scaling.desired),
        }),
        instance_types: Some(group.instance_types.clone()),
        subnets: Some(group.subnets.iter().map(|subnet| subnet.id.to_string()).collect()),
        ami_type: Some(group.ami_type.clone()),
        node_role: Some(group.node_role.clone()),
        labels: Some(group.labels.clone()),
        taints: (!group.taints.is_empty()).then(|| group.taints.iter().map(taint).collect()),
        resources: Some(eks::NodegroupResources {
            auto_scaling_groups: Some(vec![AutoScalingGroup {
                name: Some(group.auto_scaling_group.clone()),
            }]),
            remote_access_security_group: group.remote_access.as_ref().map(|access| access.group.clone()),
        }),
        remote_access: group.remote_access.as_ref().map(|access| eks::RemoteAccessConfig {
            ec2_ssh_key: Some(access.key.clone()),
            source_security_groups: (!access.sources.is_empty()).then(|| access.sources.clone()),
        }),
        disk_size: group.launch_template.is_none().then_some(i64::from(group.disk_size)),
        launch_template: launch_template(group),
        health: Some(eks::NodegroupHealth {
            issues: Some(group.issues.iter().map(issue).collect()),
        }),
        update_config: Some(update_config),
        tags: Some(group.tags.clone()),
    }
}

fn launch_template(group: &Nodegroup) -> Option<eks::LaunchTemplateSpecification> {
    let (id, name, version) = group.launch_template.clone()?;
    Some(eks::LaunchTemplateSpecification {
        id: Some(id),
        name: Some(name),
        version: Some(version),
    })
}

/// An update's status in EKS's spelling.
pub fn update_status(update: &Update) -> &'static str {
    match update.status {
        UpdateStatus::InProgress => "InProgress",
        UpdateStatus::Failed => "Failed",
        UpdateStatus::Cancelled => "Cancelled",
        UpdateStatus::Successful => "Successful",
    }
}

/// An update.
pub fn update(update: &Update) -> eks::Update {
    let param = |(kind, value): &(String, String)| eks::UpdateParam {
        r#type: Some(kind.clone()),
        value: Some(value.clone()),
    };
    let error = |(code, message): &(String, String)| eks::ErrorDetail {
        error_code: Some(code.clone()),
        error_message: Some(message.clone()),
        resource_ids: None,
    };
    eks::Update {
        id: Some(update.id.clone()),
        status: Some(update_status(update).to_owned()),
        r#type: Some(update.kind.clone()),
        params: Some(update.params.iter().map(param).collect()),
        created_at: Some(update.created_at.into()),
        errors: Some(update.errors.iter().map(error).collect()),
    }
}
