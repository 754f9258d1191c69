//! Clusters.

use aws_types::ClusterName;
use aws_types::arn::{self, Arn};
use aws_types::eks::{
    CreateClusterRequest, CreateClusterResponse, DeleteClusterRequest, DeleteClusterResponse, DescribeClusterRequest,
    DescribeClusterResponse, ListClustersRequest, ListClustersResponse, Logging, VpcConfigRequest,
};
use cluster_lifecycle::access_entry::{AccessEntry, Association, Choice, Scope, policy_arn};
use cluster_lifecycle::cluster::{Cluster, ClusterStatus, Input, Network};
use cluster_lifecycle::refusal::RefusalKind;
use cluster_lifecycle::{Refusal, request as rules};
use jiff::Timestamp;

use super::{access_entry, check_tags, encryption, find_cluster, registration, view};
use crate::ec2::document::Document;
use crate::ec2::security_group;
use crate::error::ApiError;
use crate::issuer;
use crate::ledger::{Change, State};
use crate::network::Subnet;
use crate::operations::Context;
use crate::page;
use crate::quotas;
use crate::region::Region;

/// `CreateCluster`.
pub async fn create(context: Context, request: CreateClusterRequest) -> Result<CreateClusterResponse, ApiError> {
    let region = &context.region;
    let wanted = Wanted::read(request)?;
    let name = wanted.name.clone();
    let ids = Ids::new(region);
    let answer = region.ledger.change(|state| {
        if let Some(existing) = state.clusters.get(&wanted.name) {
            let token = &wanted.request.client_request_token;
            if token.is_some() && existing.client_request_token == *token {
                return Ok((view::cluster(existing), Vec::new()));
            }
            let message = format!("Cluster already exists with name: {}", wanted.name);
            return Err(ApiError::from(
                Refusal::in_use(message).of_cluster(wanted.name.as_str()),
            ));
        }
        if registration::find(state, wanted.name.as_str()).is_some() {
            let message = format!("Cluster already exists with name: {}", wanted.name);
            return Err(Refusal::in_use(message).of_cluster(wanted.name.as_str()).into());
        }
        let most = quotas::most(state, "eks", quotas::CLUSTERS);
        if state.clusters.len() >= most {
            let message = format!("the account has {most} clusters in this region, which is the limit");
            return Err(Refusal::new(RefusalKind::ResourceLimitExceeded, message).into());
        }
        let cluster = wanted.cluster(state, &context, ids)?;
        let mut changes = vec![Change::put(security_group(&context, &cluster))];
        if cluster.creator_is_admin && cluster.authentication_mode != "CONFIG_MAP" {
            changes.push(Change::put(creator_entry(&context, &cluster)?));
        }
        changes.extend(crate::logs::of_cluster(&context, state, &cluster));
        let answer = view::cluster(&cluster);
        changes.push(Change::put(cluster));
        Ok((answer, changes))
    });
    let cluster = answer.await?;
    region.drive(&name);
    Ok(CreateClusterResponse { cluster: Some(cluster) })
}

/// The group that EKS makes for a cluster's interfaces and nodes.
fn security_group(context: &Context, cluster: &Cluster) -> Document {
    let id = &cluster.network.cluster_security_group_id;
    let name = format!("eks-cluster-sg-{}-{}", cluster.name, id.trim_start_matches("sg-"));
    let description = "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any managed workloads.";
    let nothing = serde_json::Value::Null;
    let mut group = security_group::new(context, &nothing, cluster.network.vpc_id.as_str(), &name, description);
    group.id.clone_from(id);
    security_group::trust_itself(&mut group, context.caller.account.as_str());
    let tags = [
        ("Name".to_owned(), name),
        (format!("kubernetes.io/cluster/{}", cluster.name), "owned".to_owned()),
        ("aws:eks:cluster-name".to_owned(), cluster.name.to_string()),
    ];
    group.tags.extend(tags);
    group
}

/// The creator's access entry, with the right to do everything.
fn creator_entry(context: &Context, cluster: &Cluster) -> Result<AccessEntry, Refusal> {
    let mut entry = access_entry::entry(context, &cluster.name, &cluster.creator_arn, None, Choice::default())?;
    let association = Association {
        scope: Scope::Cluster,
        associated_at: entry.created_at,
        modified_at: entry.created_at,
    };
    entry
        .policies
        .insert(policy_arn("AmazonEKSClusterAdminPolicy"), association);
    Ok(entry)
}

/// A request whose own values are acceptable.
struct Wanted {
    name: ClusterName,
    vpc: VpcConfigRequest,
    request: CreateClusterRequest,
}

/// Ids that the new cluster gets, drawn before the ledger is locked.
struct Ids {
    security_group: String,
    issuer: String,
    now: Timestamp,
}

