//! A control plane of one test: store, registry, API server and agent in this process.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access_rules::User;
use clock::{SystemClock, SystemRandom};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Resource};
use kube_api::{
    Anonymous, AsyncReadWrite, ClusterPki, KubeApi, NodeDialer, Options, ServerNames, ServiceAccountTokens, VersionInfo,
};
use node_agent::fake_cri::FakeRuntime;
use node_agent::simulated::SimulatedNode;
use registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use supervision::Supervisor;

struct NoNodes;

impl NodeDialer for NoNodes {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn AsyncReadWrite>>> {
        async move { Err(io::Error::other(format!("no way to {to} in this test"))) }.boxed()
    }
}

pub struct Cluster {
    pub client: kube::Client,
    node_client: kube_client::Counted,
    pub runtime: FakeRuntime,
    supervisor: Supervisor,
    agent: Option<Supervisor>,
    dir: tempfile::TempDir,
}

pub fn object<K: DeserializeOwned>(json: &str) -> K {
    serde_json::from_str(json).unwrap()
}

fn user(name: &str, group: &str) -> User {
    User {
        name: name.to_owned(),
        uid: None,
        groups: vec![group.to_owned(), "system:authenticated".to_owned()],
        extra: Default::default(),
    }
}

impl Cluster {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new("test");
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let names = ServerNames::of_cluster("cluster.local");
        let pki = Arc::new(ClusterPki::load_or_create(dir.path(), &names, clock.as_ref()).unwrap());
        let tokens = ServiceAccountTokens::new(&pki, "https://test/id", clock.clone(), random.clone()).unwrap();
        let tokens = Arc::new(tokens);
        let registry = Registry::open(registry::Options {
            store: store::open(dir.path(), store::Options::default(), &supervisor).unwrap(),
            clock: clock.clone(),
            random: random.clone(),
            supervisor: supervisor.child("registry"),
            service_cidr: "10.100.0.0/16".parse().unwrap(),
            node_ports: (30000, 32767),
            api_endpoints: (vec!["10.0.0.1".parse().unwrap()], 443),
            token_issuer: tokens.clone(),
            encryption: Arc::default(),
        })
        .await
        .unwrap();
        let api = KubeApi::new(Options {
            registry,
            pki,
            tokens,
            token_authenticators: Vec::new(),
            anonymous: Anonymous::HealthOnly,
            access: kube_api::AccessOptions::default(),
            dialer: Arc::new(NoNodes),
            version: VersionInfo::eks("1.36", 0, "eks-test"),
            external_address: "10.0.0.1:443".to_owned(),
            clock: clock.clone(),
            random,
            supervisor: supervisor.child("api"),
        })
        .unwrap();
        let client = kube_client::in_process(api.in_process(user("admin", "system:masters")), "default");
        // The agent may do what a node may, no more.
        let node = user("system:node:node-1", "system:nodes");
        let node_client = kube_client::in_process_counted(api.in_process(node), "default");
        let runtime = FakeRuntime::new(clock, "10.1.0.1".parse().unwrap());
        let mut cluster = Self {
            client,
            node_client,
            runtime,
            supervisor,
            agent: None,
            dir,
        };
        cluster
            .create::<ServiceAccount>(r#"{"metadata":{"name":"default"}}"#)
            .await;
        // What the controller manager would publish.
        let authority = r#"{"metadata":{"name":"kube-root-ca.crt"},"data":{"ca.crt":"x"}}"#;
        cluster.create::<ConfigMap>(authority).await;
        cluster.start_agent();
        cluster
    }

    /// How the node is described.
    fn config(&self) -> node_agent::Config {
        let root = self.dir.path().display();
        object(&format!(
            r#"{{"nodeName":"node-1",
                "instance":{{"instanceId":"i-0abc","instanceType":"t3.medium","region":"r","zone":"ra","privateIp":"10.0.0.5","privateDnsName":"node-1"}},
                "capacity":{{"cpus":2,"memoryBytes":4294967296,"ephemeralStorageBytes":21474836480,"maxPods":17}},
                "clusterDns":["10.100.0.10"],"criSocket":"unused","rootDir":"{root}/kubelet","podLogDir":"{root}/log",
                "kubeletVersion":"v1.36.0-eks-test","osImage":"test"}}"#
        ))
    }

    /// Puts a simulated node, which ran `pods` before, in the place of the agent.
    pub async fn simulate(&mut self, pods: &[Pod]) -> SimulatedNode {
        self.stop_agent().await;
        let tasks = self.supervisor.child("simulated");
        let pool = vec!["10.2.0.1".parse().unwrap(), "10.2.0.2".parse().unwrap()];
        let tools = (Arc::new(SystemClock) as _, Arc::new(SystemRandom) as _);
        SimulatedNode::start(self.config(), self.node_client.clone(), tools, tasks, pool, pods).unwrap()
    }

    /// Is anything on disk of what nodes keep there?
    pub fn has_files(&self) -> bool {
        self.dir.path().join("kubelet").exists() || self.dir.path().join("log").exists()
    }

    pub fn start_agent(&mut self) {
        let config = self.config();
        let tasks = self.supervisor.child("agent");
        let dependencies = node_agent::Dependencies {
            client: self.node_client.clone(),
            runtime: self.runtime.serve(&tasks),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            tasks: tasks.clone(),
        };
        tasks.spawn_until_cancelled("agent", async move {
            node_agent::run_on(config, dependencies).await.unwrap();
        });
        self.agent = Some(tasks);
    }

    /// Ends the agent as a crash would: nothing is told to the runtime.
    pub async fn stop_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            assert!(agent.drain(Duration::from_secs(10)).await.is_clean());
        }
    }

    pub async fn stop(mut self) {
        self.stop_agent().await;
        self.supervisor.drain(Duration::from_secs(10)).await;
    }

    pub async fn create<K>(&self, json: &str) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), "default");
        api.create(&PostParams::default(), &object(json)).await.unwrap()
    }

    /// Creates a pod that is already bound to the node.
    pub async fn create_pod(&self, name: &str, spec: &str) -> Pod {
        let bound = spec.replacen('{', r#"{"nodeName":"node-1","#, 1);
        self.create(&format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{bound}}}"#))
            .await
    }
}
