//! `create cluster` and `create nodegroup`: what eksctl's stacks would make, by the EKS API.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use aws_types::eks::{
    CreateAccessConfigRequest, CreateClusterRequest, CreateClusterResponse, CreateNodegroupRequest,
    CreateNodegroupResponse, KubernetesNetworkConfigRequest, NodegroupScalingConfig, NodegroupUpdateConfig, Taint,
    UpgradePolicyRequest, VpcConfigRequest,
};
use aws_types::{arn, eks_version};
use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::{ClusterConfig, ManagedNodeGroup};

use crate::arguments::{CreateCluster, CreateNodegroup};
use crate::flags;
use crate::network::Subnet;
use crate::session::{CommandError, Done, Session};

/// `create cluster`.
pub async fn cluster(home: &Path, options: &CreateCluster) -> Done {
    let (config, warnings) = flags::cluster(options)?;
    if options.dry_run {
        print!("{}", serde_saphyr::to_string(&config)?);
        return Ok(());
    }
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let (progress, name, region) = (
        &session.progress,
        config.metadata.name.clone(),
        session.aws.region().to_owned(),
    );
    progress.info(format!("ondol version {}", env!("CARGO_PKG_VERSION")));
    progress.info(format!("using region {region}"));
    warnings
        .iter()
        .for_each(|warning| progress.warning(warning.to_string()));
    if session.cluster(&name).await?.is_some() {
        return Err(CommandError::Usage(format!(
            "cluster {name} exists already in {region}; delete it or choose another name"
        ))
        .into());
    }
    let subnets = session.create_network(&config).await?;
    progress.info(format!("using Kubernetes version {}", version(&config)));
    progress.info(format!("creating EKS cluster {name:?} in {region:?} region"));
    let limit = options.waiting.timeout;
    if let Err(error) = session.create_control_plane(&config, &subnets).await {
        session.delete_network(&name).await?;
        return Err(error);
    }
    session.wait_for_cluster(&name, limit).await?;
    progress.done(format!("control plane of {name:?} is ready"));
    if options.write_kubeconfig {
        let context = session.write_kubeconfig(&name, &options.kubeconfig).await?;
        progress.info(format!("kubectl context {context:?}"));
    }
    session.create_nodegroups(&config, &subnets, limit).await?;
    progress.finished(format!("EKS cluster {name:?} in {region:?} region is ready"));
    Ok(())
}

/// `create nodegroup`.
pub async fn nodegroup(home: &Path, options: &CreateNodegroup) -> Done {
    let (config, warnings) = flags::nodegroups(options)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    warnings
        .iter()
        .for_each(|warning| session.progress.warning(warning.to_string()));
    let cluster = session.existing_cluster(&config.metadata.name).await?;
    let own = session.network(&config.metadata.name).await?;
    let named = cluster
        .resources_vpc_config
        .and_then(|network| network.subnet_ids)
        .unwrap_or_default();
    // A cluster that was made by other means has no subnets of ours; its own are taken as they are.
    let subnets = if own.is_empty() {
        named
            .into_iter()
            .map(|id| Subnet {
                id,
                zone: String::new(),
                public: true,
            })
            .collect()
    } else {
        own
    };
    session
        .create_nodegroups(&config, &subnets, options.waiting.timeout)
        .await?;
    session
        .progress
        .finished(format!("node groups of cluster {:?} are ready", config.metadata.name));
    Ok(())
}

fn version(config: &ClusterConfig) -> String {
    config
        .metadata
        .version
        .clone()
        .unwrap_or_else(|| eks_version::default_version().minor.to_owned())
}

