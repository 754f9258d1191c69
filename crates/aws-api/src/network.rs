//! VPCs and subnets as the region remembers them, and which of their addresses are free.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_types::{ClusterName, SubnetId, VpcId, ZoneName};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use service_routing::subnets::{AddressError, SubnetAddresses};

use crate::ec2::interface;
use crate::host::{SubnetSpec, VpcSpec};
use crate::ledger::{Change, State};

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Its block.
    pub cidr: Ipv4Net,
    /// The id of the block's association.
    pub association_id: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its DHCP options, if they are not the default ones.
    #[serde(default)]
    pub dhcp_options: Option<String>,
    /// Whether it is the account's default VPC.
    #[serde(default)]
    pub is_default: bool,
    /// Further blocks, with the ids of their associations.
    #[serde(default)]
    pub further: Vec<(String, Ipv4Net)>,
    /// Whether its instances run on hardware of their own.
    #[serde(default)]
    pub is_dedicated: bool,
    /// Whether instances with public addresses get public names, if that was said.
    #[serde(default)]
    pub dns_hostnames: Option<bool>,
    /// Whether the use of its addresses is counted.
    #[serde(default)]
    pub usage_metrics: bool,
}

impl Vpc {
    /// Its blocks with the ids of their associations, the first one first.
    pub fn blocks(&self) -> impl Iterator<Item = (&str, Ipv4Net)> {
        let further = self.further.iter().map(|(id, block)| (id.as_str(), *block));
        std::iter::once((self.association_id.as_str(), self.cidr)).chain(further)
    }

    /// Whether a range lies in one of its blocks.
    pub fn contains(&self, range: &Ipv4Net) -> bool {
        self.blocks().any(|(_, block)| block.contains(range))
    }
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its block.
    pub cidr: Ipv4Net,
    /// Its zone.
    pub zone: ZoneName,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether instances get public addresses, if that was said.
    #[serde(default)]
    pub map_public_ip: Option<bool>,
    /// Whether the resolver answers names of instances by their ids, as far as was said.
    #[serde(default)]
    pub resource_names: bool,
    /// Whether it is the default VPC's subnet of its zone.
    #[serde(default)]
    pub is_default: bool,
    /// Where the next address is looked for, once one was given: what somebody had before comes up last, so that nothing
    /// that knew them by it (a Node has its name from its address) meets another there.
    #[serde(default)]
    pub next_address: Option<Ipv4Addr>,
}

/// The tag by which load balancer controllers, and eksctl, know a public subnet.
pub const PUBLIC_SUBNET_TAG: &str = "kubernetes.io/role/elb";

impl Subnet {
    /// What is to be remembered once these addresses are somebody's.
    pub fn after(&self, given: &SubnetAddresses) -> Change {
        Change::put(Self {
            next_address: Some(given.goes_on_at()),
            ..self.clone()
        })
    }

    /// What the host needs to know of it.
    pub fn spec(&self) -> SubnetSpec {
        SubnetSpec {
            id: self.id.clone(),
            cidr: self.cidr.to_string(),
            zone: self.zone.clone(),
            public: self
                .map_public_ip
                .unwrap_or_else(|| self.tags.contains_key(PUBLIC_SUBNET_TAG)),
        }
    }
}

impl State {
    /// The subnets of a VPC.
    pub fn subnets_of<'a>(&'a self, vpc: &'a VpcId) -> impl Iterator<Item = &'a Subnet> {
        self.subnets.values().filter(move |subnet| subnet.vpc == *vpc)
    }

    /// What the host needs to know of a VPC; `None` when it is gone.
    pub fn vpc_spec(&self, id: &VpcId) -> Option<VpcSpec> {
        let vpc = self.vpcs.get(id)?;
        let subnets = self.subnets_of(id).map(Subnet::spec).collect();
        Some(VpcSpec {
            id: id.clone(),
            cidr: vpc.cidr.to_string(),
            further: vpc.further.iter().map(|(_, block)| block.to_string()).collect(),
            subnets,
        })
    }

    /// Addresses of a VPC that somebody has: clusters' interfaces, instances and their pods.
    pub fn taken_addresses(&self, vpc: &VpcId) -> Vec<Ipv4Addr> {
        let clusters = self.clusters.values().filter(|cluster| cluster.network.vpc_id == *vpc);
        let others = self
            .instances
            .values()
            .filter(|instance| instance.vpc == *vpc && instance.has_addresses());
        let others = others.flat_map(|instance| instance.pod_addresses.iter().chain([&instance.address]).copied());
        let interfaces = interface::addresses(self, vpc);
        clusters
            .flat_map(|cluster| {
                let fargate = self.fargate_nodes_of(&cluster.name).map(|node| &node.instance);
                let instances = self.nodegroups_of(&cluster.name).flat_map(|group| &group.instances);
                let instances = instances.chain(fargate);
                let instances = instances.flat_map(|instance| instance.pod_addresses.iter().chain([&instance.address]));
                cluster.network.addresses.iter().chain(instances).copied()
            })
            .chain(others)
            .chain(interfaces)
            .collect()
    }

    /// The free addresses of a subnet.
    pub fn addresses(&self, subnet: &Subnet) -> SubnetAddresses {
        SubnetAddresses::new(subnet.cidr, self.taken_addresses(&subnet.vpc)).beginning_at(subnet.next_address)
    }

    /// An address in each of the first two zones of the subnets, for a cluster's own interfaces.
    ///
    /// # Errors
    /// When a subnet is full.
    pub fn cluster_addresses(&self, subnets: &[&Subnet]) -> Result<Vec<Ipv4Addr>, AddressError> {
        let mut zones: Vec<&ZoneName> = Vec::new();
        let mut addresses = Vec::new();
        for subnet in subnets {
            if addresses.len() < 2 && !zones.contains(&&subnet.zone) {
                zones.push(&subnet.zone);
                addresses.extend(self.addresses(subnet).take(1)?);
            }
        }
        Ok(addresses)
    }

    /// Who uses a VPC.
    pub fn clusters_in<'a>(&'a self, vpc: &'a VpcId) -> impl Iterator<Item = &'a ClusterName> {
        self.clusters
            .values()
            .filter(move |cluster| cluster.network.vpc_id == *vpc)
            .map(|cluster| &cluster.name)
    }
}
