//! The command line: Ondol's own commands, and eksctl's with eksctl's flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// An EKS region on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "ondol",
    version,
    about,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// Where state is kept.
    #[arg(long, global = true, env = "ONDOL_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the region.
    Up(Up),
    /// Stop the region with all clusters, machines and load balancers.
    Down(Down),
    /// What runs: region, clusters, nodes, load balancers, memory.
    Status(Status),
    /// What the controllers would do about an object now, and why a pod waits.
    Explain(Explain),
    /// Print the environment that points AWS clients at the region.
    Env(Env),
    /// Say how to make clients believe the region's TLS endpoint; changes nothing on this machine.
    Trust(crate::trust::Trust),
    /// Container images of the region's store.
    #[command(subcommand)]
    Image(Image),
    /// Create a cluster or node group.
    #[command(subcommand)]
    Create(Create),
    /// Show clusters or node groups.
    #[command(subcommand)]
    Get(Get),
    /// Change the size of a node group.
    #[command(subcommand)]
    Scale(Scale),
    /// Delete a cluster or node group.
    #[command(subcommand)]
    Delete(Delete),
    /// Kubeconfig and other helpers.
    #[command(subcommand)]
    Utils(Utils),
    /// Print a token for a cluster, as `aws eks get-token` does; kubectl calls this.
    GetToken(GetToken),
}

/// `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// The AWS endpoint's port; 0 takes a free one.
    #[arg(long, env = "ONDOL_PORT", default_value_t = 4566)]
    pub port: u16,
    /// The port at which load balancers answer by host name.
    #[arg(long, env = "ONDOL_LOAD_BALANCER_PORT", default_value_t = 80)]
    pub load_balancer_port: u16,
    /// The AWS region to be.
    #[arg(long, env = "ONDOL_REGION", default_value = "ap-northeast-2")]
    pub region: String,
    /// Nodes without containers, for machines where containers cannot run.
    #[arg(long)]
    pub simulated: bool,
    /// Keep the objects of clusters in etcd, not on this machine's disk:
    /// etcd://[user@]host:port[,host:port...][/prefix][?ca=...&cert=...&key=...&password-file=...].
    #[arg(long, env = "ONDOL_STORE")]
    pub store: Option<String>,
}

/// `down`.
#[derive(Debug, Args)]
pub struct Down {
    /// Remove clusters, images and keys too.
    #[arg(long)]
    pub purge: bool,
    /// How long processes may take to end, for example 10s.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub grace: std::time::Duration,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// table, json or yaml.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The object, as kind/name: deployment/web.
    pub object: String,
    /// Its namespace.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// The cluster; needed when there are several.
    #[arg(short, long)]
    pub cluster: Option<String>,
    /// table (text for people), json or yaml.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// `env`.
#[derive(Debug, Args)]
pub struct Env {
    /// The shell to write for.
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    pub shell: Shell,
}

/// A family of shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// sh, bash, zsh.
    Sh,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
}

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// `image`.
#[derive(Debug, Subcommand)]
pub enum Image {
    /// Load an OCI or docker-save archive.
    Load {
        /// The archive.
        archive: PathBuf,
    },
    /// List images.
    #[command(visible_alias = "ls")]
    List,
}

/// `create`.
#[derive(Debug, Subcommand)]
pub enum Create {
    /// Create a cluster with its VPC and first node group.
    Cluster(Box<CreateCluster>),
    /// Add a node group to a cluster.
    #[command(visible_alias = "ng")]
    Nodegroup(Box<CreateNodegroup>),
}

/// `get`.
#[derive(Debug, Subcommand)]
pub enum Get {
    /// Show clusters.
    #[command(visible_alias = "clusters")]
    Cluster(GetCluster),
    /// Show node groups of a cluster.
    #[command(visible_aliases = ["nodegroups", "ng"])]
    Nodegroup(GetNodegroup),
}

/// `scale`.
#[derive(Debug, Subcommand)]
pub enum Scale {
    /// Change the size of a node group.
    #[command(visible_alias = "ng")]
    Nodegroup(ScaleNodegroup),
}

/// `delete`.
#[derive(Debug, Subcommand)]
pub enum Delete {
    /// Delete a cluster with its node groups and VPC.
    Cluster(DeleteCluster),
    /// Delete a node group.
    #[command(visible_alias = "ng")]
    Nodegroup(DeleteNodegroup),
}

