//! What the records of security groups mean for packets: the rules of a VPC's groups, and the groups of every address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use aws_types::VpcId;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Instance, Nodegroup};
use serde_json::Value;
use service_routing::security_groups::{Group, Peer, Permission, SecurityGroups, Traffic};
use service_routing::subnets::resolver_address;

use crate::ec2::document::{self, Kind};
use crate::ec2::prefix_list;
use crate::host::{HostError, InstanceSpec};
use crate::ledger::State;
use crate::members::Members;
use crate::region::Region;

/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The groups of a VPC and who is in them, as the records say.
pub fn of_vpc(state: &State, id: &VpcId) -> SecurityGroups {
    let mut all = SecurityGroups {
        resolver: state.vpcs.get(id).map(|vpc| resolver_address(vpc.cidr)),
        ..SecurityGroups::default()
    };
    let own =
        document::of_kind(state, Kind::SecurityGroup).filter(|group| group.body.text("VpcId") == Some(id.as_str()));
    for group in own {
        let permissions = |member: &str| {
            group
                .body
                .list(member)
                .iter()
                .flat_map(|one| permissions(state, one))
                .collect()
        };
        let rules = Group {
            ingress: permissions("IpPermissions"),
            egress: permissions("IpPermissionsEgress"),
        };
        all.groups.insert(group.id.clone(), rules);
    }
    for cluster in state.clusters.values().filter(|cluster| cluster.network.vpc_id == *id) {
        add_cluster(state, cluster, &mut all);
    }
    for instance in state
        .instances
        .values()
        .filter(|one| one.vpc == *id && one.has_addresses())
    {
        let groups: BTreeSet<String> = instance.groups.iter().cloned().collect();
        for address in instance.pod_addresses.iter().chain([&instance.address]) {
            all.members.insert(*address, groups.clone());
        }
    }
    all
}

/// The rules of one permission, a rule for each that it names.
fn permissions(state: &State, permission: &Value) -> Vec<Permission> {
    let (from, to) = (permission.number("FromPort"), permission.number("ToPort"));
    let Some(traffic) = Traffic::parse(permission.text("IpProtocol").unwrap_or("-1"), from, to) else {
        return Vec::new();
    };
    let ranges = permission.list("IpRanges").iter();
    let ranges = ranges
        .filter_map(|range| range.text("CidrIp")?.parse().ok())
        .map(Peer::Range);
    let groups = permission.list("UserIdGroupPairs").iter();
    let groups = groups.filter_map(|pair| Some(Peer::Group(pair.text("GroupId")?.to_owned())));
    let lists = permission.list("PrefixListIds").iter();
    let lists = lists.filter_map(|list| list.text("PrefixListId"));
    let listed = lists.flat_map(|id| prefix_list::ranges(state, id)).map(Peer::Range);
    let peers = ranges.chain(listed).chain(groups);
    peers.map(|peer| Permission { peer, traffic }).collect()
}

/// A cluster's own interfaces, its nodes, and which of them come to the API server by its public endpoint.
fn add_cluster(state: &State, cluster: &Cluster, all: &mut SecurityGroups) {
    let network = &cluster.network;
    let cluster_group = &network.cluster_security_group_id;
    let own: BTreeSet<String> = network
        .security_group_ids
        .iter()
        .chain([cluster_group])
        .cloned()
        .collect();
    for address in &network.addresses {
        all.control_plane.insert(*address);
        all.members.insert(*address, own.clone());
    }
    let mut nodes: Vec<Ipv4Addr> = Vec::new();
    let managed = state.nodegroups_of(&cluster.name);
    let managed = managed.flat_map(|group| group.instances.iter().map(move |one| (Some(group), one)));
    let fargate = state.fargate_nodes_of(&cluster.name).map(|node| (None, &node.instance));
    for (group, instance) in managed.chain(fargate) {
        nodes.push(instance.address);
        let groups: BTreeSet<String> = groups_of(cluster, group, instance).into_iter().collect();
        for address in instance.pod_addresses.iter().chain([&instance.address]) {
            all.members.insert(*address, groups.clone());
        }
    }
    let joined = state
        .instances
        .values()
        .filter(|one| one.has_addresses() && one.vpc == network.vpc_id);
    let joined = joined.filter(|one| {
        one.bootstrap
            .as_ref()
            .is_some_and(|of| of.cluster == cluster.name.as_str())
    });
    nodes.extend(joined.map(|one| one.address));
    if network.endpoint_public_access {
        for endpoint in &network.addresses {
            all.public_endpoints.extend(nodes.iter().map(|node| (*node, *endpoint)));
        }
    }
}

/// The groups of an instance that EKS launched: its own, or the cluster's with that of its group's remote access.
pub fn groups_of(cluster: &Cluster, group: Option<&Nodegroup>, instance: &Instance) -> Vec<String> {
    if !instance.security_groups.is_empty() {
        return instance.security_groups.clone();
    }
    let remote = group
        .and_then(|group| group.remote_access.as_ref())
        .map(|access| access.group.clone());
    let own = cluster.network.cluster_security_group_id.clone();
    std::iter::once(own).chain(remote).collect()
}

impl Region {
    /// Makes every network filter what the records say now.
    ///
    /// # Errors
    /// When a network cannot be told; those before it were.
    pub(crate) async fn secure(&self) -> Result<(), HostError> {
        let _one_at_a_time = self.securing.lock().await;
        for vpc in self.host.networks().await {
            let groups = self
                .ledger
                .read(|state| state.vpcs.contains_key(&vpc).then(|| of_vpc(state, &vpc)));
            if let Some(groups) = groups {
                self.host.secure_network(vpc, groups).await?;
            }
        }
        Ok(())
    }

    /// The same for whoever has written a change down: the networks follow later if they cannot now.
    pub(crate) async fn secure_now(&self) {
        if let Err(error) = self.secure().await {
            let error = supervision::error_chain(&error);
            tracing::warn!(error, "security groups are not in force yet");
        }
    }

    /// Launches an instance in a network that filters its traffic already.
    ///
    /// # Errors
    /// When the host cannot.
    pub(crate) async fn launch(&self, spec: InstanceSpec) -> Result<(), HostError> {
        self.secure().await?;
        self.host.launch_instance(spec).await
    }
}

/// Keeps networks as the records say until the region ends: who may speak to whom, and what load balancers serve.
pub async fn follow(region: Arc<Region>) {
    loop {
        region.ledger.changed().await;
        while let Err(error) = told(&region).await {
            let error = supervision::error_chain(&error);
            tracing::warn!(error, "networks are not yet as they should be");
            supervision::sleep(PAUSE).await;
        }
    }
}

async fn told(region: &Region) -> Result<(), HostError> {
    region.secure().await?;
    region.balance().await
}
