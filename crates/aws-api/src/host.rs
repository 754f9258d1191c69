//! What EKS operations need done outside the region's own store: the seam that the binary implements by wiring drivers.
//!
//! The region decides and writes first, then calls the host. After a restart it repeats every call whose effect it cannot
//! prove (D10), so each call here is idempotent: asking for what is there already succeeds and changes nothing, and
//! removing what is gone succeeds. The host decides nothing about EKS: it has no states, no names and no addresses of
//! its own, all of them are handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_types::{AccountId, ClusterName, EniId, InstanceId, NodegroupName, RegionName, SubnetId, VpcId, ZoneName};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use service_routing::network_balancers::{HealthState, VpcBalancers};
use service_routing::security_groups::SecurityGroups;

/// Does what EKS, EC2 and Auto Scaling do to the world.
///
/// Calls for one cluster may run at the same time (several instances launch together); calls for one instance never do.
/// A future may be dropped at any point (shutdown): what it did up to there must be found by the next call.
pub trait ClusterHost: Send + Sync + 'static {
    /// Makes the cluster's VPC fabric, store, PKI, API server, scheduler and controllers, and (when
    /// [`ControlPlaneSpec::bootstrap_addons`] is set) the system pods' objects. Returns once `/readyz` answers.
    ///
    /// Called again for an existing cluster, also in a new process: starts whatever is not running and returns the same
    /// endpoint, authority and issuer as before. A running one takes in another version, key or identity
    /// providers.
    fn create_control_plane(&self, spec: ControlPlaneSpec) -> BoxFuture<'_, Result<ControlPlane, HostError>>;

    /// Stops the cluster's components and removes its state and load balancers; and the VPC's fabric if no other cluster
    /// uses it. The region terminates the instances first. Unknown clusters are success.
    fn delete_control_plane(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<(), HostError>>;

    /// Starts the machine of an instance and lets it join its cluster. Returns when the machine's first process runs;
    /// whether the node becomes Ready is seen by [`ClusterHost::nodes`].
    ///
    /// Called again for a running instance (same id): success. For one that died: an error of kind
    /// [`HostErrorKind::InstanceLost`], because an instance id is never used twice; the region launches another.
    fn launch_instance(&self, spec: InstanceSpec) -> BoxFuture<'_, Result<(), HostError>>;

    /// The VPCs whose traffic passes here and can be filtered; none where nodes are simulated.
    fn networks(&self) -> BoxFuture<'_, Vec<VpcId>> {
        std::future::ready(Vec::new()).boxed()
    }

    /// Makes a VPC's traffic obey these security groups. Returns when new connections do; those that exist go on. A VPC that
    /// is gone is success.
    fn secure_network(&self, _vpc: VpcId, _groups: SecurityGroups) -> BoxFuture<'_, Result<(), HostError>> {
        std::future::ready(Ok(())).boxed()
    }

    /// Makes a VPC's network load balancers be these. A VPC that is gone is success.
    fn balance(&self, _vpc: VpcId, _wanted: VpcBalancers) -> BoxFuture<'_, Result<(), HostError>> {
        std::future::ready(Ok(())).boxed()
    }

    /// How a target group's targets are, by id and port; nothing where nobody asks them.
    fn target_health(
        &self,
        _vpc: VpcId,
        _group: String,
    ) -> BoxFuture<'_, Option<BTreeMap<(String, u16), HealthState>>> {
        std::future::ready(None).boxed()
    }

    /// Ends the machine with all that runs in it, frees its links and files, and removes its Node object as EC2's cloud
    /// controller would. Unknown instances are success.
    fn terminate_instance(&self, instance: InstanceRef) -> BoxFuture<'_, Result<(), HostError>>;

    /// Those of the instances whose machines run now, found by looking (not remembered). It costs what is asked for, however
    /// many others there are.
    fn running(&self, instances: BTreeSet<InstanceId>) -> BoxFuture<'_, Result<BTreeSet<InstanceId>, HostError>>;

    /// Changes of instances from now on. May drop or repeat: the region looks again with [`ClusterHost::running`] when
    /// the stream begins and at intervals, so a lost event costs time and nothing else.
    fn instance_events(&self) -> BoxStream<'static, ObservedInstance>;

    /// The cluster's Node objects, as far as EKS cares. An API server that does not answer is an error, not an empty list.
    fn nodes(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<Vec<ObservedNode>, HostError>>;

    /// Cordons the instance's node and evicts its pods (not those of DaemonSets) through the eviction API, respecting
    /// disruption budgets until `limit`. After `limit`: [`HostErrorKind::DrainTimedOut`] naming the pods that are left.
    /// A node that is gone, or an instance that never joined, is success.
    fn drain_node(&self, instance: InstanceRef, limit: Duration) -> BoxFuture<'_, Result<(), HostError>>;

    /// Makes the labels and taints that the node group gives its nodes true on every one of its Node objects
    /// (`UpdateNodegroupConfig`). Keys in `before` and not in `after` are removed; others are left alone.
    fn relabel_nodes(&self, change: NodeMetadataChange) -> BoxFuture<'_, Result<(), HostError>>;

    /// What the cluster's controllers and scheduler would do now about an object, in words or as data.
    ///
    /// A kind or object that is not there is an error of kind [`HostErrorKind::Permanent`].
    fn explain(&self, question: Question) -> BoxFuture<'_, Result<String, HostError>>;

    /// Puts an add-on's objects into the cluster. Fields that others have changed are left (`PRESERVE`), taken (`OVERWRITE`),
    /// or answered by the names of their objects, and then nothing is changed (`NONE`).
    fn apply_addon(&self, addon: AddonSpec) -> BoxFuture<'_, Result<Vec<String>, HostError>>;

    /// Takes an add-on's objects out of the cluster. Those that are gone are success.
    fn remove_addon(&self, addon: AddonSpec) -> BoxFuture<'_, Result<(), HostError>>;

    /// By add-on, the workloads that lack ready pods.
    fn lacking_workloads(&self, cluster: ClusterRef)
    -> BoxFuture<'_, Result<BTreeMap<String, Vec<String>>, HostError>>;

    /// What `kube-system/aws-auth` holds; nothing when there is none.
    fn identity_mappings(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<BTreeMap<String, String>, HostError>>;

    /// Lets nodes with a role in by `kube-system/aws-auth`, as EKS does for the node groups of clusters that use it. A role that is mapped
    /// already stays as it is.
    fn map_node_role(&self, cluster: ClusterRef, role: String) -> BoxFuture<'_, Result<(), HostError>>;

    /// The pods of a cluster that a Fargate profile has taken (the label says which), whether they run or wait.
    fn fargate_pods(&self, cluster: ClusterRef) -> BoxFuture<'_, Result<Vec<FargatePod>, HostError>>;

    /// Clusters whose Fargate pods have changed. May drop or repeat, as [`ClusterHost::instance_events`].
    fn fargate_events(&self) -> BoxStream<'static, ClusterRef>;

    /// Gives a Fargate pod its node, as a scheduler does. One that has it already, or is gone, is success.
    fn bind_fargate_pod(&self, binding: FargateBinding) -> BoxFuture<'_, Result<(), HostError>>;

    /// Says on a Fargate pod why it waits, in the words of Fargate's scheduler. A pod that is gone is success.
    fn refuse_fargate_pod(&self, pod: FargatePod, message: String) -> BoxFuture<'_, Result<(), HostError>>;

    /// The load balancers that serve now.
    fn load_balancers(&self) -> BoxFuture<'_, Result<Vec<LoadBalancer>, HostError>>;

    /// Every process that belongs to this Ondol, with its memory.
    fn processes(&self) -> BoxFuture<'_, Result<Vec<Process>, HostError>>;
}

/// A pod that a Fargate profile has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FargatePod {
    /// The cluster.
    pub cluster: ClusterRef,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The profile.
    pub profile: String,
    /// Processors that it asks for, in thousandths.
    pub millicpus: u64,
    /// Memory that it asks for, in bytes.
    pub memory_bytes: u64,
    /// Why Fargate cannot run it, if it cannot.
    pub unsupported: Option<String>,
    /// Whether it waits for a node. A pod that is being deleted waits for none.
    pub waits: bool,
}