/// `utils`.
#[derive(Debug, Subcommand)]
pub enum Utils {
    /// Write a cluster's entry into the kubeconfig.
    WriteKubeconfig(WriteKubeconfig),
}

/// Flags of every command that waits.
#[derive(Debug, Clone, Args)]
pub struct Waiting {
    /// The longest wait, for example 25m.
    #[arg(long, default_value = "25m", value_parser = duration)]
    pub timeout: std::time::Duration,
}

/// Where the kubeconfig is and what is written.
#[derive(Debug, Clone, Args)]
pub struct Kubeconfig {
    /// The file; by default the first of KUBECONFIG, or ~/.kube/config.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Make the cluster's context the current one.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub set_kubeconfig_context: bool,
}

/// What a node group is to be.
#[derive(Debug, Clone, Default, Args)]
pub struct NodegroupFlags {
    /// How many nodes.
    #[arg(short = 'N', long, allow_negative_numbers = true)]
    pub nodes: Option<i64>,
    /// At least.
    #[arg(short = 'm', long, allow_negative_numbers = true)]
    pub nodes_min: Option<i64>,
    /// At most.
    #[arg(short = 'M', long, allow_negative_numbers = true)]
    pub nodes_max: Option<i64>,
    /// The instance type.
    #[arg(short = 't', long)]
    pub node_type: Option<String>,
    /// Or several.
    #[arg(long, value_delimiter = ',')]
    pub instance_types: Vec<String>,
    /// Root volume in GiB.
    #[arg(long)]
    pub node_volume_size: Option<i64>,
    /// Labels, key=value, joined by commas.
    #[arg(long, value_delimiter = ',')]
    pub node_labels: Vec<String>,
    /// Zones that the group is limited to.
    #[arg(long, value_delimiter = ',')]
    pub node_zones: Vec<String>,
    /// Nodes in the private subnets.
    #[arg(short = 'P', long)]
    pub node_private_networking: bool,
    /// Spot capacity.
    #[arg(long)]
    pub spot: bool,
    /// A managed node group (the only kind here).
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub managed: bool,
}

