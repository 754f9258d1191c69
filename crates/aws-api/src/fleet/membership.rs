//! Which cluster an instance joins: the one that its user data names, if it is in that cluster's VPC and its role may be a
//! node there.

use std::collections::BTreeMap;

use access_rules::identity;
use aws_types::{ClusterName, instance_type};
use cluster_lifecycle::aws_auth::{self, Principal};
use cluster_lifecycle::cluster::Cluster;

use super::instance::Ec2Instance;
use crate::ec2::own_image;
use crate::host::{InstanceSpec, Taint};
use crate::iam::entity::{self, EntityKind};
use crate::ledger::State;
use crate::region::Region;

/// The group whose members are nodes.
const NODES: &str = "system:nodes";

/// What the records say of an instance's right to be a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An access entry makes its role a node.
    Member,
    /// Only `aws-auth` can say.
    AskConfigMap,
    /// It is none.
    Stranger,
}

/// The cluster that the instance's user data names, if it is there and reachable from the instance's VPC.
pub fn cluster_of<'a>(state: &'a State, instance: &Ec2Instance) -> Option<&'a Cluster> {
    let name = ClusterName::new(instance.bootstrap.as_ref()?.cluster.clone()).ok()?;
    let cluster = state.clusters.get(&name)?;
    (cluster.network.vpc_id == instance.vpc).then_some(cluster)
}

/// The ARN of the role in the instance's profile.
pub fn role_arn(state: &State, instance: &Ec2Instance) -> Option<String> {
    let profile = state.instance_profiles.get(instance.profile.as_ref()?)?;
    let role = entity::find(state, EntityKind::Role, profile.role.as_ref()?).ok()?;
    Some(role.arn.clone())
}

/// Whether a role may be a node of a cluster.
pub fn standing(state: &State, cluster: &Cluster, role: &str) -> Standing {
    let entry = state.access_entries.get(&(cluster.name.clone(), role.to_owned()));
    let entry = entry.filter(|_| cluster.authentication_mode != "CONFIG_MAP");
    match entry {
        Some(entry) if entry.all_groups().iter().any(|group| group == NODES) => Standing::Member,
        None if cluster.authentication_mode != "API" => Standing::AskConfigMap,
        _ => Standing::Stranger,
    }
}

/// Whether `aws-auth` makes the role a node.
pub fn is_mapped(region: &Region, instance: &Ec2Instance, role: &str, data: &BTreeMap<String, String>) -> bool {
    let principal = Principal {
        canonical_arn: role,
        account: region.account().as_str(),
        session: instance.id.as_str(),
        access_key_id: "",
        private_dns_name: Some(&instance.node_name),
    };
    let (mapped, _) = aws_auth::map(data, &principal);
    mapped.is_some_and(|(name, groups)| {
        name == format!("system:node:{}", instance.node_name)
            && groups.iter().any(|group| group == NODES || group == identity::MASTERS)
    })
}

/// What the host must know to make the instance a node of the cluster; `None` when its subnet or type is gone.
pub fn spec(state: &State, region: &Region, cluster: &Cluster, instance: &Ec2Instance) -> Option<InstanceSpec> {
    let bootstrap = instance.bootstrap.as_ref()?;
    let kind = instance_type::find(&instance.instance_type)?;
    let taint = |(key, value, effect): &(String, String, String)| Taint {
        key: key.clone(),
        value: value.clone(),
        effect: effect.clone(),
    };
    Some(InstanceSpec {
        cluster: region.cluster_ref(&cluster.name),
        nodegroup: None,
        id: instance.id.clone(),
        eni: instance.eni.clone(),
        instance_type: instance.instance_type.clone(),
        max_pods: bootstrap.max_pods.unwrap_or_else(|| kind.max_pods()),
        vpc: instance.vpc.clone(),
        subnet: state.subnets.get(&instance.subnet)?.spec(),
        address: instance.address,
        node_name: instance.node_name.clone(),
        pod_addresses: instance.pod_addresses.clone(),
        labels: bootstrap.labels.clone(),
        taints: bootstrap.taints.iter().map(taint).collect(),
        tags: instance.tags.clone(),
        kubernetes_version: version_of(state, cluster, instance),
        size: None,
    })
}

/// The version of the image's node software, where it is EKS's image; empty for the cluster's own.
fn version_of(state: &State, cluster: &Cluster, instance: &Ec2Instance) -> String {
    let patch = own_image::base(state, &instance.image).and_then(|image| image.kubernetes);
    let known = aws_types::eks_version::VERSIONS
        .iter()
        .find(|version| Some(version.patch) == patch);
    let known = known.filter(|version| version.minor != cluster.version);
    known.map(|version| version.git_version()).unwrap_or_default()
}