/// The tags that eksctl's stacks put on a cluster.
fn tags(config: &ClusterConfig) -> BTreeMap<String, String> {
    let with_oidc = config.iam.as_ref().and_then(|iam| iam.with_oidc).unwrap_or(false);
    let own = [
        ("alpha.eksctl.io/cluster-name", config.metadata.name.clone()),
        (
            "eksctl.cluster.k8s.io/v1alpha1/cluster-name",
            config.metadata.name.clone(),
        ),
        ("alpha.eksctl.io/cluster-oidc-enabled", with_oidc.to_string()),
    ];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
    config
        .metadata
        .tags
        .clone()
        .unwrap_or_default()
        .into_iter()
        .chain(own)
        .collect()
}

impl Session {
    async fn create_control_plane(&self, config: &ClusterConfig, subnets: &[Subnet]) -> Done {
        let name = &config.metadata.name;
        let role = config.iam.as_ref().and_then(|iam| iam.service_role_arn.clone());
        let access = config.access_config.clone().unwrap_or_default();
        let endpoints = config
            .vpc
            .clone()
            .unwrap_or_default()
            .cluster_endpoints
            .unwrap_or_default();
        let service_cidr = config
            .kubernetes_network_config
            .as_ref()
            .and_then(|network| network.service_ipv4_cidr.clone());
        let request = CreateClusterRequest {
            name: Some(name.clone()),
            version: Some(version(config)),
            role_arn: Some(role.unwrap_or_else(|| self.role(&format!("eksctl-{name}-cluster-ServiceRole")))),
            resources_vpc_config: Some(VpcConfigRequest {
                subnet_ids: Some(subnets.iter().map(|subnet| subnet.id.clone()).collect()),
                // A loopback endpoint is always there; what was asked is told, and warned about.
                endpoint_public_access: Some(endpoints.public_access.unwrap_or(true)),
                endpoint_private_access: endpoints.private_access,
                ..VpcConfigRequest::default()
            }),
            kubernetes_network_config: service_cidr.map(|range| KubernetesNetworkConfigRequest {
                service_ipv4_cidr: Some(range),
                ip_family: None,
            }),
            access_config: Some(CreateAccessConfigRequest {
                authentication_mode: Some(
                    access
                        .authentication_mode
                        .unwrap_or_else(|| "API_AND_CONFIG_MAP".to_owned()),
                ),
                bootstrap_cluster_creator_admin_permissions: Some(
                    access.bootstrap_cluster_creator_admin_permissions.unwrap_or(true),
                ),
            }),
            upgrade_policy: config.upgrade_policy.clone().map(|policy| UpgradePolicyRequest {
                support_type: policy.support_type,
            }),
            tags: Some(tags(config)),
            client_request_token: Some(SystemRandom.uuid()),
            ..CreateClusterRequest::default()
        };
        self.aws.eks::<CreateClusterResponse>("CreateCluster", &request).await?;
        Ok(())
    }

    fn role(&self, name: &str) -> String {
        arn::role(&self.aws.keys().account_id, name)
    }

    /// Asks for every group, then waits for all of them: they come up side by side.
    async fn create_nodegroups(&self, config: &ClusterConfig, subnets: &[Subnet], limit: Duration) -> Done {
        let groups: Vec<&ManagedNodeGroup> = config.managed_node_groups.iter().flatten().collect();
        for group in &groups {
            self.progress
                .info(format!("nodegroup {:?} will use {:?}", group.name, group.types()));
            let request = self.nodegroup_request(config, group, subnets)?;
            self.aws
                .eks::<CreateNodegroupResponse>("CreateNodegroup", &request)
                .await?;
        }
        for group in groups {
            self.wait_for_nodegroup(&config.metadata.name, &group.name, limit)
                .await?;
            let nodes = group.sizes().1;
            self.progress
                .done(format!("nodegroup {:?} has {nodes} ready node(s)", group.name));
        }
        Ok(())
    }

