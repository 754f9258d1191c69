//! What the pods of the built-in image run: `ondol network-agent <role>` for `aws-node`, `kube-proxy` and `coredns`, and
//! `ondol metrics-server`.

use std::ffi::OsString;
use std::sync::Arc;

use clock::{SystemClock, SystemRandom};
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

/// Serves what nodes and pods use until the process is told to stop.
pub async fn metrics_server(supervisor: &Supervisor) -> Result<(), Failure> {
    let client = network_agent::client().map_err(Failure::of("reach the API server"))?;
    metrics_server::run(client, Arc::new(SystemClock), &SystemRandom, supervisor)
        .await
        .map_err(Failure::of("serve metrics"))
}
