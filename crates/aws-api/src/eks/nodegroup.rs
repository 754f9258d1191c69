//! Managed node groups.

pub mod remote_access;
mod template;

use std::collections::BTreeMap;

use aws_types::eks::{
    self, CreateNodegroupRequest, CreateNodegroupResponse, DeleteNodegroupRequest, DeleteNodegroupResponse,
    DescribeNodegroupRequest, DescribeNodegroupResponse, ListNodegroupsRequest, ListNodegroupsResponse,
    NodegroupScalingConfig,
};
use aws_types::eks_version::EksVersion;
use aws_types::{ClusterName, NodegroupName, arn};
use cluster_lifecycle::access_entry::Choice;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{GroupSubnet, Input, Nodegroup, NodegroupStatus, Scaling, Taint};
use cluster_lifecycle::refusal::RefusalKind;
use cluster_lifecycle::update::{Update, UpdateStatus};
use cluster_lifecycle::{Refusal, request as rules};
use jiff::Timestamp;

use super::cluster::{check_role, find_subnets};
use super::{access_entry, check_tags, find_cluster, find_nodegroup, view};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::operations::Context;
use crate::page;
use crate::quotas;

/// EKS's default type.
const DEFAULT_TYPE: &str = "t3.medium";
/// EKS's default root volume in GiB.
const DEFAULT_DISK: u32 = 20;

/// `CreateNodegroup`.
pub async fn create(context: Context, request: CreateNodegroupRequest) -> Result<CreateNodegroupResponse, ApiError> {
    let region = &context.region;
    let name = NodegroupName::new(request.nodegroup_name.clone().unwrap_or_default())
        .map_err(|error| Refusal::invalid_parameter(error.to_string()))?;
    let (uuid, now) = (region.random.uuid(), region.clock.now());
    let answer = region.ledger.change(|state| {
        let cluster = find_cluster(state, request.cluster_name.as_deref())?;
        if let Some(existing) = state.nodegroups.get(&(cluster.name.clone(), name.clone())) {
            if request.client_request_token.is_some() && existing.client_request_token == request.client_request_token {
                return Ok((view::nodegroup(existing), Vec::new()));
            }
            let message = format!(
                "NodeGroup already exists with name {name} and cluster name {}",
                cluster.name
            );
            let refusal = Refusal::in_use(message)
                .of_cluster(cluster.name.as_str())
                .of_nodegroup(name.as_str());
            return Err(ApiError::from(refusal));
        }
        cluster.require_active("create a node group")?;
        let most = quotas::most(state, "eks", quotas::NODEGROUPS);
        if state.nodegroups_of(&cluster.name).count() >= most {
            let message = format!("cluster {} has {most} node groups, which is the limit", cluster.name);
            return Err(Refusal::new(RefusalKind::ResourceLimitExceeded, message)
                .of_cluster(cluster.name.as_str())
                .into());
        }
        let mut group = nodegroup(state, cluster, &context, &name, &request, &uuid, now)?;
        let entry = (cluster.name.clone(), group.node_role.clone());
        let mut changes = Vec::new();
        let access = remote_access::read(state, &context, cluster, &name, request.remote_access.as_ref())?;
        if let Some((access, security_group)) = access {
            group.remote_access = Some(access);
            changes.push(Change::put(security_group));
        }
        if cluster.authentication_mode != "CONFIG_MAP" && !state.access_entries.contains_key(&entry) {
            let made = access_entry::entry(
                &context,
                &cluster.name,
                &group.node_role,
                Some("EC2_LINUX"),
                Choice::default(),
            )?;
            changes.push(Change::put(made));
        }
        let answer = view::nodegroup(&group);
        changes.push(Change::put(group));
        Ok((answer, changes))
    });
    let nodegroup = answer.await?;
    wake(&context, request.cluster_name.as_deref());
    Ok(CreateNodegroupResponse {
        nodegroup: Some(nodegroup),
    })
}