/// `create cluster`.
#[derive(Debug, Args)]
pub struct CreateCluster {
    /// A ClusterConfig file, - for standard input.
    #[arg(short = 'f', long)]
    pub config_file: Option<PathBuf>,
    /// The cluster's name.
    #[arg(short, long)]
    pub name: Option<String>,
    /// The cluster's name.
    #[arg(value_name = "NAME", conflicts_with = "name")]
    pub positional_name: Option<String>,
    /// The AWS region.
    #[arg(short, long)]
    pub region: Option<String>,
    /// The Kubernetes version. (--version)
    #[arg(long = "version", value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
    /// Tags, key=value, joined by commas.
    #[arg(long, value_delimiter = ',')]
    pub tags: Vec<String>,
    /// Zones of the VPC.
    #[arg(long, value_delimiter = ',')]
    pub zones: Vec<String>,
    /// The VPC's block.
    #[arg(long)]
    pub vpc_cidr: Option<String>,
    /// HighlyAvailable, Single or Disable.
    #[arg(long)]
    pub vpc_nat_mode: Option<String>,
    /// An OIDC issuer for service accounts.
    #[arg(long)]
    pub with_oidc: bool,
    /// No first node group.
    #[arg(long)]
    pub without_nodegroup: bool,
    /// The first node group's name.
    #[arg(long)]
    pub nodegroup_name: Option<String>,
    /// Print the ClusterConfig and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Write the kubeconfig.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub write_kubeconfig: bool,
    /// Derive the context's name from the cluster's only.
    #[arg(long)]
    pub auto_kubeconfig: bool,
    /// The node group.
    #[command(flatten)]
    pub nodegroup: NodegroupFlags,
    /// The kubeconfig.
    #[command(flatten)]
    pub kubeconfig: Kubeconfig,
    /// The wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `create nodegroup`.
#[derive(Debug, Args)]
pub struct CreateNodegroup {
    /// A ClusterConfig file, - for standard input.
    #[arg(short = 'f', long)]
    pub config_file: Option<PathBuf>,
    /// The cluster.
    #[arg(long)]
    pub cluster: Option<String>,
    /// The group's name.
    #[arg(short, long)]
    pub name: Option<String>,
    /// The AWS region.
    #[arg(short, long)]
    pub region: Option<String>,
    /// The Kubernetes version of its nodes.
    #[arg(long = "version", value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
    /// Tags, key=value, joined by commas.
    #[arg(long, value_delimiter = ',')]
    pub tags: Vec<String>,
    /// The node group.
    #[command(flatten)]
    pub nodegroup: NodegroupFlags,
    /// The wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `get cluster`.
#[derive(Debug, Args)]
pub struct GetCluster {
    /// Only this one.
    #[arg(short, long)]
    pub name: Option<String>,
    /// Only this one.
    #[arg(value_name = "NAME", conflicts_with = "name")]
    pub positional_name: Option<String>,
    /// The AWS region.
    #[arg(short, long)]
    pub region: Option<String>,
    /// table, json or yaml.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// `get nodegroup`.
#[derive(Debug, Args)]
pub struct GetNodegroup {
    /// The cluster.
    #[arg(long)]
    pub cluster: String,
    /// Only this one.
    #[arg(short, long)]
    pub name: Option<String>,
    /// The AWS region.
    #[arg(short, long)]
    pub region: Option<String>,
    /// table, json or yaml.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// `scale nodegroup`.
#[derive(Debug, Args)]
pub struct ScaleNodegroup {
    /// The cluster.
    #[arg(long)]
    pub cluster: String,
    /// The group.
    #[arg(short, long)]
    pub name: String,
    /// How many nodes.
    #[arg(short = 'N', long, allow_negative_numbers = true)]
    pub nodes: Option<i64>,
    /// At least.
    #[arg(short = 'm', long, allow_negative_numbers = true)]
    pub nodes_min: Option<i64>,
    /// At most.
    #[arg(short = 'M', long, allow_negative_numbers = true)]
    pub nodes_max: Option<i64>,
    /// The AWS region.
    #[arg(short, long)]
    pub region: Option<String>,
    /// Wait until the group has the size.
    #[arg(short, long)]
    pub wait: bool,
    /// The wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `delete cluster`.
#[derive(Debug, Args)]
pub struct DeleteCluster {
    /// A ClusterConfig file, - for standard input.
    #[arg(short = 'f', long)]
    pub config_file: Option<PathBuf>,
    /// The cluster's name.
    #[arg(short, long)]
    pub name: Option<String>,
    /// The cluster's name.
    #[arg(value_name = "NAME", conflicts_with = "name")]
    pub positional_name: Option<String>,
    /// The AWS region.
    #[arg(short, long)]
    pub region: Option<String>,
    /// Wait until everything is gone.
    #[arg(short, long)]
    pub wait: bool,
    /// Go on although parts cannot be deleted.
    #[arg(long)]
    pub force: bool,
    /// The kubeconfig to remove the cluster from.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// The wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `delete nodegroup`.
#[derive(Debug, Args)]
pub struct DeleteNodegroup {
    /// The cluster.
    #[arg(long)]
    pub cluster: String,
    /// The group.
    #[arg(short, long)]
    pub name: String,
    /// The AWS region.
    #[arg(short, long)]
    pub region: Option<String>,
    /// Wait until it is gone.
    #[arg(short, long)]
    pub wait: bool,
    /// The wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `utils write-kubeconfig`.
#[derive(Debug, Args)]
pub struct WriteKubeconfig {
    /// The cluster.
    #[arg(short, long)]
    pub cluster: String,
    /// The AWS region.
    #[arg(short, long)]
    pub region: Option<String>,
    /// The kubeconfig.
    #[command(flatten)]
    pub kubeconfig: Kubeconfig,
}

/// `get-token`.
#[derive(Debug, Args)]
pub struct GetToken {
    /// The cluster.
    #[arg(long)]
    pub cluster_name: String,
    /// The AWS region.
    #[arg(long)]
    pub region: Option<String>,
}

/// A duration such as `90s`, `25m` or `1h30m`, as eksctl writes it.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|error: jiff::Error| format!("{error}; write for example 25m or 90s"))?;
    std::time::Duration::try_from(span).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
