//! An instance as its metadata service knows it, found by an address in its VPC.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_types::region::zone_id;
use aws_types::{AccountId, ClusterName, InstanceId, RegionName, SubnetId, VpcId, instance_type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Instance, Nodegroup, Phase};
use jiff::Timestamp;
use serde_json::Value;

use crate::allocation;
use crate::ec2::{instance, launch_template};
use crate::fleet::instance::{Ec2Instance, mac};
use crate::iam::entity::EntityKind;
use crate::ledger::State;
use crate::members::Members;
use crate::region::Region;
use crate::security;

/// How the metadata service treats an instance: EC2's `MetadataOptions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether it answers at all (`HttpEndpoint`).
    pub enabled: bool,
    /// Whether requests without a token are refused (`HttpTokens`).
    pub tokens_required: bool,
    /// How many hops a token's packets go (`HttpPutResponseHopLimit`): pods are two away.
    pub hop_limit: u32,
    /// Whether tags are shown (`InstanceMetadataTags`).
    pub tags: bool,
}

impl Default for Options {
    /// What EKS's images ask for: tokens, and that pods may have them.
    fn default() -> Self {
        Self {
            enabled: true,
            tokens_required: true,
            hop_limit: 2,
            tags: false,
        }
    }
}

impl Options {
    /// As an instance's members or a launch template's data say; what they leave out is as the image wants it.
    fn of(data: &Value) -> Self {
        let given = &data["MetadataOptions"];
        let standard = Self::default();
        Self {
            enabled: given.text("HttpEndpoint") != Some("disabled"),
            tokens_required: given.text("HttpTokens") != Some("optional"),
            hop_limit: given
                .number("HttpPutResponseHopLimit")
                .and_then(|hops| u32::try_from(hops).ok())
                .unwrap_or(standard.hop_limit),
            tags: given.text("InstanceMetadataTags") == Some("enabled"),
        }
    }
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its account.
    pub account: AccountId,
    /// Its region.
    pub region: RegionName,
    /// The cluster whose node it is.
    pub cluster: Option<ClusterName>,
    /// Its id.
    pub id: InstanceId,
    /// Its type.
    pub instance_type: String,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// Its image.
    pub image: String,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// Its zone.
    pub zone: String,
    /// Its zone's id.
    pub zone_id: Option<String>,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its VPC's block.
    pub vpc_block: String,
    /// Its subnet.
    pub subnet: String,
    /// Its subnet's block.
    pub subnet_block: String,
    /// Its network interface.
    pub interface: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its interface's further addresses.
    pub secondary: Vec<Ipv4Addr>,
    /// Its private DNS name.
    pub name: String,
    /// The ARN of its role.
    pub role: String,
    /// The ARN of its instance profile.
    pub profile: String,
    /// Its security groups: id and name.
    pub security_groups: Vec<(String, String)>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it is a Spot instance.
    pub spot: bool,
    /// What it was started with.
    pub user_data: Option<Vec<u8>>,
    /// How it is to be treated.
    pub options: Options,
}

impl Facts {
    /// The hardware address of its interface, as `vpc-driver` makes it.
    pub fn mac(&self) -> String {
        mac(self.address)
    }
}

/// The instance that has an address in a VPC, or whose pod has it.
pub fn find(region: &Region, vpc: &VpcId, address: Ipv4Addr) -> Option<Facts> {
    region.ledger.read(|state| {
        let mut own = state
            .instances
            .values()
            .filter(|known| known.vpc == *vpc && known.state.is_live());
        if let Some(found) = own.find(|known| known.address == address || known.pod_addresses.contains(&address)) {
            return Some(of_instance(region, state, found));
        }
        let mut running = instance::all(state)
            .filter(|(cluster, _, instance)| cluster.network.vpc_id == *vpc && instance.phase != Phase::Terminating);
        let (cluster, group, instance) = running
            .find(|(_, _, instance)| instance.address == address || instance.pod_addresses.contains(&address))?;
        Some(of_group(region, state, cluster, group, instance))
    })
}

/// An instance that somebody launched, or an Auto Scaling group of somebody's own.
fn of_instance(region: &Region, state: &State, instance: &Ec2Instance) -> Facts {
    let (vpc_block, subnet_block) = blocks(state, &instance.vpc, &instance.subnet);
    let profile = instance
        .profile
        .as_ref()
        .and_then(|name| state.instance_profiles.get(name));
    let role = profile.and_then(|profile| state.entities.get(&(EntityKind::Role, profile.role.clone()?)));
    let user_data = instance.user_data.as_ref().and_then(|text| STANDARD.decode(text).ok());
    Facts {
        account: region.account().clone(),
        region: region.name.clone(),
        cluster: instance
            .joined
            .as_ref()
            .and_then(|name| ClusterName::new(name.clone()).ok()),
        id: instance.id.clone(),
        instance_type: instance.instance_type.clone(),
        architecture: architecture(&instance.instance_type),
        image: instance.image.clone(),
        launched_at: instance.launched_at,
        zone: instance.zone.to_string(),
        zone_id: zone_id(&instance.zone),
        vpc: instance.vpc.clone(),
        vpc_block,
        subnet: instance.subnet.to_string(),
        subnet_block,
        interface: instance.eni.to_string(),
        address: instance.address,
        secondary: instance.pod_addresses.clone(),
        name: instance.node_name.clone(),
        role: role.map(|role| role.arn.clone()).unwrap_or_default(),
        profile: profile.map(|profile| profile.arn.clone()).unwrap_or_default(),
        security_groups: instance.groups.iter().map(|id| group_name(state, id)).collect(),
        tags: instance.tags.clone(),
        spot: instance.spot,
        user_data,
        options: Options::of(&instance.details),
    }
}