fn nodegroup(
    state: &State,
    cluster: &Cluster,
    context: &Context,
    name: &NodegroupName,
    request: &CreateNodegroupRequest,
    uuid: &str,
    now: Timestamp,
) -> Result<Nodegroup, Refusal> {
    check_role("nodeRole", request.node_role.as_deref())?;
    let tags = request.tags.clone().unwrap_or_default();
    check_tags(&tags)?;
    let template = template::chosen(state, request)?;
    let instance_types = instance_types(request, template.as_ref());
    let architecture = rules::instance_types(&instance_types)?;
    let version = rules::version_or_release(request.version.as_deref(), request.release_version.as_deref())?;
    let version = rules::nodegroup_version(version.as_deref(), &cluster.version)?;
    let update = request.update_config.clone().unwrap_or_default();
    let (region, account) = (&context.region.name, &context.caller.account);
    let disk_size = disk_size(
        request
            .disk_size
            .or(template.as_ref().and_then(|chosen| chosen.disk_size)),
    )?;
    Ok(Nodegroup {
        name: name.clone(),
        cluster: cluster.name.clone(),
        arn: arn::nodegroup(region, account, &cluster.name, name, uuid),
        auto_scaling_group: format!("eks-{name}-{uuid}"),
        created_at: now,
        modified_at: now,
        version: version.minor.to_owned(),
        release_version: request.release_version.clone().unwrap_or_else(|| release_of(version)),
        status: NodegroupStatus::Creating,
        capacity_type: request.capacity_type.clone().unwrap_or_else(|| "ON_DEMAND".to_owned()),
        scaling: scaling(
            request.scaling_config.as_ref(),
            Scaling {
                min: 1,
                max: 2,
                desired: 2,
            },
        )?,
        instance_types,
        subnets: group_subnets(state, cluster, request.subnets.as_deref().unwrap_or_default())?,
        ami_type: request
            .ami_type
            .clone()
            .unwrap_or_else(|| default_ami(architecture).to_owned()),
        node_role: request.node_role.clone().unwrap_or_default(),
        labels: checked_labels(request.labels.clone().unwrap_or_default())?,
        taints: request.taints.iter().flatten().map(taint).collect::<Result<_, _>>()?,
        disk_size,
        max_unavailable: rules::unavailable(update.max_unavailable, update.max_unavailable_percentage)?,
        tags,
        client_request_token: request.client_request_token.clone(),
        issues: Vec::new(),
        instances: Vec::new(),
        update: None,
        launch_template: template.map(|chosen| chosen.named),
        remote_access: None,
    })
}

fn default_ami(architecture: &str) -> &'static str {
    match architecture {
        "arm64" => "AL2023_ARM_64_STANDARD",
        _ => "AL2023_x86_64_STANDARD",
    }
}

/// The types of a request, of its launch template, or EKS's default.
fn instance_types(request: &CreateNodegroupRequest, template: Option<&template::Chosen>) -> Vec<String> {
    let given = request.instance_types.clone().filter(|types| !types.is_empty());
    let of_template = || {
        template
            .and_then(|chosen| chosen.instance_type.clone())
            .map(|kind| vec![kind])
    };
    given
        .or_else(of_template)
        .unwrap_or_else(|| vec![DEFAULT_TYPE.to_owned()])
}

/// The release of EKS's images that a version has here.
pub(super) fn release_of(version: &EksVersion) -> String {
    format!("{}-20261101", version.patch)
}

fn disk_size(wanted: Option<i64>) -> Result<u32, Refusal> {
    let Some(size) = wanted else { return Ok(DEFAULT_DISK) };
    let valid = u32::try_from(size).ok().filter(|size| *size > 0);
    valid.ok_or_else(|| Refusal::invalid_parameter(format!("diskSize {size} must be at least 1")))
}

fn group_subnets(state: &State, cluster: &Cluster, ids: &[String]) -> Result<Vec<GroupSubnet>, Refusal> {
    let subnets = find_subnets(state, ids)?;
    if subnets.is_empty() {
        return Err(Refusal::invalid_parameter("subnets must name at least one subnet"));
    }
    if let Some(foreign) = subnets.iter().find(|subnet| subnet.vpc != cluster.network.vpc_id) {
        return Err(Refusal::invalid_parameter(format!(
            "subnet {} is not in the VPC of cluster {}",
            foreign.id, cluster.name
        )));
    }
    Ok(subnets
        .iter()
        .map(|subnet| GroupSubnet {
            id: subnet.id.clone(),
            zone: subnet.zone.clone(),
        })
        .collect())
}

