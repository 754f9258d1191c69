//! A control plane in this process, with nodes that only say what a node would say.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access_rules::User;
use clock::{SystemClock, SystemRandom};
use controller_manager::ControllerManager;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus, Pod, PodCondition, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use kube_api::{
    Anonymous, AsyncReadWrite, ClusterPki, KubeApi, NodeDialer, ServerNames, ServiceAccountTokens, VersionInfo,
};
use reconcile_loop::{ComponentLog, LogKeeper, Observer, Severity};
use registry::Registry;
use supervision::Supervisor;
use tempfile::TempDir;

/// The longest that any state may take to come on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

struct Nowhere;

impl NodeDialer for Nowhere {
    fn dial(&self, _to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn AsyncReadWrite>>> {
        async { Err(io::Error::from(io::ErrorKind::HostUnreachable)) }.boxed()
    }
}

/// What the loops have said.
#[derive(Default)]
pub struct Said(Mutex<Vec<String>>);

impl Said {
    /// Whether some line holds this.
    pub fn has(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

impl LogKeeper for Said {
    fn is_wanted(&self) -> bool {
        true
    }

    fn write(&self, severity: Severity, place: &str, text: String) {
        let line = format!("{} {place}] {text}", severity.letter());
        self.0.lock().expect("nobody panicked").push(line);
    }
}

/// The control plane.
pub struct Cluster {
    pub said: Arc<Said>,
    pub client: Client,
    pub manager: ControllerManager,
    pub served: KubeApi,
    pub pki: Arc<ClusterPki>,
    pub supervisor: Supervisor,
    _dir: TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let supervisor = Supervisor::new("test");
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let names = ServerNames::of_cluster("cluster.local");
        let pki = Arc::new(ClusterPki::load_or_create(dir.path(), &names, clock.as_ref()).expect("keys"));
        let tokens = ServiceAccountTokens::new(&pki, "https://test.local/id/0", clock.clone(), random.clone());
        let tokens = Arc::new(tokens.expect("a token issuer"));
        let registry = Registry::open(registry::Options {
            store: store::open(dir.path(), store::Options::default(), &supervisor).expect("a store"),
            clock: clock.clone(),
            random: random.clone(),
            supervisor: supervisor.child("registry"),
            service_cidr: "10.100.0.0/16".parse().expect("a CIDR"),
            node_ports: (30000, 32767),
            api_endpoints: (vec!["192.168.0.10".parse().expect("an address")], 443),
            token_issuer: tokens.clone(),
            encryption: Arc::default(),
        });
        let api = KubeApi::new(kube_api::Options {
            registry: registry.await.expect("a registry"),
            pki: pki.clone(),
            tokens,
            token_authenticators: Vec::new(),
            anonymous: Anonymous::HealthOnly,
            access: kube_api::AccessOptions::default(),
            dialer: Arc::new(Nowhere),
            version: VersionInfo::eks("1.36", 0, "eks-test"),
            external_address: "127.0.0.1:443".to_owned(),
            clock,
            random,
            supervisor: supervisor.child("api"),
        });
        let api = api.expect("an API");
        let client = client(&api, "admin");
        let said = Arc::<Said>::default();
        let manager = start_loops(&api, &pki, &said, &supervisor);
        let cluster = Self {
            said,
            client,
            manager,
            served: api,
            pki,
            supervisor,
            _dir: dir,
        };
        cluster
            .supervisor
            .spawn_until_cancelled("agents", agents(cluster.client.clone()));
        cluster
    }

    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub async fn add_node(&self, name: &str, zone: &str) {
        let quantity = |(key, value): (&str, &str)| (key.to_owned(), Quantity(value.to_owned()));
        let labels = [("topology.kubernetes.io/zone", zone), ("kubernetes.io/hostname", name)];
        let node = Node {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                ..ObjectMeta::default()
            },
            spec: None,
            status: Some(NodeStatus {
                allocatable: Some([("cpu", "2"), ("memory", "4Gi"), ("pods", "17")].map(quantity).into()),
                conditions: Some(vec![NodeCondition {
                    type_: "Ready".to_owned(),
                    status: "True".to_owned(),
                    ..NodeCondition::default()
                }]),
                ..NodeStatus::default()
            }),
        };
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes
            .create(&PostParams::default(), &node)
            .await
            .expect("a node is created");
        // A patch: the controllers taint the node at the same time.
        let ready = nodes
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&node))
            .await;
        ready.expect("a node is ready");
    }

    pub async fn stop(self) {
        self.supervisor.drain(Duration::from_secs(5)).await;
    }
}

