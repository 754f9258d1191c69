//! The life of a managed node group and of its instances: how many, in which subnets, which one goes, which is replaced.
//!
//! What must be done is read from the phases of the instances, never remembered elsewhere, so a new process that reads the
//! record continues where the old one was killed.

pub mod balance;
mod lifecycle;
mod roll;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_types::{ClusterName, EniId, InstanceId, NodegroupName, SubnetId, ZoneName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::cluster::Issue;
pub use lifecycle::{ConfigChange, FinishedUpdate, Input, JOIN_LIMIT, Observation, VersionChange};

/// A node group as the region remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodegroup {
    /// Its name.
    pub name: NodegroupName,
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its ARN.
    pub arn: String,
    /// The name of its Auto Scaling group.
    pub auto_scaling_group: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub modified_at: Timestamp,
    /// Kubernetes version of its nodes.
    pub version: String,
    /// For example `1.33.5-20261101`.
    pub release_version: String,
    /// Where it is in its life.
    pub status: NodegroupStatus,
    /// `ON_DEMAND` or `SPOT`.
    pub capacity_type: String,
    /// How many instances.
    pub scaling: Scaling,
    /// Allowed types; the first one is used.
    pub instance_types: Vec<String>,
    /// Where instances may be.
    pub subnets: Vec<GroupSubnet>,
    /// For example `AL2023_x86_64_STANDARD`.
    pub ami_type: String,
    /// The instances' role.
    pub node_role: String,
    /// Labels of its nodes.
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes, in EKS's spelling.
    pub taints: Vec<Taint>,
    /// Size of the root volume in GiB.
    pub disk_size: u32,
    /// How many nodes an update may take away at once.
    pub max_unavailable: Unavailable,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The caller's idempotency token.
    pub client_request_token: Option<String>,
    /// What is wrong.
    pub issues: Vec<Issue>,
    /// Its instances, oldest first.
    pub instances: Vec<Instance>,
    /// The update that is being done.
    pub update: Option<PendingUpdate>,
    /// The launch template that it was made from: id, name, version.
    #[serde(default)]
    pub launch_template: Option<(String, String, String)>,
    /// Who may reach its nodes by SSH.
    #[serde(default)]
    pub remote_access: Option<RemoteAccess>,
}

/// `remoteAccess`, with the security group that EKS makes for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteAccess {
    /// The name of the key pair.
    pub key: String,
    /// Security groups whose members may connect; nobody is kept out when there are none.
    pub sources: Vec<String>,
    /// The id of the security group that lets them in.
    pub group: String,
}

/// A subnet of a group with its zone, over which instances are balanced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSubnet {
    /// The subnet.
    pub id: SubnetId,
    /// Its zone.
    pub zone: ZoneName,
}

/// `scalingConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// Never fewer.
    pub min: u32,
    /// Never more.
    pub max: u32,
    /// How many now.
    pub desired: u32,
}

/// `updateConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unavailable {
    /// A number of nodes.
    Count(u32),
    /// A share of the nodes, in percent.
    Percentage(u32),
}

/// A taint in EKS's spelling (`NO_SCHEDULE`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// The key.
    pub key: String,
    /// The value; EKS leaves it out when empty.
    pub value: Option<String>,
    /// `NO_SCHEDULE`, `NO_EXECUTE` or `PREFER_NO_SCHEDULE`.
    pub effect: String,
}

/// An instance of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its first network interface.
    pub eni: EniId,
    /// Its type.
    pub instance_type: String,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its zone.
    pub zone: ZoneName,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Its Node's name.
    pub node_name: String,
    /// Addresses for its pods.
    pub pod_addresses: Vec<Ipv4Addr>,
    /// When it was decided.
    pub launched_at: Timestamp,
    /// Where it is in its life.
    pub phase: Phase,
    /// The release that it runs; empty for those of before releases were kept.
    #[serde(default)]
    pub release: String,
    /// Its security groups, where they are not the cluster's.
    #[serde(default)]
    pub security_groups: Vec<String>,
}

/// Where an instance is. Each phase says what must be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Decided and written down; must be launched.
    Launching,
    /// Launched; must join.
    Joining,
    /// Its node is or was Ready.
    InService,
    /// Must be emptied, then ended.
    Draining,
    /// Must be ended.
    Terminating,
}

/// An update that is being done, and what it needs in order to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingUpdate {
    /// The id of its record.
    pub id: String,
    /// Labels and taints to take from nodes before the update counts as done: those of before it.
    pub relabel: Option<Relabel>,
    /// Instances of older releases are replaced before the update counts as done.
    #[serde(default)]
    pub roll: Option<Roll>,
}

/// A replacement of all instances of older releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roll {
    /// Whether pods that do not leave in time hold nothing up.
    pub force: bool,
    /// The version before.
    pub version_before: String,
    /// The release before.
    pub release_before: String,
}

/// Labels and taints before an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relabel {
    /// Labels before.
    pub labels: BTreeMap<String, String>,
    /// Taints before.
    pub taints: Vec<Taint>,
}

/// EKS's `NodegroupStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are EKS's own")]
pub enum NodegroupStatus {
    Creating,
    Active,
    Updating,
    Deleting,
    CreateFailed,
    DeleteFailed,
    Degraded,
}

impl NodegroupStatus {
    /// EKS's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::CreateFailed => "CREATE_FAILED",
            Self::DeleteFailed => "DELETE_FAILED",
            Self::Degraded => "DEGRADED",
        }
    }
}

impl Phase {
    /// Whether the instance counts towards the desired number.
    pub fn counts(self) -> bool {
        matches!(self, Self::Launching | Self::Joining | Self::InService)
    }
}

impl Nodegroup {
    /// Instances that count towards the desired number.
    pub fn counted(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.phase.counts())
    }

    /// Subnets in which instances must be launched now, one entry for each instance.
    pub fn missing(&self) -> Vec<SubnetId> {
        let grows = matches!(
            self.status,
            NodegroupStatus::Creating | NodegroupStatus::Active | NodegroupStatus::Updating | NodegroupStatus::Degraded
        );
        let have = self.counted().count();
        let wanted = self.wanted().saturating_sub(have);
        if !grows || wanted == 0 {
            return Vec::new();
        }
        let zones: Vec<&ZoneName> = self.counted().map(|instance| &instance.zone).collect();
        balance::subnets_for(&self.subnets, &zones, wanted)
    }

    /// The group with newly decided instances.
    pub fn with_instances(mut self, instances: Vec<Instance>) -> Self {
        self.instances.extend(instances);
        self
    }
}

#[cfg(test)]
mod tests;
