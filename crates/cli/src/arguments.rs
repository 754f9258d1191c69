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
    /// Accounts: each has clusters, networks and identities of its own, in every region.
    #[command(subcommand)]
    Account(Account),
    /// Say how to make clients believe the region's TLS endpoint; changes nothing on this machine.
    Trust(crate::trust::Trust),
    /// Container images of the region's store.
    #[command(subcommand)]
    Image(Image),
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
    /// Whose keys: an account that `ondol account create` has made.
    #[arg(long, env = "ONDOL_ACCOUNT")]
    pub account: Option<String>,
    /// Which region clients are to speak to; any of AWS's regions.
    #[arg(long)]
    pub region: Option<String>,
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

/// `account`.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Make an account with an administrator; one that is there already stays as it is.
    Create {
        /// Its id, twelve digits; one is drawn when none is given.
        id: Option<String>,
    },
    /// List accounts.
    #[command(visible_alias = "ls")]
    List,
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
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|error: jiff::Error| format!("{error}; write for example 25m or 90s"))?;
    std::time::Duration::try_from(span).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
