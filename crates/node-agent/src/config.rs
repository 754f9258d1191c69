//! What a node agent is told at its start: who it is, where things are, how big the machine is.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Taint;
use serde::{Deserialize, Serialize};

/// Everything the agent knows before it talks to anyone. Written by the machine's launcher, read by `ondol machine-agent`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Name of the Node object; on EKS the private DNS name (`ip-10-0-1-5.ap-northeast-2.compute.internal`).
    pub node_name: String,
    /// What EC2 says of the machine.
    pub instance: Instance,
    /// Labels beyond those that follow from `instance` (the node group's own labels among them).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints put on the Node when it is first registered.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// Size of the machine.
    pub capacity: Capacity,
    /// What the machine can enforce; said on the Node when it is not everything.
    #[serde(default)]
    pub limits: Limits,
    /// Addresses of the cluster's DNS service, for `dnsPolicy: ClusterFirst`.
    pub cluster_dns: Vec<IpAddr>,
    /// `cluster.local` unless told otherwise.
    #[serde(default = "cluster_domain")]
    pub cluster_domain: String,
    /// Unix socket of the CRI server.
    pub cri_socket: PathBuf,
    /// The kubelet's own directory (upstream's `/var/lib/kubelet`): `pods/<uid>/volumes/…`, the agent's checkpoint.
    pub root_dir: PathBuf,
    /// Directory that holds `<namespace>_<name>_<uid>/<container>/<n>.log` (upstream's `/var/log/pods`).
    pub pod_log_dir: PathBuf,
    /// The resolv.conf that `dnsPolicy: Default` copies; `/etc/resolv.conf` of the machine when absent.
    #[serde(default)]
    pub resolv_conf: Option<PathBuf>,
    /// Reported as `nodeInfo.kubeletVersion`, such as `v1.36.1-eks-0f7c2d1`.
    pub kubelet_version: String,
    /// Reported as `nodeInfo.osImage`.
    pub os_image: String,
    /// Where and as whom the HTTPS port (10250) is served; `None` serves none.
    #[serde(default)]
    pub serving: Option<Serving>,
    /// A node without containers ([`crate::simulated`]): nothing is written to disk, probes are not made and count as passed,
    /// hooks are not run.
    #[serde(default)]
    pub simulated: bool,
}

fn cluster_domain() -> String {
    "cluster.local".to_owned()
}

/// What the instance metadata service would tell a kubelet on EC2.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// `i-…`
    pub instance_id: String,
    /// `t3.medium`
    pub instance_type: String,
    /// `ap-northeast-2`
    pub region: String,
    /// `ap-northeast-2a`
    pub zone: String,
    /// `apne2-az1`, for the label topology.k8s.aws/zone-id.
    #[serde(default)]
    pub zone_id: Option<String>,
    /// Primary private address.
    pub private_ip: IpAddr,
    /// Public address, if the subnet gives one.
    #[serde(default)]
    pub public_ip: Option<IpAddr>,
    /// `ip-10-0-1-5.ap-northeast-2.compute.internal`
    pub private_dns_name: String,
    /// Name of the managed node group.
    #[serde(default)]
    pub node_group: Option<String>,
    /// AMI id, for the label eks.amazonaws.com/nodegroup-image.
    #[serde(default)]
    pub image_id: Option<String>,
    /// `ON_DEMAND` or `SPOT`.
    #[serde(default)]
    pub capacity_type: Option<String>,
}

/// Size of the machine, from its instance type.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Size of the root volume in bytes.
    pub ephemeral_storage_bytes: u64,
    /// Pods at most: ENIs × (addresses − 1) + 2 with the VPC CNI.
    pub max_pods: u32,
}

/// Which limits the kernel really enforces here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Memory limits and OOM kills act.
    pub memory: bool,
    /// CPU quotas and shares act.
    pub cpu: bool,
    /// Why not, for people; empty when all act.
    #[serde(default)]
    pub reason: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: true,
            cpu: true,
            reason: String::new(),
        }
    }
}

/// The HTTPS port of the kubelet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// `0.0.0.0:10250` inside the machine.
    pub listen: SocketAddr,
    /// Serving certificate chain, PEM.
    pub certificate_pem: String,
    /// Its key, PEM.
    pub key_pem: String,
    /// The CA whose client certificates are accepted, PEM.
    pub client_ca_pem: String,
}
