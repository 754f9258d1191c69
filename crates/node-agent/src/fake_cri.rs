//! A container runtime in memory: sandboxes and containers that exist only as records. For simulated nodes and tests; it
//! answers what it does not have (exec, streams) with an error, never with made-up output.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clock::Clock;
use cri_api::v1 as cri;
use cri_api::v1::image_service_server::ImageServiceServer;
use cri_api::v1::runtime_service_server::RuntimeServiceServer;
use hyper_util::rt::TokioIo;
use supervision::Supervisor;
use tokio::io::DuplexStream;
use tokio::sync::{broadcast, mpsc};
use tonic::transport::{Channel, Endpoint};

mod adopt;
mod service;

/// Events kept for a subscriber that is slow; it then misses some and the agent looks at everything.
const EVENTS: usize = 1024;

/// The runtime. Clones share everything.
#[derive(Clone)]
pub struct FakeRuntime {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<cri::ContainerEventResponse>,
    clock: Arc<dyn Clock>,
}

struct State {
    sandboxes: BTreeMap<String, Sandbox>,
    containers: BTreeMap<String, Container>,
    images: BTreeSet<String>,
    /// Images whose pull fails, and the runtime's words for it.
    broken_images: BTreeMap<String, String>,
    /// What commands answer, by container name: exit code and output.
    commands: BTreeMap<String, (i32, String)>,
    next_id: u64,
    addresses: Addresses,
    /// Parent of the containers that end by themselves, once served.
    tasks: Option<Supervisor>,
}

/// Where pods' addresses come from.
enum Addresses {
    /// One after the other from here on.
    From(u32),
    /// Of these, each in turn, whichever is free.
    Pool { all: Vec<Ipv4Addr>, next: usize },
}

struct Sandbox {
    config: cri::PodSandboxConfig,
    ready: bool,
    /// None on the host's network.
    address: Option<Ipv4Addr>,
    created: i64,
}

struct Container {
    sandbox_id: String,
    config: cri::ContainerConfig,
    state: cri::ContainerState,
    created: i64,
    started: i64,
    finished: i64,
    exit_code: i32,
    reason: String,
}

impl FakeRuntime {
    /// An empty runtime whose pods get addresses from `first_address` on.
    pub fn new(clock: Arc<dyn Clock>, first_address: Ipv4Addr) -> Self {
        Self::with(clock, first_address, Addresses::From(first_address.into()))
    }

    /// An empty runtime of the machine at `own`, whose pods get their addresses from a pool.
    pub fn with_pool(clock: Arc<dyn Clock>, own: Ipv4Addr, pool: Vec<Ipv4Addr>) -> Self {
        Self::with(clock, own, Addresses::Pool { all: pool, next: 0 })
    }

    fn with(clock: Arc<dyn Clock>, own: Ipv4Addr, addresses: Addresses) -> Self {
        let state = State {
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            images: BTreeSet::new(),
            broken_images: BTreeMap::new(),
            commands: BTreeMap::new(),
            // No two machines of a cluster make the same ids.
            next_id: u64::from(u32::from(own)) << 32,
            addresses,
            tasks: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            events: broadcast::channel(EVENTS).0,
            clock,
        }
    }

    /// Serves in memory as a task of `tasks`; the channel is what an agent is given.
    pub fn serve(&self, tasks: &Supervisor) -> Channel {
        self.locked().tasks = Some(tasks.clone());
        let (connections, incoming) = mpsc::unbounded_channel::<std::io::Result<DuplexStream>>();
        let server = tonic::transport::Server::builder()
            .add_service(RuntimeServiceServer::new(self.clone()))
            .add_service(ImageServiceServer::new(self.clone()))
            .serve_with_incoming(futures::stream::unfold(incoming, |mut incoming| async move {
                incoming.recv().await.map(|connection| (connection, incoming))
            }));
        tasks.spawn_until_cancelled("fake runtime", async move {
            if let Err(error) = server.await {
                tracing::error!(error = supervision::error_chain(&error), "fake runtime");
            }
        });
        Endpoint::from_static("http://fake-runtime").connect_with_connector_lazy(tower::service_fn(
            move |_: http::Uri| {
                let connections = connections.clone();
                async move {
                    let (client, server) = tokio::io::duplex(64 * 1024);
                    connections
                        .send(Ok(server))
                        .map_err(|_gone| std::io::Error::from(std::io::ErrorKind::NotConnected))?;
                    Ok::<_, std::io::Error>(TokioIo::new(client))
                }
            },
        ))
    }

    /// Ends a running container, as if its process had exited.
    pub fn exit(&self, pod: &str, container: &str, exit_code: i32) {
        let found = self.find(pod, container);
        if let Some(id) = found {
            self.finish(&id, exit_code, "");
        }
    }

    /// Lets every pull of `image` fail with `message`, or succeed again with `None`.
    pub fn break_image(&self, image: &str, message: Option<&str>) {
        let mut state = self.locked();
        match message {
            Some(message) => state.broken_images.insert(image.to_owned(), message.to_owned()),
            None => state.broken_images.remove(image),
        };
    }

    /// What a command in containers of this name answers from now on.
    pub fn answer_commands(&self, container: &str, exit_code: i32, output: &str) {
        self.locked()
            .commands
            .insert(container.to_owned(), (exit_code, output.to_owned()));
    }

    /// Environment of the newest attempt of a container, for tests of what it was given.
    pub fn environment(&self, pod: &str, container: &str) -> Option<BTreeMap<String, String>> {
        let id = self.find(pod, container)?;
        let state = self.locked();
        let envs = &state.containers.get(&id)?.config.envs;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Some(envs.iter().map(|env| (env.key.clone(), text(&env.value))).collect())
    }

