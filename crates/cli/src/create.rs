//! `create cluster` and `create nodegroup`: what eksctl's stacks would make, by the EKS API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_types::eks::{
    CreateAccessConfigRequest, CreateClusterRequest, CreateClusterResponse, CreateNodegroupRequest,
    CreateNodegroupResponse, KubernetesNetworkConfigRequest, LaunchTemplateSpecification, NodegroupScalingConfig,
    NodegroupUpdateConfig, Taint, UpgradePolicyRequest, VpcConfigRequest,
};
use aws_types::eks_version;
use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::parts::log_types;
use cluster_lifecycle::cluster_config::{ClusterConfig, ManagedNodeGroup};

use crate::eksctl::{self, Given, SshAccesses, encryption, log_setup};
use crate::iam::role_name;
use crate::network::Subnet;
use crate::output;
use crate::role::{Role, Trust, managed};
use crate::session::{CommandError, Done, Made, Session};

/// `create cluster`.
pub async fn cluster(home: &Path, given: &Given) -> Done {
    let (config, warnings) = eksctl::cluster(given)?;
    if given.is_on("dry-run") {
        return output::print_config(&config);
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
    // A key that is not there is told before anything is made.
    let ssh = session.ssh_accesses(&config).await?;
    let subnets = match session.given_network(&config).await? {
        Some(subnets) => subnets,
        None => session.create_network(&config).await?,
    };
    progress.info(format!("using Kubernetes version {}", version(&config)));
    progress.info(format!("creating EKS cluster {name:?} in {region:?} region"));
    let limit = given.timeout();
    if let Err(error) = session.create_control_plane(&config, &subnets).await {
        session.delete_network(&name).await?;
        session.delete_role(&service_role(&name)).await?;
        return Err(error);
    }
    let cluster = session.wait_for_cluster(&name, limit).await?;
    progress.done(format!("control plane of {name:?} is ready"));
    if given.is_on("write-kubeconfig") {
        let context = session.write_kubeconfig(&name, given).await?;
        progress.info(format!("kubectl context {context:?}"));
    }
    let access = config.access_config.clone().unwrap_or_default();
    let entries = access.access_entries.unwrap_or_default();
    session.create_access_entries(&name, &entries).await?;
    if has_oidc(&config) {
        session.create_oidc_provider(&cluster).await?;
        progress.info(format!("created IAM Open ID Connect provider for cluster {name:?}"));
    }
    for addon in session.initial_addons(&config) {
        session.create_addon(&config, &addon, true, limit).await?;
    }
    session.create_nodegroups(&config, &subnets, &ssh, limit).await?;
    session.create_parts(&config, limit).await?;
    progress.finished(format!("EKS cluster {name:?} in {region:?} region is ready"));
    Ok(())
}

/// `create nodegroup`.
pub async fn nodegroup(home: &Path, given: &Given) -> Done {
    let (config, warnings) = eksctl::nodegroups(given)?;
    if given.is_on("dry-run") {
        return output::print_config(&config);
    }
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
        let own = |id| Subnet {
            id,
            zone: String::new(),
            public: true,
        };
        named.into_iter().map(own).collect()
    } else {
        own
    };
    let version = given.text("version").filter(|version| version != "auto");
    let mut config = config;
    // The version of a file is the cluster's; a group's own is said by the flag.
    config.metadata.version = version;
    let ssh = session.ssh_accesses(&config).await?;
    session
        .create_nodegroups(&config, &subnets, &ssh, given.timeout())
        .await?;
    session
        .progress
        .finished(format!("node groups of cluster {:?} are ready", config.metadata.name));
    Ok(())
}

/// The role of a cluster that names none.
pub fn service_role(cluster: &str) -> String {
    role_name(&format!("eksctl-{cluster}-cluster-ServiceRole"))
}

/// The role of a node group that names none.
pub fn node_role(cluster: &str, group: &str) -> String {
    role_name(&format!("eksctl-{cluster}-nodegroup-{group}-NodeInstanceRole"))
}