/// Sizes: what a request leaves out stays as it is.
pub(super) fn scaling(wanted: Option<&NodegroupScalingConfig>, before: Scaling) -> Result<Scaling, Refusal> {
    let Some(wanted) = wanted else { return Ok(before) };
    let number = |member: &str, value: Option<i64>, before: u32| match value {
        None => Ok(before),
        Some(value) => u32::try_from(value)
            .map_err(|_negative| Refusal::invalid_parameter(format!("{member} {value} must not be negative"))),
    };
    rules::scaling(Scaling {
        min: number("minSize", wanted.min_size, before.min)?,
        max: number("maxSize", wanted.max_size, before.max)?,
        desired: number("desiredSize", wanted.desired_size, before.desired)?,
    })
}

pub(super) fn taint(taint: &eks::Taint) -> Result<Taint, Refusal> {
    let required = |member: &str, value: &Option<String>| {
        let value = value.clone().filter(|value| !value.is_empty());
        value.ok_or_else(|| Refusal::invalid_parameter(format!("a taint's {member} must be set")))
    };
    Ok(Taint {
        key: required("key", &taint.key)?,
        value: taint.value.clone().filter(|value| !value.is_empty()),
        effect: required("effect", &taint.effect)?,
    })
}

/// Labels with Kubernetes' own prefixes are refused, as EKS and the kubelet do.
pub(super) fn checked_labels(labels: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refusal> {
    let reserved = |key: &String| {
        key.split('/')
            .next()
            .is_some_and(|prefix| prefix.ends_with("kubernetes.io") || prefix.ends_with("k8s.io"))
            && !key.starts_with("node.kubernetes.io/")
    };
    match labels.keys().find(|key| key.contains('/') && reserved(key)) {
        Some(key) => Err(Refusal::invalid_parameter(format!("Label key {key} is reserved"))),
        None => Ok(labels),
    }
}

/// `DescribeNodegroup`.
pub async fn describe(
    context: Context,
    request: DescribeNodegroupRequest,
) -> Result<DescribeNodegroupResponse, ApiError> {
    let look = |state: &State| {
        find_nodegroup(
            state,
            request.cluster_name.as_deref(),
            request.nodegroup_name.as_deref(),
        )
        .map(view::nodegroup)
    };
    Ok(DescribeNodegroupResponse {
        nodegroup: Some(context.region.ledger.read(look)?),
    })
}

/// `ListNodegroups`.
pub async fn list(context: Context, request: ListNodegroupsRequest) -> Result<ListNodegroupsResponse, ApiError> {
    let names = context.region.ledger.read(|state| {
        let cluster = find_cluster(state, request.cluster_name.as_deref())?;
        Ok::<_, Refusal>(
            state
                .nodegroups_of(&cluster.name)
                .map(|group| group.name.to_string())
                .collect(),
        )
    })?;
    let (nodegroups, next_token) = page::names(names, request.max_results, request.next_token.as_deref())?;
    Ok(ListNodegroupsResponse {
        nodegroups: Some(nodegroups),
        next_token,
    })
}

/// `DeleteNodegroup`.
pub async fn delete(context: Context, request: DeleteNodegroupRequest) -> Result<DeleteNodegroupResponse, ApiError> {
    let change = context.region.ledger.change(|state| {
        let group = find_nodegroup(
            state,
            request.cluster_name.as_deref(),
            request.nodegroup_name.as_deref(),
        )?;
        let pending = group.update.as_ref().and_then(|pending| state.updates.get(&pending.id));
        let cancelled = pending.map(|update| {
            Change::put(Update {
                status: UpdateStatus::Cancelled,
                ..update.clone()
            })
        });
        let mut answer = group.clone();
        answer.status = NodegroupStatus::Deleting;
        let changes = match group.clone().step(Input::Delete)? {
            Some(deleting) => vec![Change::put(deleting)],
            None => remote_access::removal(group),
        };
        Ok::<_, ApiError>((view::nodegroup(&answer), changes.into_iter().chain(cancelled).collect()))
    });
    let nodegroup = change.await?;
    wake(&context, request.cluster_name.as_deref());
    Ok(DeleteNodegroupResponse {
        nodegroup: Some(nodegroup),
    })
}

/// Tells the cluster's task to look.
pub(super) fn wake(context: &Context, cluster: Option<&str>) {
    if let Ok(name) = ClusterName::new(cluster.unwrap_or_default()) {
        context.region.drive(&name);
    }
}
