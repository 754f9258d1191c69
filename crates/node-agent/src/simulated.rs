//! Simulated nodes: the same agent on a runtime in memory, many to a process, for scale tests and machines where containers
//! cannot run.
//!
//! What a simulated node cannot do it says (logs, exec), it never makes output up; usage is what annotations say ([`usage`]). Nothing is on disk: a node that
//! starts again takes its pods up as the API server knows them. Containers run for ever, but those that are meant to end do:
//! init containers at once, those of pods that are not always restarted at once or after [`RUNS_FOR`].

pub mod usage;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube_client::Counted;
use pod_lifecycle::spec;
use tokio::io::DuplexStream;
use tokio_rustls::TlsAcceptor;

use crate::agent::{Agent, Dependencies};
use crate::config::Config;
use crate::container_config::{self, PodPaths};
use crate::fake_cri::FakeRuntime;
use crate::server::{self, ServerError};
use clock::{Clock, Random};
use supervision::{DrainReport, Supervisor};

/// Annotation of a pod: for how many seconds its containers run before they end with success.
pub const RUNS_FOR: &str = "simulation.ondol.dev/runs-for-seconds";

/// A simulated node that runs.
pub struct SimulatedNode {
    agent: Arc<Agent>,
    acceptor: Option<TlsAcceptor>,
}

impl SimulatedNode {
    /// Starts a node whose pods get their addresses from `pool`. `pods` are those that it ran in an earlier process.
    ///
    /// # Errors
    /// When the certificates of its configuration are none.
    pub fn start(
        config: Config,
        client: Counted,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
        tasks: Supervisor,
        pool: Vec<Ipv4Addr>,
        pods: &[Pod],
    ) -> Result<Self, ServerError> {
        let own = match config.instance.private_ip {
            std::net::IpAddr::V4(address) => address,
            std::net::IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let runtime = FakeRuntime::with_pool(clock.clone(), own, pool);
        let channel = runtime.serve(&tasks);
        pods.iter().for_each(|pod| take_up(&runtime, &config, pod));
        let acceptor = config.serving.as_ref().map(server::acceptor).transpose()?;
        let dependencies = Dependencies {
            client,
            runtime: channel,
            clock,
            random,
            tasks,
        };
        let config = Config {
            simulated: true,
            ..config
        };
        let agent = Agent::new(config, dependencies);
        crate::begin(&agent);
        Ok(Self { agent, acceptor })
    }

    /// Ends the node's tasks, as a power cut would: nobody is told.
    pub async fn stop(self, limit: Duration) -> DrainReport {
        self.agent.tasks.drain(limit).await
    }

    /// A connection to the node's HTTPS port, which is in memory only.
    pub fn connect(&self) -> Option<DuplexStream> {
        let acceptor = self.acceptor.clone()?;
        let (near, far) = tokio::io::duplex(64 * 1024);
        let connection = server::serve(Arc::clone(&self.agent), acceptor, far);
        self.agent
            .tasks
            .spawn_until_cancelled("connection to a simulated node", connection);
        Some(near)
    }
}

fn take_up(runtime: &FakeRuntime, config: &Config, pod: &Pod) {
    let paths = PodPaths::of(config, pod);
    let sandbox = container_config::sandbox(pod, config, &paths, &Default::default(), 0);
    runtime.adopt(pod, sandbox, |container, attempt| {
        let mut found = container_config::identity(pod, container, attempt);
        found.annotations.extend(life(pod, container));
        found
    });
}

/// For how long a container runs, as an annotation for the runtime; `None` for ever.
pub(crate) fn life(pod: &Pod, container: &Container) -> Option<(String, String)> {
    let pod_spec = pod.spec.as_ref()?;
    let wished = || pod.metadata.annotations.as_ref()?.get(RUNS_FOR).cloned();
    let is_init = spec::init_containers(pod_spec)
        .iter()
        .any(|init| init.name == container.name);
    let ends = matches!(pod_spec.restart_policy.as_deref(), Some("Never" | "OnFailure"));
    let seconds = match (is_init, ends) {
        (true, _) if container.restart_policy.as_deref() == Some("Always") => return None,
        (true, _) => Some("0".to_owned()),
        (false, true) => Some(wished().unwrap_or_else(|| "0".to_owned())),
        (false, false) => wished(),
    };
    Some((RUNS_FOR.to_owned(), seconds?))
}

#[cfg(test)]
mod tests;