/// Waits until `look` finds what it looks for; what it saw last is told when that does not happen.
pub async fn eventually<T, S, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    S: Debug,
    F: Future<Output = Result<T, S>>,
{
    let looked = supervision::wait_until(what, LIMIT, || {
        let seen = look();
        async move { seen.await.map_err(|seen| format!("{seen:?}")) }
    });
    looked.await.unwrap_or_else(|late| panic!("{late}"))
}

/// The controllers and the scheduler, on one view of the cluster as in the region process.
fn start_loops(api: &KubeApi, pki: &Arc<ClusterPki>, said: &Arc<Said>, supervisor: &Supervisor) -> ControllerManager {
    let log = ComponentLog::kept_by(said.clone());
    let observer = Observer::new(client(api, "system:kube-controller-manager"));
    let manager = controller_manager::start(controller_manager::Options {
        client: client(api, "system:kube-controller-manager"),
        observer: observer.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        supervisor: supervisor.clone(),
        cluster_ca_pem: pki.ca_pem().to_owned(),
        authority: pki.clone(),
        region: "ap-northeast-2".to_owned(),
        log: log.clone(),
    });
    scheduler::start(scheduler::Options {
        client: client(api, "system:kube-scheduler"),
        observer: observer.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        supervisor: supervisor.clone(),
        log,
    });
    let mut kinds = manager.kinds();
    kinds.extend(scheduler::KINDS);
    observer.start(&kinds, supervisor);
    manager
}

fn client(api: &KubeApi, name: &str) -> Client {
    let user = User {
        name: name.to_owned(),
        groups: vec!["system:masters".to_owned()],
        ..User::default()
    };
    kube_client::in_process(api.in_process(user), "default")
}

/// Runs pods that are placed and ends those that are deleted.
async fn agents(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut events = Box::pin(
        watcher(pods, watcher::Config::default())
            .default_backoff()
            .applied_objects(),
    );
    let mut turn = 0_usize;
    while let Ok(Some(pod)) = events.try_next().await {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        turn += 1;
        if let Err(error) = attend(&api, pod, turn).await {
            tracing::debug!(error = supervision::error_chain(&error), "pod not attended");
        }
    }
}

async fn attend(api: &Api<Pod>, pod: Pod, turn: usize) -> Result<(), kube::Error> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.clone())
        .unwrap_or_default();
    if pod.metadata.deletion_timestamp.is_some() {
        return api
            .delete(&name, &DeleteParams::default().grace_period(0))
            .await
            .map(drop);
    }
    if pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_none() {
        return Ok(());
    }
    if phase != "Running" {
        let address = format!("10.0.{}.{}", turn / 250, turn % 250 + 1);
        let now = Some(Time("2026-01-01T00:00:00Z".parse().expect("a time")));
        let status = Some(PodStatus {
            phase: Some("Running".to_owned()),
            pod_ip: Some(address.clone()),
            pod_ips: Some(vec![PodIP { ip: address }]),
            conditions: Some(vec![PodCondition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                last_transition_time: now,
                ..PodCondition::default()
            }]),
            ..PodStatus::default()
        });
        let running = Pod {
            status,
            ..Pod::default()
        };
        return api
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&running))
            .await
            .map(drop);
    }
    Ok(())
}