    fn nodegroup_request(
        &self,
        config: &ClusterConfig,
        group: &ManagedNodeGroup,
        subnets: &[Subnet],
    ) -> Result<CreateNodegroupRequest, Box<dyn Error + Send + Sync>> {
        let cluster = &config.metadata.name;
        let wants_public = group.private_networking != Some(true);
        let in_zone = |subnet: &&Subnet| {
            group
                .availability_zones
                .as_ref()
                .is_none_or(|zones| zones.contains(&subnet.zone))
        };
        let chosen = subnets
            .iter()
            .filter(|subnet| subnet.public == wants_public || subnet.zone.is_empty())
            .filter(in_zone);
        let subnet_ids: Vec<String> = chosen.map(|subnet| subnet.id.clone()).collect();
        if subnet_ids.is_empty() {
            return Err(
                CommandError::Usage(format!("node group {} fits no subnet of cluster {cluster}", group.name)).into(),
            );
        }
        let (min, desired, max) = group.sizes();
        let mut labels = group.labels.clone().unwrap_or_default();
        labels.insert("alpha.eksctl.io/cluster-name".to_owned(), cluster.clone());
        labels.insert("alpha.eksctl.io/nodegroup-name".to_owned(), group.name.clone());
        let mut tags = group.tags.clone().unwrap_or_default();
        tags.insert("alpha.eksctl.io/nodegroup-name".to_owned(), group.name.clone());
        tags.insert("alpha.eksctl.io/nodegroup-type".to_owned(), "managed".to_owned());
        let role = group.iam.as_ref().and_then(|iam| iam.instance_role_arn.clone());
        Ok(CreateNodegroupRequest {
            cluster_name: Some(cluster.clone()),
            nodegroup_name: Some(group.name.clone()),
            scaling_config: Some(NodegroupScalingConfig {
                min_size: Some(min),
                max_size: Some(max),
                desired_size: Some(desired),
            }),
            disk_size: group.volume_size,
            subnets: Some(subnet_ids),
            instance_types: Some(group.types()),
            ami_type: ami_type(group),
            node_role: Some(
                role.unwrap_or_else(|| {
                    self.role(&format!("eksctl-{cluster}-nodegroup-{}-NodeInstanceRole", group.name))
                }),
            ),
            labels: Some(labels),
            taints: group.taints.as_ref().map(|taints| taints.iter().map(taint).collect()),
            tags: Some(tags),
            client_request_token: Some(SystemRandom.uuid()),
            update_config: group.update_config.as_ref().map(|update| NodegroupUpdateConfig {
                max_unavailable: update.max_unavailable,
                max_unavailable_percentage: update.max_unavailable_percentage,
            }),
            capacity_type: Some(if group.spot == Some(true) { "SPOT" } else { "ON_DEMAND" }.to_owned()),
            ..CreateNodegroupRequest::default()
        })
    }
}

fn taint(taint: &cluster_lifecycle::cluster_config::NodeTaint) -> Taint {
    let effect = match taint.effect.as_str() {
        "NoSchedule" => "NO_SCHEDULE",
        "PreferNoSchedule" => "PREFER_NO_SCHEDULE",
        _ => "NO_EXECUTE",
    };
    Taint {
        key: Some(taint.key.clone()),
        value: taint.value.clone(),
        effect: Some(effect.to_owned()),
    }
}

/// EKS's name for an AMI family; what is not named here is left to EKS's default.
fn ami_type(group: &ManagedNodeGroup) -> Option<String> {
    let first = group.types().into_iter().next()?;
    let is_arm = aws_types::instance_type::find(&first)?.architecture == "arm64";
    let name = match (group.ami_family.as_deref()?, is_arm) {
        ("AmazonLinux2023", false) => "AL2023_x86_64_STANDARD",
        ("AmazonLinux2023", true) => "AL2023_ARM_64_STANDARD",
        ("AmazonLinux2", false) => "AL2_x86_64",
        ("AmazonLinux2", true) => "AL2_ARM_64",
        ("Bottlerocket", false) => "BOTTLEROCKET_x86_64",
        ("Bottlerocket", true) => "BOTTLEROCKET_ARM_64",
        _ => return None,
    };
    Some(name.to_owned())
}
