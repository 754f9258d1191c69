//! The kubelet's work: pod workers, probes, volumes, node status, and the node's own HTTPS port.
//!
//! **Invariant:** reaches containers through CRI only.
//!
//! One task for each pod looks at the API object, the runtime and probe results, asks `pod-lifecycle` what follows, does
//! it and reports. Everything is driven by watches and events: the API's, the runtime's, the probes'; nothing is polled.
#![forbid(unsafe_code)]

mod admission;
mod agent;
mod config;
mod container_config;
mod events;
pub mod fake_cri;
mod hooks;
mod images;
mod log_lines;
mod log_rotation;
mod node;
mod node_resources;
mod objects;
mod pods;
mod probes;
mod reconnect;
mod runtime;
mod server;
mod services;
pub mod simulated;
mod status_writer;
mod termination_message;
mod tokens;
mod volumes;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, Random};
use kube_client::Counted;
use supervision::{Restart, Supervisor};

pub use agent::Dependencies;
pub use config::{Capacity, Config, Instance, Limits, Serving};
pub use server::ServerError;

use agent::Agent;

/// Runs an agent on the CRI socket of its configuration until its supervisor is cancelled; see [`run_on`].
///
/// # Errors
/// As [`run_on`].
pub async fn run(
    config: Config,
    client: Counted,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    supervisor: &Supervisor,
) -> Result<(), ServerError> {
    let runtime = cri_api::connect(&config.cri_socket);
    let tasks = supervisor.child("node-agent");
    run_on(
        config,
        Dependencies {
            client,
            runtime,
            clock,
            random,
            tasks,
        },
    )
    .await
}

/// Runs an agent until its supervisor is cancelled: registers the node, keeps its pods as the API wants them, serves
/// its HTTPS port. Containers run on when it ends, and the next agent takes them over. The runtime and the API server may
/// come later than the agent: it waits for both.
///
/// # Errors
/// When the HTTPS port cannot be served; everything else is retried for ever.
pub async fn run_on(config: Config, dependencies: Dependencies) -> Result<(), ServerError> {
    let agent = Agent::new(config, dependencies);
    if let Some(serving) = &agent.config.serving {
        server::start(&agent, serving).await?;
    }
    begin(&agent);
    agent.tasks.cancelled().await;
    Ok(())
}

/// Starts everything that an agent does by itself.
fn begin(agent: &Arc<Agent>) {
    let restart = || Restart::always().pauses(Duration::from_millis(50), Duration::from_secs(1));
    let tasks = agent.tasks.clone();
    let shared = Arc::clone(agent);
    tasks.spawn_restarting("node", restart(), move || node::keep(Arc::clone(&shared)));
    let shared = Arc::clone(agent);
    tasks.spawn_restarting("lease", restart(), move || node::renew_lease(Arc::clone(&shared)));
    let shared = Arc::clone(agent);
    tasks.spawn_restarting("runtime events", restart(), move || {
        pods::follow_runtime(Arc::clone(&shared))
    });
    tasks.spawn_until_cancelled("pods", pods::follow(Arc::clone(agent)));
    if !agent.config.simulated {
        tasks.spawn_until_cancelled("log rotation", log_rotation::keep(Arc::clone(agent)));
    }
}

/// An API error in the server's own words.
pub(crate) fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => supervision::error_chain(other),
    }
}