/// A Fargate pod and its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FargateBinding {
    /// The pod.
    pub pod: FargatePod,
    /// The node's name.
    pub node: String,
    /// What the node has, as the pod's annotation `CapacityProvisioned` says it.
    pub capacity: String,
}

/// An add-on of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonSpec {
    /// The cluster.
    pub cluster: ClusterRef,
    /// The add-on's name.
    pub name: String,
    /// Its configuration as it was given.
    pub values: Option<String>,
    /// `NONE`, `OVERWRITE` or `PRESERVE`.
    pub resolve_conflicts: String,
}

/// Which cluster. Names are unique in one account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterRef {
    /// The account that owns the cluster.
    pub account: AccountId,
    /// The region it is in.
    pub region: RegionName,
    /// Its name.
    pub name: ClusterName,
}

/// Which instance, and the cluster whose fabric it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceRef {
    /// The cluster.
    pub cluster: ClusterRef,
    /// The instance.
    pub id: InstanceId,
}

/// A control plane as `CreateCluster` asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPlaneSpec {
    /// The cluster.
    pub cluster: ClusterRef,
    /// `1.28` to `1.36`: what `/version` reports as major and minor.
    pub version: String,
    /// What `/version` reports as git version, without the leading `v`, for example `1.33.5-eks-3025e55`.
    pub git_version: String,
    /// The VPC. Two clusters may share one: the fabric is made once for each id. Different ids with equal CIDRs are
    /// different fabrics.
    pub vpc: VpcSpec,
    /// Addresses of the cluster's network interfaces: the API server listens on each, port 443, inside the VPC.
    pub addresses: Vec<Ipv4Addr>,
    /// Services get their cluster addresses from here; `kubernetes` is the first, DNS the tenth.
    pub service_cidr: String,
    /// The issuer of service-account tokens, as `DescribeCluster` reports it, `https://localhost:<port>/id/<32 hex>`.
    pub oidc_issuer: String,
    /// ARN of the caller of `CreateCluster`, who is `system:masters`.
    pub creator_arn: String,
    /// Whether to install vpc-cni, kube-proxy and coredns (EKS's `bootstrapSelfManagedAddons`).
    pub bootstrap_addons: bool,
    /// ARN of the KMS key under which Secrets are kept.
    #[serde(default)]
    pub encryption_key: Option<String>,
    /// Whose tokens are accepted besides IAM's.
    #[serde(default)]
    pub identity_providers: Vec<access_rules::oidc::Provider>,
}

