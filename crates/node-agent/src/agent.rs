//! What every part of the agent shares: who the node is, its clients, its caches, and the pods it holds.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use clock::{Clock, Random};
use k8s_openapi::api::core::v1::Pod;
use kube_client::Counted;
use kube_types::quantity::{Amount, Format};
use pod_lifecycle::dns::Resolver;
use supervision::Supervisor;
use tokio::sync::Notify;
use tonic::transport::Channel;

use crate::config::Config;
use crate::events::Recorder;
use crate::images::Puller;
use crate::objects::Objects;
use crate::runtime::Runtime;
use crate::services::Services;
use crate::tokens::Tokens;
use crate::worker::Inbox;

/// What the agent is given to work with.
pub struct Dependencies {
    /// Client with the identity `system:node:<name>`, and what it counts.
    pub client: Counted,
    /// Connection to the CRI server (`cri_api::connect`).
    pub runtime: Channel,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Tasks of the agent are its children.
    pub tasks: Supervisor,
}

/// Shared by all tasks of one agent.
pub(crate) struct Agent {
    pub(crate) config: Config,
    pub(crate) client: kube::Client,
    pub(crate) client_metrics: kube_client::Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) tasks: Supervisor,
    pub(crate) runtime: Runtime,
    pub(crate) events: Recorder,
    pub(crate) images: Puller,
    pub(crate) objects: Objects,
    pub(crate) services: Services,
    pub(crate) tokens: Tokens,
    /// Signalled on every event of the runtime: log followers look whether their container still runs.
    pub(crate) runtime_changed: Notify,
    /// What the API server said of bearer tokens.
    pub(crate) delegated: crate::server::delegated::Delegated,
    /// What containers use where none run.
    pub(crate) simulated_usage: crate::simulated::usage::Usage,
    /// Workers by pod UID.
    pods: Mutex<BTreeMap<String, Arc<Inbox>>>,
}

impl Agent {
    pub(crate) fn new(config: Config, given: Dependencies) -> Arc<Self> {
        let Dependencies {
            client: Counted {
                client,
                metrics: client_metrics,
            },
            runtime,
            clock,
            random,
            tasks,
        } = given;
        let events = Recorder::start(&config.node_name, client.clone(), clock.clone(), &tasks);
        Arc::new(Self {
            runtime: Runtime::new(runtime),
            images: Puller::default(),
            objects: Objects::new(client.clone(), tasks.child("objects")),
            services: Services::start(client.clone(), &tasks),
            tokens: Tokens::default(),
            runtime_changed: Notify::new(),
            delegated: Default::default(),
            simulated_usage: Default::default(),
            pods: Mutex::default(),
            events,
            config,
            client,
            client_metrics,
            clock,
            random,
            tasks,
        })
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    pub(crate) fn host_ips(&self) -> Vec<IpAddr> {
        vec![self.config.instance.private_ip]
    }

    /// The worker of a pod.
    pub(crate) fn inbox(&self, uid: &str) -> Option<Arc<Inbox>> {
        self.pods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(uid)
            .cloned()
    }

    pub(crate) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        self.pods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// The pods that the agent holds, as last seen from the API, with the status that the agent has made of them.
    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        self.inboxes().iter().map(|inbox| inbox.current()).collect()
    }

    pub(crate) fn add(&self, uid: &str, inbox: Arc<Inbox>) {
        self.pods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uid.to_owned(), inbox);
    }

    pub(crate) fn forget(&self, uid: &str) {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        self.objects.release(uid);
        self.tokens.forget(uid);
    }

    /// What the node has, for resource references without a limit of their own.
    pub(crate) fn allocatable(&self) -> BTreeMap<String, Amount> {
        let reserved = crate::node_resources::allocatable(&self.config.capacity);
        let whole = |bytes: u64| Amount::from_value(i64::try_from(bytes).unwrap_or(i64::MAX), Format::BinarySi);
        BTreeMap::from([
            (
                "cpu".to_owned(),
                Amount::from_milli(reserved.cpu_milli, Format::DecimalSi),
            ),
            ("memory".to_owned(), whole(reserved.memory_bytes)),
            ("ephemeral-storage".to_owned(), whole(reserved.ephemeral_storage_bytes)),
        ])
    }

    /// The machine's own resolver.
    pub(crate) fn host_resolver(&self) -> Resolver {
        let path = self
            .config
            .resolv_conf
            .as_deref()
            .unwrap_or(Path::new("/etc/resolv.conf"));
        match std::fs::read_to_string(path) {
            Ok(text) => Resolver::parse(&text),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the machine's resolver cannot be read");
                Resolver::default()
            }
        }
    }
}