    /// Host path of what a container sees at `path`.
    pub fn mount(&self, pod: &str, container: &str, path: &str) -> Option<std::path::PathBuf> {
        let id = self.find(pod, container)?;
        let state = self.locked();
        let mounts = &state.containers.get(&id)?.config.mounts;
        mounts
            .iter()
            .find(|mount| mount.container_path == path)
            .map(|mount| mount.host_path.clone().into())
    }

    /// How many sandboxes there are, dead ones included.
    pub fn sandbox_count(&self) -> usize {
        self.locked().sandboxes.len()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// The newest attempt of a container by the names of its pod and itself.
    fn find(&self, pod: &str, container: &str) -> Option<String> {
        let state = self.locked();
        let of_pod = |one: &Container| {
            let sandbox = state.sandboxes.get(&one.sandbox_id);
            sandbox
                .and_then(|sandbox| sandbox.config.metadata.as_ref())
                .is_some_and(|metadata| metadata.name == pod)
        };
        let named = |one: &Container| {
            one.config
                .metadata
                .as_ref()
                .is_some_and(|metadata| metadata.name == container)
        };
        let attempt = |one: &Container| one.config.metadata.as_ref().map_or(0, |metadata| metadata.attempt);
        let matching = state.containers.iter().filter(|(_, one)| named(one) && of_pod(one));
        matching.max_by_key(|(_, one)| attempt(one)).map(|(id, _)| id.clone())
    }

    fn finish(&self, id: &str, exit_code: i32, reason: &str) {
        let now = self.now();
        {
            let mut state = self.locked();
            let Some(container) = state.containers.get_mut(id) else {
                return;
            };
            if container.state != cri::ContainerState::ContainerRunning {
                return;
            }
            container.state = cri::ContainerState::ContainerExited;
            container.exit_code = exit_code;
            container.finished = now;
            reason.clone_into(&mut container.reason);
        }
        self.announce(id, cri::ContainerEventType::ContainerStoppedEvent);
    }

    fn announce(&self, container_id: &str, kind: cri::ContainerEventType) {
        let state = self.locked();
        let sandbox_id = state
            .containers
            .get(container_id)
            .map(|container| container.sandbox_id.clone());
        let id = sandbox_id.unwrap_or_else(|| container_id.to_owned());
        let event = cri::ContainerEventResponse {
            container_id: container_id.to_owned(),
            container_event_type: kind.into(),
            created_at: self.now(),
            pod_sandbox_status: state.sandboxes.get(&id).map(|sandbox| sandbox.status(&id)),
            containers_statuses: state.statuses_of(&id),
        };
        // Without a subscriber nobody needs to know.
        if self.events.send(event).is_err() {
            tracing::trace!("no agent listens to the fake runtime");
        }
    }
}

impl State {
    /// An address that no sandbox has.
    fn take_address(&mut self) -> Option<Ipv4Addr> {
        let held = self.sandboxes.values().filter(|sandbox| sandbox.ready);
        let used: BTreeSet<Ipv4Addr> = held.filter_map(|sandbox| sandbox.address).collect();
        match &mut self.addresses {
            Addresses::From(next) => {
                *next += 1;
                Some(Ipv4Addr::from(*next - 1))
            }
            Addresses::Pool { all, next } => {
                let turns = (0..all.len()).map(|turn| (*next + turn) % all.len());
                let found = turns.into_iter().find(|index| !used.contains(&all[*index]))?;
                *next = found + 1;
                Some(all[found])
            }
        }
    }

    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("{:064x}", self.next_id)
    }

    fn statuses_of(&self, sandbox_id: &str) -> Vec<cri::ContainerStatus> {
        let of_sandbox = self
            .containers
            .iter()
            .filter(|(_, container)| container.sandbox_id == sandbox_id);
        of_sandbox.map(|(id, container)| container.status(id)).collect()
    }
}

impl Sandbox {
    fn state(&self) -> cri::PodSandboxState {
        if self.ready {
            cri::PodSandboxState::SandboxReady
        } else {
            cri::PodSandboxState::SandboxNotready
        }
    }

    fn on_host(config: &cri::PodSandboxConfig) -> bool {
        let options = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
        let options = options.and_then(|context| context.namespace_options.as_ref());
        options.is_some_and(|options| options.network() == cri::NamespaceMode::Node)
    }

    fn status(&self, id: &str) -> cri::PodSandboxStatus {
        cri::PodSandboxStatus {
            id: id.to_owned(),
            metadata: self.config.metadata.clone(),
            state: self.state().into(),
            created_at: self.created,
            network: self.address.map(|address| cri::PodSandboxNetworkStatus {
                ip: IpAddr::from(address).to_string(),
                additional_ips: Vec::new(),
            }),
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            ..Default::default()
        }
    }
}

impl Container {
    fn status(&self, id: &str) -> cri::ContainerStatus {
        let image = self.config.image.clone().unwrap_or_default();
        cri::ContainerStatus {
            id: id.to_owned(),
            metadata: self.config.metadata.clone(),
            state: self.state.into(),
            created_at: self.created,
            started_at: self.started,
            finished_at: self.finished,
            exit_code: self.exit_code,
            image_ref: image.image.clone(),
            image: Some(image),
            reason: self.reason.clone(),
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            mounts: self.config.mounts.clone(),
            log_path: self.config.log_path.clone(),
            ..Default::default()
        }
    }
}