/// A VPC and those of its subnets that the region knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcSpec {
    /// The VPC's id, which names its fabric.
    pub id: VpcId,
    /// Its block, for example `192.168.0.0/16`.
    pub cidr: String,
    /// Further blocks. A network that is there already learns of a new one when it is made again.
    #[serde(default)]
    pub further: Vec<String>,
    /// Its subnets.
    pub subnets: Vec<SubnetSpec>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetSpec {
    /// The subnet's id.
    pub id: SubnetId,
    /// Its block.
    pub cidr: String,
    /// Its zone.
    pub zone: ZoneName,
    /// Whether its instances get public addresses (eksctl's public subnets).
    pub public: bool,
}

/// What a made control plane tells about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPlane {
    /// `https://127.0.0.1:<port>`: stable for the cluster's life, restarts included.
    pub endpoint: String,
    /// The authority that signed the endpoint's certificate, PEM (the region base64s it for `certificateAuthority.data`).
    pub certificate_authority_pem: String,
    /// The public keys of its service-account tokens, as a JSON web key set.
    pub issuer_keys: String,
}

/// An instance as EC2 would launch it for a node group. Ids and addresses are already allocated and written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// The cluster that the instance joins.
    pub cluster: ClusterRef,
    /// The managed node group that it belongs to; none for instances that joined by their user data.
    pub nodegroup: Option<NodegroupName>,
    /// The instance's id, unique for ever.
    pub id: InstanceId,
    /// The id of its first network interface.
    pub eni: EniId,
    /// For example `t3.medium`: decides processors, memory, addresses and the most pods
    /// (`aws_types::instance_type`).
    pub instance_type: String,
    /// The most pods, from the instance type's network limits.
    pub max_pods: u32,
    /// The VPC.
    pub vpc: VpcId,
    /// The subnet.
    pub subnet: SubnetSpec,
    /// The instance's own address, in the subnet.
    pub address: Ipv4Addr,
    /// The Node's name, `ip-192-168-1-2.<region>.compute.internal`.
    pub node_name: String,
    /// Addresses for its pods, in the subnet: every secondary address of every interface that the type can have.
    pub pod_addresses: Vec<Ipv4Addr>,
    /// Labels that the Node registers with: EKS's own and the node group's.
    pub labels: BTreeMap<String, String>,
    /// Taints that the Node registers with.
    pub taints: Vec<Taint>,
    /// EC2 tags.
    pub tags: BTreeMap<String, String>,
    /// The version of its node software, for example `1.33.5-eks-3025e55`; empty for the cluster's own.
    #[serde(default)]
    pub kubernetes_version: String,
    /// How big it is, where that is not its type's: nodes of Fargate have sizes, not types.
    #[serde(default)]
    pub size: Option<cluster_lifecycle::fargate::Size>,
}