/// A security group's id and name.
fn group_name(state: &State, id: &str) -> (String, String) {
    let document = state.documents.get(id);
    let name = document.and_then(|group| group.body.text("GroupName"));
    (id.to_owned(), name.unwrap_or_default().to_owned())
}

/// An instance of a managed node group.
fn of_group(region: &Region, state: &State, cluster: &Cluster, group: &Nodegroup, instance: &Instance) -> Facts {
    let (vpc_block, subnet_block) = blocks(state, &cluster.network.vpc_id, &instance.subnet);
    // The profile that EKS makes for a group is named by the group's own unique id.
    let unique = group.arn.rsplit('/').next().unwrap_or_default();
    let template = group.launch_template.as_ref().and_then(|(id, _, version)| {
        let template = launch_template::find(state, Some(id), None).ok()?;
        launch_template::chosen(template, version).ok()
    });
    Facts {
        account: region.account().clone(),
        region: region.name.clone(),
        cluster: Some(cluster.name.clone()),
        id: instance.id.clone(),
        instance_type: instance.instance_type.clone(),
        architecture: architecture(&instance.instance_type),
        image: allocation::image_id(group),
        launched_at: instance.launched_at,
        zone: instance.zone.to_string(),
        zone_id: zone_id(&instance.zone),
        vpc: cluster.network.vpc_id.clone(),
        vpc_block,
        subnet: instance.subnet.to_string(),
        subnet_block,
        interface: instance.eni.to_string(),
        address: instance.address,
        secondary: instance.pod_addresses.clone(),
        name: instance.node_name.clone(),
        role: group.node_role.clone(),
        profile: format!("arn:aws:iam::{}:instance-profile/eks-{unique}", region.account()),
        security_groups: security::groups_of(cluster, Some(group), instance)
            .iter()
            .map(|id| group_name(state, id))
            .collect(),
        tags: instance::tags(cluster, group),
        spot: group.capacity_type == "SPOT",
        user_data: None,
        options: template.map_or_else(Options::default, |version| Options::of(&version["LaunchTemplateData"])),
    }
}

fn architecture(instance_type: &str) -> &'static str {
    instance_type::find(instance_type).map_or("x86_64", |known| known.architecture)
}

/// The blocks of a VPC and of a subnet.
fn blocks(state: &State, vpc: &VpcId, subnet: &SubnetId) -> (String, String) {
    let vpc = state.vpcs.get(vpc).map(|vpc| vpc.cidr.to_string());
    let subnet = state.subnets.get(subnet).map(|subnet| subnet.cidr.to_string());
    (vpc.unwrap_or_default(), subnet.unwrap_or_default())
}

/// An instance for the tests of this module.
#[cfg(test)]
pub mod fixture {
    use super::*;

    /// An instance with a role, two pod addresses and no tags shown.
    pub fn facts() -> Facts {
        Facts {
            account: AccountId::new("123456789012").unwrap(),
            region: RegionName::new("ap-northeast-2").unwrap(),
            cluster: Some(ClusterName::new("c").unwrap()),
            id: InstanceId::new("i-0123456789abcdef0").unwrap(),
            instance_type: "t3.medium".to_owned(),
            architecture: "x86_64",
            image: "ami-1".to_owned(),
            launched_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            zone: "ap-northeast-2a".to_owned(),
            zone_id: Some("apne2-az1".to_owned()),
            vpc: VpcId::new("vpc-0123456789abcdef0").unwrap(),
            vpc_block: "192.168.0.0/16".to_owned(),
            subnet: "subnet-1".to_owned(),
            subnet_block: "192.168.1.0/24".to_owned(),
            interface: "eni-0123456789abcdef0".to_owned(),
            address: Ipv4Addr::new(192, 168, 1, 10),
            secondary: vec![Ipv4Addr::new(192, 168, 1, 11), Ipv4Addr::new(192, 168, 1, 12)],
            name: "ip-192-168-1-10.ap-northeast-2.compute.internal".to_owned(),
            role: "arn:aws:iam::123456789012:role/node-role".to_owned(),
            profile: "arn:aws:iam::123456789012:instance-profile/eks-1".to_owned(),
            security_groups: vec![("sg-1".to_owned(), "eks-cluster-sg-c".to_owned())],
            tags: BTreeMap::new(),
            spot: false,
            user_data: None,
            options: Options::default(),
        }
    }
}
