//! New instances of a node group: ids and addresses, decided together with the record that remembers them.

use std::collections::BTreeMap;

use aws_types::instance_type;
use aws_types::{EniId, IdError, InstanceId, SubnetId};
use clock::Random;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Instance, Nodegroup, Phase};
use jiff::Timestamp;
use service_routing::subnets::{AddressError, SubnetAddresses};

use crate::ec2::launch_template;
use crate::host::{InstanceSpec, Taint};
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::region::Region;

/// Why an instance cannot be decided.
#[derive(Debug, thiserror::Error)]
pub enum AllocationError {
    /// A subnet is full.
    #[error(transparent)]
    Addresses(#[from] AddressError),
    /// The group names a subnet that is gone.
    #[error("subnet {0} does not exist")]
    NoSubnet(SubnetId),
    /// The group names a type that is not known.
    #[error("instance type {0} does not exist")]
    NoType(String),
    /// An id was drawn wrongly.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// The group with the instances that it lacks, and what is to be remembered of the subnets that gave them addresses.
///
/// # Errors
/// When one of them cannot have its addresses; then none is decided.
pub fn instances(
    state: &State,
    group: &Nodegroup,
    region: &Region,
    now: Timestamp,
) -> Result<Vec<Change>, AllocationError> {
    let type_name = group.instance_types.first().cloned().unwrap_or_default();
    let known = instance_type::find(&type_name).ok_or_else(|| AllocationError::NoType(type_name.clone()))?;
    let mut free: BTreeMap<SubnetId, SubnetAddresses> = BTreeMap::new();
    let mut made = Vec::new();
    for id in group.missing() {
        let subnet = state
            .subnets
            .get(&id)
            .ok_or_else(|| AllocationError::NoSubnet(id.clone()))?;
        let addresses = free.entry(id.clone()).or_insert_with(|| state.addresses(subnet));
        let mut taken = addresses.take(1 + known.pod_addresses() as usize)?;
        let address = taken.remove(0);
        made.push(Instance {
            id: InstanceId::new(random_id(&*region.random, "i-"))?,
            eni: EniId::new(random_id(&*region.random, "eni-"))?,
            instance_type: type_name.clone(),
            subnet: id,
            zone: subnet.zone.clone(),
            address,
            node_name: node_name(address, region.name.as_str()),
            pod_addresses: taken,
            launched_at: now,
            phase: Phase::Launching,
            release: group.release_version.clone(),
            security_groups: launch_groups(state, group),
        });
    }
    let subnets = free
        .iter()
        .filter_map(|(id, given)| Some(state.subnets.get(id)?.after(given)));
    let mut changes: Vec<Change> = subnets.collect();
    changes.push(Change::put(group.clone().with_instances(made)));
    Ok(changes)
}

/// The security groups that an instance gets besides the cluster's, or instead of it: with SSH the cluster's and the one that lets
/// it in, and otherwise those of the launch template; none when that says nothing of them.
fn launch_groups(state: &State, group: &Nodegroup) -> Vec<String> {
    if let Some(access) = &group.remote_access {
        let cluster = state.clusters.get(&group.cluster);
        let own = cluster.map(|cluster| cluster.network.cluster_security_group_id.clone());
        return own.into_iter().chain([access.group.clone()]).collect();
    }
    let data = group.launch_template.as_ref().and_then(|(id, _, version)| {
        let template = launch_template::find(state, Some(id), None).ok()?;
        let version = launch_template::chosen(template, version).ok()?;
        version.get("LaunchTemplateData")
    });
    let interfaces = data
        .map(|data| data.list("NetworkInterfaces"))
        .unwrap_or_default()
        .iter();
    let of_interfaces = interfaces.flat_map(|interface| interface.texts("Groups"));
    let named = data.map(|data| data.texts("SecurityGroupIds")).unwrap_or_default();
    named.into_iter().chain(of_interfaces).map(str::to_owned).collect()
}

pub(crate) fn random_id(random: &dyn Random, prefix: &str) -> String {
    format!("{prefix}{}", random.hex(17))
}

/// EC2's private DNS name, which is the Node's name.
pub fn node_name(address: std::net::Ipv4Addr, region: &str) -> String {
    let [a, b, c, d] = address.octets();
    match region {
        "us-east-1" => format!("ip-{a}-{b}-{c}-{d}.ec2.internal"),
        _ => format!("ip-{a}-{b}-{c}-{d}.{region}.compute.internal"),
    }
}

/// What the host must know to launch an instance; `None` when its subnet is gone.
pub fn spec(
    state: &State,
    region: &Region,
    cluster: &Cluster,
    group: &Nodegroup,
    instance: &Instance,
) -> Option<InstanceSpec> {
    let subnet = state.subnets.get(&instance.subnet)?.spec();
    let max_pods = instance_type::find(&instance.instance_type)?.max_pods();
    let own = [
        ("eks.amazonaws.com/nodegroup", group.name.to_string()),
        ("eks.amazonaws.com/capacityType", group.capacity_type.clone()),
        ("eks.amazonaws.com/nodegroup-image", image_id(group)),
    ];
    let mut labels = group.labels.clone();
    labels.extend(own.map(|(key, value)| (key.to_owned(), value)));
    let version = aws_types::eks_version::find(&group.version).map(aws_types::eks_version::EksVersion::git_version);
    Some(InstanceSpec {
        kubernetes_version: version.unwrap_or_default(),
        tags: instance_tags(cluster, group),
        cluster: region.cluster_ref(&cluster.name),
        nodegroup: Some(group.name.clone()),
        id: instance.id.clone(),
        eni: instance.eni.clone(),
        instance_type: instance.instance_type.clone(),
        max_pods,
        vpc: cluster.network.vpc_id.clone(),
        subnet,
        address: instance.address,
        node_name: instance.node_name.clone(),
        pod_addresses: instance.pod_addresses.clone(),
        labels,
        taints: taints(&group.taints),
        size: None,
    })
}

/// The image of a group's instances.
pub fn image_id(group: &Nodegroup) -> String {
    aws_types::image::id_of(&group.ami_type, &group.release_version)
}

/// Tags of a group's instances: its own, and those by which EKS and the cluster autoscaler know them.
pub fn instance_tags(cluster: &Cluster, group: &Nodegroup) -> BTreeMap<String, String> {
    let mut tags = group.tags.clone();
    let own = [
        ("Name".to_owned(), format!("{}-{}-Node", cluster.name, group.name)),
        ("eks:cluster-name".to_owned(), cluster.name.to_string()),
        ("eks:nodegroup-name".to_owned(), group.name.to_string()),
        (format!("kubernetes.io/cluster/{}", cluster.name), "owned".to_owned()),
        (
            format!("k8s.io/cluster-autoscaler/{}", cluster.name),
            "owned".to_owned(),
        ),
        ("k8s.io/cluster-autoscaler/enabled".to_owned(), "true".to_owned()),
    ];
    tags.extend(own);
    tags
}

/// EKS's taints in Kubernetes' spelling.
pub fn taints(taints: &[cluster_lifecycle::nodegroup::Taint]) -> Vec<Taint> {
    let effect = |name: &str| match name {
        "NO_SCHEDULE" => "NoSchedule",
        "PREFER_NO_SCHEDULE" => "PreferNoSchedule",
        _ => "NoExecute",
    };
    let convert = |taint: &cluster_lifecycle::nodegroup::Taint| Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: effect(&taint.effect).to_owned(),
    };
    taints.iter().map(convert).collect()
}