impl Ids {
    fn new(region: &Region) -> Self {
        Self {
            security_group: region.id("sg-"),
            issuer: region.random.hex(32).to_uppercase(),
            now: region.clock.now(),
        }
    }
}

impl Wanted {
    fn read(mut request: CreateClusterRequest) -> Result<Self, Refusal> {
        let text = request.name.clone().unwrap_or_default();
        let name = ClusterName::new(text).map_err(|error| Refusal::invalid_parameter(error.to_string()))?;
        check_role("roleArn", request.role_arn.as_deref())?;
        check_tags(request.tags.as_ref().unwrap_or(&Default::default()))?;
        let vpc = request.resources_vpc_config.take().unwrap_or_default();
        if vpc.endpoint_public_access == Some(false) && vpc.endpoint_private_access != Some(true) {
            return Err(Refusal::invalid_parameter(
                "Private and public endpoint access cannot be false",
            ));
        }
        let family = request
            .kubernetes_network_config
            .as_ref()
            .and_then(|network| network.ip_family.as_deref());
        if family == Some("ipv6") {
            return Err(Refusal::invalid_parameter(
                "ipFamily ipv6 is not available in this region",
            ));
        }
        Ok(Self { name, vpc, request })
    }

    fn cluster(&self, state: &State, context: &Context, ids: Ids) -> Result<Cluster, ApiError> {
        let request = &self.request;
        let version = rules::version(request.version.as_deref())?;
        let (region, account) = (&context.region.name, &context.caller.account);
        let access = request.access_config.clone().unwrap_or_default();
        Ok(Cluster {
            name: self.name.clone(),
            arn: arn::cluster(region, account, &self.name),
            created_at: ids.now,
            version: version.minor.to_owned(),
            platform_version: version.platform.to_owned(),
            role_arn: request.role_arn.clone().unwrap_or_default(),
            creator_arn: context.caller.canonical_arn(),
            network: self.network(state, &context.region, &ids)?,
            enabled_logs: enabled_logs(request.logging.as_ref())?,
            authentication_mode: access.authentication_mode.unwrap_or_else(|| "CONFIG_MAP".to_owned()),
            creator_is_admin: access.bootstrap_cluster_creator_admin_permissions.unwrap_or(true),
            support_type: request
                .upgrade_policy
                .clone()
                .unwrap_or_default()
                .support_type
                .unwrap_or_else(|| "EXTENDED".to_owned()),
            deletion_protection: request.deletion_protection.unwrap_or(false),
            bootstrap_addons: request.bootstrap_self_managed_addons.unwrap_or(true),
            tags: request.tags.clone().unwrap_or_default(),
            client_request_token: request.client_request_token.clone(),
            status: ClusterStatus::Creating,
            endpoint: None,
            certificate_authority_pem: None,
            issues: Vec::new(),
            issuer_keys: None,
            upgrade: None,
            encryption_key: encryption::key_of(state, request.encryption_config.as_deref().unwrap_or_default())?,
            encrypting: None,
        })
    }

    fn network(&self, state: &State, region: &Region, ids: &Ids) -> Result<Network, Refusal> {
        let subnets = find_subnets(state, self.vpc.subnet_ids.as_deref().unwrap_or_default())?;
        rules::zones(&subnets.iter().map(|subnet| subnet.zone.clone()).collect::<Vec<_>>())?;
        let [first, ..] = subnets[..] else {
            return Err(Refusal::invalid_parameter(
                "Subnets specified must be in at least two different AZs",
            ));
        };
        if subnets.iter().any(|subnet| subnet.vpc != first.vpc) {
            return Err(Refusal::invalid_parameter(
                "Subnets specified must belong to the same VPC",
            ));
        }
        let vpc = state
            .vpcs
            .get(&first.vpc)
            .ok_or_else(|| Refusal::invalid_parameter(format!("The vpc ID '{}' does not exist", first.vpc)))?;
        let wanted_range = self
            .request
            .kubernetes_network_config
            .as_ref()
            .and_then(|network| network.service_ipv4_cidr.as_deref());
        let addresses = state
            .cluster_addresses(&subnets)
            .map_err(|error| Refusal::invalid_parameter(error.to_string()))?;
        Ok(Network {
            vpc_id: first.vpc.clone(),
            subnet_ids: subnets.iter().map(|subnet| subnet.id.clone()).collect(),
            security_group_ids: self.vpc.security_group_ids.clone().unwrap_or_default(),
            cluster_security_group_id: ids.security_group.clone(),
            endpoint_public_access: self.vpc.endpoint_public_access.unwrap_or(true),
            endpoint_private_access: self.vpc.endpoint_private_access.unwrap_or(false),
            public_access_cidrs: self
                .vpc
                .public_access_cidrs
                .clone()
                .unwrap_or_else(|| vec!["0.0.0.0/0".to_owned()]),
            addresses,
            service_cidr: rules::service_cidr(wanted_range, vpc.cidr)?.to_string(),
            oidc_issuer: issuer::of_cluster(region, &ids.issuer),
        })
    }
}

