//! What `ondol status` is told by the region, as JSON.

use serde::{Deserialize, Serialize};

/// Everything that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionStatus {
    /// For example `ap-northeast-2`.
    pub region: String,
    /// The account that owns everything.
    pub account: String,
    /// Its clusters.
    pub clusters: Vec<ClusterStatus>,
    /// Its load balancers.
    pub load_balancers: Vec<LoadBalancerStatus>,
    /// Its processes.
    pub processes: Vec<ProcessStatus>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// Its region.
    #[serde(default)]
    pub region: String,
    /// Its account.
    #[serde(default)]
    pub account: String,
    /// EKS's status.
    pub status: String,
    /// Its Kubernetes version.
    pub version: String,
    /// Its API server.
    pub endpoint: Option<String>,
    /// Its node groups.
    pub nodegroups: Vec<NodegroupStatus>,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
}

/// A node group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodegroupStatus {
    /// Its name.
    pub name: String,
    /// EKS's status.
    pub status: String,
    /// How many instances are wanted.
    pub desired: u32,
    /// The instances that there are.
    pub instances: Vec<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its instance.
    pub instance: Option<String>,
    /// Its node group.
    pub nodegroup: Option<String>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Whether it is cordoned.
    pub unschedulable: bool,
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerStatus {
    /// The cluster that asked for it.
    pub cluster: String,
    /// Namespace and name of its Service.
    pub service: String,
    /// The name under which it answers.
    pub host_name: String,
    /// Where it accepts connections.
    pub listeners: Vec<String>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessStatus {
    /// Its id.
    pub pid: u32,
    /// What it is.
    pub role: String,
    /// What it belongs to.
    pub of: String,
    /// Its share of memory in bytes; shared pages are divided among their users.
    pub memory_bytes: u64,
}
