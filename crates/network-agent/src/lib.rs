//! Service rules and cluster DNS on a node, pod address hand-out.
//!
//! **Invariant:** sets what `service-routing` says, and nothing else.
//!
//! On a node each part is a pod of `kube-system` that runs this binary: `kube-proxy`, `aws-node` and `coredns`. The
//! region process runs [`vpc`] for each VPC: its rules, NAT gateway and resolver.
#![forbid(unsafe_code)]

pub mod cni;
pub mod dns;
pub mod host_ports;
pub mod proxy;
pub mod security_groups;
pub mod vpc;

mod health;
mod in_cluster;

pub use in_cluster::{InClusterError, client};

use supervision::Supervisor;
use thiserror::Error;

/// Which part of the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// kube-proxy.
    Proxy,
    /// aws-node.
    Cni,
    /// coredns.
    Dns,
}

/// Why the agent ended.
#[derive(Debug, Error)]
pub enum AgentError {
    /// No part of this name.
    #[error("unknown part {0:?} of the network agent: proxy, cni or dns")]
    UnknownRole(String),
    /// The API server's address or credentials.
    #[error("no access to the API server from this pod")]
    Client(#[from] InClusterError),
    /// kube-proxy.
    #[error("kube-proxy")]
    Proxy(#[from] proxy::ProxyError),
    /// aws-node.
    #[error("aws-node")]
    Cni(#[from] cni::CniError),
    /// coredns.
    #[error("coredns")]
    Dns(#[from] dns::DnsError),
}

impl std::str::FromStr for Role {
    type Err = AgentError;

    fn from_str(name: &str) -> Result<Self, AgentError> {
        match name {
            "proxy" => Ok(Self::Proxy),
            "cni" => Ok(Self::Cni),
            "dns" => Ok(Self::Dns),
            other => Err(AgentError::UnknownRole(other.to_owned())),
        }
    }
}

/// Runs a part of the agent with what its pod is given (environment, service account), until the supervisor is
/// cancelled.
///
/// # Errors
/// When it cannot start; afterwards it goes on whatever happens to the API server.
pub async fn run(role: Role, supervisor: &Supervisor) -> Result<(), AgentError> {
    match role {
        Role::Proxy => Ok(proxy::run(proxy::Config::from_environment(), client()?, supervisor).await?),
        Role::Cni => Ok(cni::run(cni::Config::default(), supervisor).await?),
        Role::Dns => Ok(dns::run(dns::Config::from_environment(), client()?, supervisor).await?),
    }
}