fn has_oidc(config: &ClusterConfig) -> bool {
    config.iam.as_ref().and_then(|iam| iam.with_oidc) == Some(true)
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
    let with_oidc = has_oidc(config);
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
        let role_arn = match config.iam.as_ref().and_then(|iam| iam.service_role_arn.clone()) {
            Some(arn) => arn,
            None => {
                let trust = Trust::Service("eks.amazonaws.com");
                let mut role = Role::new("ServiceRole", format!("role of cluster {name}"), trust);
                role.managed = vec![
                    managed("AmazonEKSClusterPolicy"),
                    managed("AmazonEKSVPCResourceController"),
                ];
                self.create_role(&service_role(name), &role).await?
            }
        };
        let access = config.access_config.clone().unwrap_or_default();
        let logging = config
            .cloud_watch
            .as_ref()
            .and_then(|watch| watch.cluster_logging.as_ref());
        let logs = logging.and_then(|logging| logging.enable_types.as_deref());
        let key = config
            .secrets_encryption
            .as_ref()
            .and_then(|encryption| encryption.key_arn.as_deref());
        let service_cidr = config
            .kubernetes_network_config
            .as_ref()
            .and_then(|network| network.service_ipv4_cidr.clone());
        let request = CreateClusterRequest {
            name: Some(name.clone()),
            version: Some(version(config)),
            role_arn: Some(role_arn),
            resources_vpc_config: Some(network_request(config, subnets)),
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
            // As with eksctl, the add-ons of a cluster are EKS's.
            bootstrap_self_managed_addons: Some(false),
            logging: logs.map(|types| log_setup(&log_types(types))),
            encryption_config: key.map(|key| vec![encryption(key)]),
            tags: Some(tags(config)),
            client_request_token: Some(SystemRandom.uuid()),
            ..CreateClusterRequest::default()
        };
        self.aws.eks::<CreateClusterResponse>("CreateCluster", &request).await?;
        Ok(())
    }

    /// What a file asks for beside the cluster and its node groups, in the order in which it can be made.
    async fn create_parts(&self, config: &ClusterConfig, limit: Duration) -> Done {
        let name = &config.metadata.name;
        let iam = config.iam.clone().unwrap_or_default();
        let accounts = iam.service_accounts.unwrap_or_default();
        self.create_service_accounts(name, &accounts, limit).await?;
        self.create_fargate_profiles(config, limit).await?;
        let mappings = config.iam_identity_mappings.clone().unwrap_or_default();
        self.create_identity_mappings(name, &mappings).await?;
        let associations = iam.pod_identity_associations.unwrap_or_default();
        self.create_pod_identities(name, &associations, limit).await?;
        let providers = config.identity_providers.clone().unwrap_or_default();
        self.associate_identity_providers(name, &providers, Some(limit)).await
    }

    /// The role of a group's nodes: the one that it names, or one with eksctl's policies.
    async fn node_role(&self, config: &ClusterConfig, group: &ManagedNodeGroup) -> Made<String> {
        let iam = group.iam.clone().unwrap_or_default();
        if let Some(arn) = iam.instance_role_arn {
            return Ok(arn);
        }
        let cluster = &config.metadata.name;
        let trust = Trust::Service("ec2.amazonaws.com");
        let mut role = Role::new(
            "NodeInstanceRole",
            format!("role of node group {} of {cluster}", group.name),
            trust,
        );
        role.managed = iam.attach_policy_arns.unwrap_or_else(|| {
            let usual = [
                "AmazonEKSWorkerNodePolicy",
                "AmazonEC2ContainerRegistryPullOnly",
                "AmazonSSMManagedInstanceCore",
            ];
            let cni = (!has_oidc(config)).then_some("AmazonEKS_CNI_Policy");
            usual.into_iter().chain(cni).map(managed).collect()
        });
        role.document = iam.attach_policy;
        role.boundary = iam.instance_role_permissions_boundary;
        if let Some(words) = &iam.with_addon_policies {
            role.addon_policies(words);
        }
        let name = iam
            .instance_role_name
            .unwrap_or_else(|| node_role(cluster, &group.name));
        self.create_role(&name, &role).await
    }

    /// Asks for every group, then waits for all of them: they come up side by side.
    async fn create_nodegroups(
        &self,
        config: &ClusterConfig,
        subnets: &[Subnet],
        ssh: &SshAccesses,
        limit: Duration,
    ) -> Done {
        let groups: Vec<&ManagedNodeGroup> = config.managed_node_groups.iter().flatten().collect();
        for group in &groups {
            self.progress
                .info(format!("nodegroup {:?} will use {:?}", group.name, group.types()));
            let role = self.node_role(config, group).await?;
            let request = CreateNodegroupRequest {
                remote_access: ssh.get(&group.name).cloned(),
                ..nodegroup_request(config, group, subnets, role)?
            };
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
}

/// Where the control plane is, and who reaches it.
fn network_request(config: &ClusterConfig, subnets: &[Subnet]) -> VpcConfigRequest {
    let vpc = config.vpc.clone().unwrap_or_default();
    let endpoints = vpc.cluster_endpoints.unwrap_or_default();
    let all = || subnets.iter().map(|subnet| subnet.id.clone()).collect();
    VpcConfigRequest {
        subnet_ids: Some(vpc.control_plane_subnet_ids.unwrap_or_else(all)),
        security_group_ids: vpc.control_plane_security_group_ids,
        public_access_cidrs: vpc.public_access_cidrs,
        // A loopback endpoint is always there; what was asked is told, and warned about.
        endpoint_public_access: Some(endpoints.public_access.unwrap_or(true)),
        endpoint_private_access: endpoints.private_access,
    }
}

/// The subnets that a group's nodes may be in.
fn nodegroup_subnets(cluster: &str, group: &ManagedNodeGroup, subnets: &[Subnet]) -> Made<Vec<String>> {
    if let Some(named) = &group.subnets {
        return Ok(named.clone());
    }
    let wants_public = group.private_networking != Some(true);
    let zones = group.availability_zones.as_ref();
    let fits = |subnet: &&Subnet| {
        let in_zone = zones.is_none_or(|zones| zones.contains(&subnet.zone));
        (subnet.public == wants_public || subnet.zone.is_empty()) && in_zone
    };
    let chosen: Vec<String> = subnets.iter().filter(fits).map(|subnet| subnet.id.clone()).collect();
    if chosen.is_empty() {
        return Err(
            CommandError::Usage(format!("node group {} fits no subnet of cluster {cluster}", group.name)).into(),
        );
    }
    Ok(chosen)
}

/// What `CreateNodegroup` is asked.
fn nodegroup_request(
    config: &ClusterConfig,
    group: &ManagedNodeGroup,
    subnets: &[Subnet],
    role: String,
) -> Made<CreateNodegroupRequest> {
    let cluster = &config.metadata.name;
    let subnet_ids = nodegroup_subnets(cluster, group, subnets)?;
    let (min, desired, max) = group.sizes();
    let mut labels = group.labels.clone().unwrap_or_default();
    labels.insert("alpha.eksctl.io/cluster-name".to_owned(), cluster.clone());
    labels.insert("alpha.eksctl.io/nodegroup-name".to_owned(), group.name.clone());
    let mut tags = group.tags.clone().unwrap_or_default();
    tags.insert("alpha.eksctl.io/nodegroup-name".to_owned(), group.name.clone());
    tags.insert("alpha.eksctl.io/nodegroup-type".to_owned(), "managed".to_owned());
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
        node_role: Some(role),
        labels: Some(labels),
        taints: group.taints.as_ref().map(|taints| taints.iter().map(taint).collect()),
        tags: Some(tags),
        client_request_token: Some(SystemRandom.uuid()),
        update_config: group.update_config.as_ref().map(|update| NodegroupUpdateConfig {
            max_unavailable: update.max_unavailable,
            max_unavailable_percentage: update.max_unavailable_percentage,
        }),
        capacity_type: Some(if group.spot == Some(true) { "SPOT" } else { "ON_DEMAND" }.to_owned()),
        version: config.metadata.version.clone(),
        release_version: group.release_version.clone(),
        launch_template: group
            .launch_template
            .as_ref()
            .map(|template| LaunchTemplateSpecification {
                id: Some(template.id.clone()),
                version: template.version.clone(),
                name: None,
            }),
        ..CreateNodegroupRequest::default()
    })
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