/// A taint in Kubernetes' spelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// The key.
    pub key: String,
    /// The value; may be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// The life of an instance as EC2 names it. The host never reports `shutting-down`: that is the region's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Being started.
    Pending,
    /// Its first process runs.
    Running,
    /// Its first process is gone, whoever ended it.
    Terminated,
}

/// An instance as it is seen now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedInstance {
    /// Which instance.
    pub instance: InstanceRef,
    /// Its state.
    pub state: InstanceState,
    /// Why it ended, if that is known, for example `killed by signal 9`.
    pub reason: Option<String>,
}

/// A Node object as far as EKS cares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedNode {
    /// The Node's name.
    pub name: String,
    /// The instance, from `spec.providerID`; `None` for a Node that is no instance of this region.
    pub instance: Option<InstanceId>,
    /// The node group, from the label `eks.amazonaws.com/nodegroup`.
    pub nodegroup: Option<NodegroupName>,
    /// Whether condition Ready is True.
    pub ready: bool,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
}

/// Labels and taints of a node group before and after an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMetadataChange {
    /// The cluster.
    pub cluster: ClusterRef,
    /// The node group.
    pub nodegroup: NodegroupName,
    /// The group's labels before.
    pub labels_before: BTreeMap<String, String>,
    /// The group's labels after.
    pub labels_after: BTreeMap<String, String>,
    /// The group's taints before.
    pub taints_before: Vec<Taint>,
    /// The group's taints after.
    pub taints_after: Vec<Taint>,
}

/// What somebody wants explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The cluster.
    pub cluster: ClusterRef,
    /// The kind, in any of kubectl's spellings.
    pub kind: String,
    /// The namespace, of kinds that have one.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// In which form the answer is to be.
    pub form: AnswerForm,
}

/// In which form an explanation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerForm {
    /// For people.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// A load balancer that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// The cluster that asked for it.
    pub cluster: ClusterRef,
    /// Namespace and name of the Service.
    pub service: String,
    /// The name under which it answers, `<name>.elb.localhost`.
    pub host_name: String,
    /// `host:port` pairs on this machine where it accepts connections.
    pub listeners: Vec<String>,
}

/// A process of this Ondol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id in the host's namespace.
    pub pid: u32,
    /// What it is: `region`, `machine`, `machine-runtime`, `machine-agent`, `machine-proxy`, `shim`, `network-agent`.
    pub role: String,
    /// What it belongs to, for example an instance id or a pod; empty for the region.
    pub of: String,
    /// Proportional set size in bytes: shared pages are divided among their users, so sums are honest.
    pub memory_bytes: u64,
}

/// Why a host could not do something.
#[derive(Debug, thiserror::Error)]
#[error("{step} of {object}")]
pub struct HostError {
    /// Kind, which decides what the region does next.
    pub kind: HostErrorKind,
    /// The step that failed, for example `start API server`.
    pub step: &'static str,
    /// The cluster, instance or node.
    pub object: String,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What an error means for the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostErrorKind {
    /// Trying again may help: the region does, with growing pauses.
    Transient,
    /// Trying again cannot help: the cluster becomes FAILED, the node group CREATE_FAILED or DEGRADED, with the message.
    Permanent,
    /// The instance ran once and is gone; another must take its place.
    InstanceLost,
    /// Pods were left when the drain's limit passed; the message names them.
    DrainTimedOut,
}

impl From<LoadBalancer> for aws_types::status::LoadBalancerStatus {
    fn from(seen: LoadBalancer) -> Self {
        let LoadBalancer {
            cluster,
            service,
            host_name,
            listeners,
        } = seen;
        Self {
            cluster: cluster.name.to_string(),
            service,
            host_name,
            listeners,
        }
    }
}

impl From<Process> for aws_types::status::ProcessStatus {
    fn from(seen: Process) -> Self {
        let Process {
            pid,
            role,
            of,
            memory_bytes,
        } = seen;
        Self {
            pid,
            role,
            of,
            memory_bytes,
        }
    }
}
