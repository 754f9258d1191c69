//! `ondol network-agent <role>`: what `aws-node`, `kube-proxy` and `coredns` run, from the built-in image.

use std::ffi::OsString;

use network_agent::Role;
use supervision::Supervisor;

use crate::failure::Failure;

/// Runs one role until the process is told to stop.
pub async fn run(arguments: &[OsString], supervisor: &Supervisor) -> Result<(), Failure> {
    let role = arguments.first().and_then(|role| role.to_str()).unwrap_or_default();
    let role: Role = role.parse().map_err(Failure::of("read the role"))?;
    network_agent::run(role, supervisor)
        .await
        .map_err(Failure::of("run the network agent"))
}