/// The subnets of these ids.
pub(super) fn find_subnets<'a>(state: &'a State, ids: &[String]) -> Result<Vec<&'a Subnet>, Refusal> {
    let find = |id: &String| {
        let message = format!("The subnet ID '{id}' does not exist");
        state
            .subnets
            .values()
            .find(|subnet| subnet.id.as_str() == id)
            .ok_or_else(|| Refusal::invalid_parameter(message))
    };
    ids.iter().map(find).collect()
}

/// A role must be an IAM role's ARN. Whether it exists is IAM's to say, which this region does not have yet.
pub(super) fn check_role(member: &str, text: Option<&str>) -> Result<(), Refusal> {
    let text = text.unwrap_or_default();
    match text.parse::<Arn>() {
        Ok(arn) if arn.service == "iam" && arn.resource.starts_with("role/") => Ok(()),
        Ok(_) => Err(Refusal::invalid_parameter(format!(
            "{member} {text:?} is not the ARN of a role"
        ))),
        Err(error) => Err(Refusal::invalid_parameter(format!("{member}: {error}"))),
    }
}

pub(super) fn enabled_logs(logging: Option<&Logging>) -> Result<Vec<String>, Refusal> {
    let setups = logging
        .and_then(|logging| logging.cluster_logging.as_deref())
        .unwrap_or_default();
    let enabled = setups.iter().filter(|setup| setup.enabled == Some(true));
    let types: Vec<String> = enabled
        .flat_map(|setup| setup.types.clone().unwrap_or_default())
        .collect();
    match types.iter().find(|kind| !view::LOG_TYPES.contains(&kind.as_str())) {
        Some(unknown) => Err(Refusal::invalid_parameter(format!(
            "log type {unknown:?} is not one of {}",
            view::LOG_TYPES.join(", ")
        ))),
        None => Ok(types),
    }
}

/// `DescribeCluster`.
pub async fn describe(context: Context, request: DescribeClusterRequest) -> Result<DescribeClusterResponse, ApiError> {
    let cluster = context.region.ledger.read(|state| {
        if let Some(registered) = registration::find(state, request.name.as_deref().unwrap_or_default()) {
            return registration::view(registered);
        }
        let found = find_cluster(state, request.name.as_deref())?;
        let mut shown = view::cluster(found);
        if let (Some(issue), Some(health)) = (encryption::issue(state, found), shown.health.as_mut()) {
            health.issues.get_or_insert_default().push(view::issue(&issue));
        }
        Ok::<_, ApiError>(shown)
    })?;
    Ok(DescribeClusterResponse { cluster: Some(cluster) })
}

/// `ListClusters`: registered clusters too, when `all` are to be included.
pub async fn list(context: Context, request: ListClustersRequest) -> Result<ListClustersResponse, ApiError> {
    let include = request.include.unwrap_or_default();
    if let Some(unknown) = include.iter().find(|word| *word != "all") {
        let message = format!("include {unknown:?} is not valid: it can be \"all\"");
        return Err(Refusal::invalid_parameter(message).into());
    }
    let names = context.region.ledger.read(|state| {
        let own = state.clusters.keys().map(ToString::to_string);
        let registered = registration::names(state).filter(|_| !include.is_empty());
        own.chain(registered).collect()
    });
    let (clusters, next_token) = page::names(names, request.max_results, request.next_token.as_deref())?;
    Ok(ListClustersResponse {
        clusters: Some(clusters),
        next_token,
    })
}

/// `DeleteCluster`.
pub async fn delete(context: Context, request: DeleteClusterRequest) -> Result<DeleteClusterResponse, ApiError> {
    let change = context.region.ledger.change(|state| {
        let name = request.name.as_deref().unwrap_or_default();
        if registration::find(state, name).is_some() {
            let message = format!("Cluster {name} is registered: it can be deregistered, not deleted");
            return Err(Refusal::invalid_request(message).of_cluster(name).into());
        }
        let cluster = find_cluster(state, Some(name))?;
        let nodegroups = state.nodegroups_of(&cluster.name).count();
        if state.fargate_profiles.keys().any(|(owner, _)| *owner == cluster.name) {
            let refusal = Refusal::in_use("Cluster has Fargate profiles attached").of_cluster(cluster.name.as_str());
            return Err(refusal.into());
        }
        let deleting = cluster.clone().step(Input::Delete { nodegroups })?;
        let deleting = deleting.ok_or_else(|| Refusal::no_cluster(cluster.name.as_str()))?;
        let answer = (deleting.name.clone(), view::cluster(&deleting));
        Ok::<_, ApiError>((answer, vec![Change::put(deleting)]))
    });
    let (name, cluster) = change.await?;
    context.region.drive(&name);
    Ok(DeleteClusterResponse { cluster: Some(cluster) })
}
