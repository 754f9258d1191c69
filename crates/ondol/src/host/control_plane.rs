//! Control planes: one cluster's store, API server, scheduler and controllers, all in this process.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use access_rules::User;
use aws_api::LogKind;
use aws_api::host::{ClusterRef, ControlPlane, ControlPlaneSpec, HostError, InstanceSpec};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Pod;
use kube_api::{Anonymous, CertificatePair, ClusterPki, KubeApi, ServerNames, ServiceAccountTokens, VersionInfo};
use kube_client::Cache;
use reconcile_loop::Observer;
use registry::Registry;
use store::Store;
use supervision::Supervisor;
use tokio::net::TcpListener;

use super::cluster_tokens::{ClusterTokens, introduce};
use super::components::{client, counted_client, show_metrics};
use super::logs::ClusterLogs;
use super::network::{ControlPlaneDialer, MetricsOptions, Network};
use super::settings::ClusterEncryption;
use super::{LocalHost, api_port, failed, locked};
use crate::home::part_of;

/// How long a cluster's tasks may take to end by themselves.
pub(super) const DRAIN: Duration = Duration::from_secs(5);

/// Ports of `type: NodePort` services, upstream's default.
const NODE_PORTS: (u16, u16) = (30_000, 32_767);

/// A control plane that runs.
pub(crate) struct Cluster {
    /// As the cluster's administrator.
    pub(super) client: kube::Client,
    /// Its VPC.
    pub(super) network: Network,
    pub(super) api: KubeApi,
    pub(super) encryption: ClusterEncryption,
    /// What `/version` reports, without the `v`; an upgrade changes it.
    git_version: RwLock<String>,
    pub(super) spec: ControlPlaneSpec,
    pki: Arc<ClusterPki>,
    tokens: Arc<ServiceAccountTokens>,
    service_cidr: Ipv4Net,
    endpoint: String,
    pub(super) supervisor: Supervisor,
    pub(super) scheduler: scheduler::Scheduler,
    pub(super) controllers: controller_manager::ControllerManager,
    /// Fargate's pods, once somebody asked for them.
    pub(super) fargate_pods: OnceLock<Cache<Pod>>,
}

impl Cluster {
    fn control_plane(&self) -> ControlPlane {
        ControlPlane {
            endpoint: self.endpoint.clone(),
            certificate_authority_pem: self.pki.ca_pem().to_owned(),
            issuer_keys: String::from_utf8_lossy(&self.tokens.key_set()).into_owned(),
        }
    }

    /// The API server's URL inside the VPC.
    pub(crate) fn inner_endpoint(&self) -> String {
        format!("https://{}:443", self.api_address())
    }

    pub(super) fn api_address(&self) -> Ipv4Addr {
        self.spec.addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// The authority of everything in the cluster, PEM.
    pub(crate) fn authority_pem(&self) -> &str {
        self.pki.ca_pem()
    }

    /// What `/version` reports, without the `v`.
    pub(crate) fn git_version(&self) -> String {
        self.git_version.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on as another version; requests are served all the while.
    fn upgrade(&self, git_version: &str) {
        if self.git_version() != git_version {
            self.api.set_version(version(git_version));
            git_version.clone_into(&mut self.git_version.write().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The VPC's resolver: the base of its block plus two.
    pub(crate) fn resolver(&self) -> Ipv4Addr {
        let block = self.spec.vpc.cidr.parse();
        block.map_or(Ipv4Addr::LOCALHOST, |block| nth(block, 2))
    }

    /// Address of the `kube-dns` Service: the tenth of the block.
    pub(crate) fn dns_address(&self) -> Ipv4Addr {
        nth(self.service_cidr, 10)
    }

    /// The certificate by which a node's agent is `system:node:<name>`.
    pub(crate) fn node_identity(&self, node: &str) -> Result<CertificatePair, HostError> {
        self.pki
            .issue_client(&format!("system:node:{node}"), &["system:nodes"])
            .map_err(failed("issue the node's certificate", node))
    }

    /// The certificate by which a node's service rules are kept.
    pub(crate) fn proxy_identity(&self, node: &str) -> Result<CertificatePair, HostError> {
        let issued = self.pki.issue_client("system:kube-proxy", &["system:node-proxier"]);
        issued.map_err(failed("issue the certificate of kube-proxy", node))
    }

    /// The certificate of a node's HTTPS port.
    pub(crate) fn node_serving(&self, instance: &InstanceSpec) -> Result<CertificatePair, HostError> {
        let names = ServerNames::default()
            .with_dns(instance.node_name.clone())
            .with_address(IpAddr::V4(instance.address));
        self.pki
            .issue_server(&instance.node_name, &names)
            .map_err(failed("issue the node's serving certificate", &instance.node_name))
    }
}

pub(super) fn nth(block: Ipv4Net, index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(block.network()).saturating_add(index))
}

impl LocalHost {
    /// The state directory.
    pub(crate) fn home(&self) -> &crate::home::Home {
        &self.home
    }

    pub(super) async fn start_cluster(&self, spec: ControlPlaneSpec) -> Result<ControlPlane, HostError> {
        if let Ok(running) = self.cluster(&spec.cluster) {
            running.upgrade(&spec.git_version);
            self.reconfigure(&running, &spec).await?;
            return Ok(running.control_plane());
        }
        let name = spec.cluster.name.to_string();
        let directory = self.home.cluster(&spec.cluster);
        fs::create_dir_all(&directory).map_err(failed("make the directory", &name))?;
        let network = self.network(&spec).await?;
        let logs = Arc::new(ClusterLogs {
            tokens: self.tokens.clone(),
            cluster: spec.cluster.clone(),
            clock: self.clock.clone(),
        });
        let supervisor = self.supervisor.child(format!("cluster {name}"));
        let started = self
            .start_components(&spec, &directory, (network, logs), &supervisor)
            .await;
        let cluster = match started {
            Ok(cluster) => Arc::new(cluster),
            Err(error) => {
                // What was started must not go on beside the next try.
                supervisor.drain(DRAIN).await;
                return Err(error);
            }
        };
        if let Err(error) = self.complete(&cluster).await {
            supervisor.drain(DRAIN).await;
            return Err(error);
        }
        locked(&self.shared.clusters).insert(spec.cluster, Arc::clone(&cluster));
        Ok(cluster.control_plane())
    }

    /// What needs an API server that answers.
    async fn complete(&self, cluster: &Cluster) -> Result<(), HostError> {
        if cluster.spec.bootstrap_addons {
            cluster.install_system_pods().await?;
        }
        self.resume_simulated(cluster).await
    }

    async fn start_components(
        &self,
        spec: &ControlPlaneSpec,
        directory: &Path,
        (network, logs): (Network, Arc<ClusterLogs>),
        supervisor: &Supervisor,
    ) -> Result<Cluster, HostError> {
        let name = spec.cluster.name.as_str();
        let service_cidr = spec.service_cidr.parse::<Ipv4Net>();
        let service_cidr = service_cidr.map_err(failed("read the service block", name))?;
        let pki = self.pki(spec, directory, service_cidr)?;
        let tokens = ServiceAccountTokens::new(&pki, spec.oidc_issuer.clone(), self.clock.clone(), self.random.clone());
        let tokens = Arc::new(tokens.map_err(failed("read the service-account key", name))?);
        let encryption = ClusterEncryption::of(self, spec, self.encryption(&pki, directory, name)?);
        let registry = self.open_registry(spec, directory, service_cidr, &tokens, &encryption, supervisor);
        let registry = registry.await?;
        let eks_tokens = Arc::new(ClusterTokens::of(self, spec));
        introduce(&registry, &eks_tokens);
        let (listener, port) = api_port::listen(directory, self.random.as_ref())
            .await
            .map_err(failed("listen for the API server", name))?;
        let api = KubeApi::new(kube_api::Options {
            registry,
            pki: pki.clone(),
            tokens: tokens.clone(),
            token_authenticators: vec![eks_tokens],
            anonymous: Anonymous::HealthOnly,
            access: self.access(&pki, directory, &logs)?,
            dialer: Arc::new(ControlPlaneDialer::new(&network, spec)),
            version: version(&spec.git_version),
            external_address: format!("127.0.0.1:{port}"),
            clock: self.clock.clone(),
            random: self.random.clone(),
            supervisor: supervisor.clone(),
        });
        let api = api.map_err(failed("start the API server", name))?;
        api.identity_providers().set(spec.identity_providers.clone());
        self.offer_metrics(&api, &network, supervisor);
        self.serve(spec, &api, listener, &network, supervisor).await?;
        let (scheduler, controllers) = self.start_loops(spec, &api, &pki, (&network, &logs), supervisor);
        Ok(Cluster {
            client: client(&api, "ondol:host", &["system:masters"]),
            git_version: RwLock::new(spec.git_version.clone()),
            network,
            api,
            encryption,
            spec: spec.clone(),
            pki,
            tokens,
            service_cidr,
            endpoint: format!("https://127.0.0.1:{port}"),
            supervisor: supervisor.clone(),
            scheduler,
            controllers,
            fargate_pods: OnceLock::new(),
        })
    }

    async fn open_registry(
        &self,
        spec: &ControlPlaneSpec,
        directory: &Path,
        service_cidr: Ipv4Net,
        tokens: &Arc<ServiceAccountTokens>,
        encryption: &ClusterEncryption,
        supervisor: &Supervisor,
    ) -> Result<Arc<Registry>, HostError> {
        let name = spec.cluster.name.as_str();
        let registry = Registry::open(registry::Options {
            store: self.open_store(&spec.cluster, directory, supervisor).await?,
            clock: self.clock.clone(),
            random: self.random.clone(),
            supervisor: supervisor.clone(),
            service_cidr,
            node_ports: NODE_PORTS,
            api_endpoints: (spec.addresses.iter().copied().map(IpAddr::V4).collect(), 443),
            token_issuer: tokens.clone(),
            encryption: encryption.in_force.clone(),
        });
        let registry = registry.await.map_err(failed("open the registry", name))?;
        // Clusters may have Secrets from before these were encrypted.
        if let Err(error) = registry.rewrite_stale("", "secrets").await {
            tracing::warn!(cluster = name, %error, "secrets are not all stored as they should be");
        }
        Ok(registry)
    }

    /// Where no pod runs that could, this process serves what nodes and pods use.
    fn offer_metrics(&self, api: &KubeApi, network: &Network, supervisor: &Supervisor) {
        if let Network::Simulated(simulation) = network {
            let user = User::service_account("kube-system", "metrics-server");
            simulation.offer_metrics(MetricsOptions {
                client: kube_client::in_process(api.in_process(user), "kube-system"),
                clock: self.clock.clone(),
                random: self.random.clone(),
                supervisor: supervisor.child("metrics server"),
            });
        }
    }

    async fn open_store(
        &self,
        cluster: &ClusterRef,
        directory: &Path,
        supervisor: &Supervisor,
    ) -> Result<Arc<dyn Store>, HostError> {
        let name = cluster.name.as_str();
        if let Some(store) = self.open_etcd(cluster).await.map_err(failed("open the store", name))? {
            return Ok(store);
        }
        let options = store::Options {
            clock: self.clock.clone(),
            ..store::Options::default()
        };
        match store::open(&directory.join("store"), options, supervisor) {
            Ok(store) => Ok(store),
            Err(error) => Err(failed("open the store", name)(error)),
        }
    }

    /// The cluster's part of etcd, when objects are kept there.
    async fn open_etcd(&self, cluster: &ClusterRef) -> Result<Option<Arc<store::EtcdStore>>, store::StoreError> {
        let Some(etcd) = &self.etcd else { return Ok(None) };
        store::open_etcd(&etcd.below(&part_of(cluster))).await.map(Some)
    }

    fn pki(
        &self,
        spec: &ControlPlaneSpec,
        directory: &Path,
        service_cidr: Ipv4Net,
    ) -> Result<Arc<ClusterPki>, HostError> {
        let mut names = ServerNames::of_cluster("cluster.local")
            .with_dns("localhost")
            .with_address(IpAddr::V4(Ipv4Addr::LOCALHOST));
        names = names.with_address(IpAddr::V4(nth(service_cidr, 1)));
        for address in &spec.addresses {
            names = names.with_address(IpAddr::V4(*address));
        }
        let pki = ClusterPki::load_or_create(&directory.join("pki"), &names, self.clock.as_ref());
        pki.map(Arc::new)
            .map_err(failed("make the cluster's keys", spec.cluster.name.as_str()))
    }

    /// Serves on this machine's loopback address and on the cluster's addresses in its VPC.
    async fn serve(
        &self,
        spec: &ControlPlaneSpec,
        api: &KubeApi,
        listener: TcpListener,
        network: &Network,
        supervisor: &Supervisor,
    ) -> Result<(), HostError> {
        let name = spec.cluster.name.as_str();
        accept(api, listener, "API server", supervisor);
        let Network::Vpc(fabric) = network else { return Ok(()) };
        for address in &spec.addresses {
            fabric
                .add_local_address(*address)
                .await
                .map_err(failed("give the VPC the API server's address", name))?;
            let inner = fabric.listen_tcp(SocketAddr::from((*address, 443))).await;
            accept(
                api,
                inner.map_err(failed("listen in the VPC", name))?,
                "API server in the VPC",
                supervisor,
            );
        }
        Ok(())
    }

    fn start_loops(
        &self,
        spec: &ControlPlaneSpec,
        api: &KubeApi,
        pki: &Arc<ClusterPki>,
        (network, logs): (&Network, &Arc<ClusterLogs>),
        supervisor: &Supervisor,
    ) -> (scheduler::Scheduler, controller_manager::ControllerManager) {
        let region = spec.cluster.region.to_string();
        // Each of upstream's controllers has a role of its own; here they share one view of the cluster with the scheduler,
        // and so one identity.
        let identity = counted_client(api, "system:kube-controller-manager", &["system:masters"]);
        let scheduling = counted_client(api, "system:kube-scheduler", &[]);
        let observer = Observer::new(identity.client.clone());
        let scheduler = scheduler::start(scheduler::Options {
            client: scheduling.client,
            observer: observer.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            supervisor: supervisor.clone(),
            log: logs.of(LogKind::Scheduler),
        });
        let controllers = controller_manager::start(controller_manager::Options {
            client: identity.client,
            observer: observer.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            supervisor: supervisor.clone(),
            cluster_ca_pem: pki.ca_pem().to_owned(),
            authority: pki.clone(),
            region: region.clone(),
            log: logs.of(LogKind::ControllerManager),
        });
        show_metrics(
            api,
            (&scheduler, &scheduling.metrics),
            (&controllers, &identity.metrics),
        );
        api.registry().start_policy_status(supervisor);
        let mut kinds = controllers.kinds();
        kinds.extend(scheduler::KINDS);
        observer.start(&kinds, &supervisor.child("observer"));
        self.load_balancers.add_cluster(load_balancer::ClusterOptions {
            name: part_of(&spec.cluster),
            region,
            client: client(api, "eks:load-balancer", &["system:masters"]),
            dialer: Arc::new(network.clone()),
            supervisor: supervisor.clone(),
        });
        (scheduler, controllers)
    }

    /// Ends serving every cluster's API, before what it needs ends.
    pub(crate) async fn shut_down_apis(&self, limit: Duration) {
        let apis: Vec<KubeApi> = locked(&self.shared.clusters)
            .values()
            .map(|cluster| cluster.api.clone())
            .collect();
        let ends = apis.iter().map(|api| api.shut_down(Duration::ZERO, limit));
        for report in futures::future::join_all(ends).await {
            if !report.is_clean() {
                tracing::warn!(aborted = ?report.aborted, "requests were not answered in time");
            }
        }
    }

    pub(super) async fn remove_cluster(&self, cluster: ClusterRef) -> Result<(), HostError> {
        let removed = locked(&self.shared.clusters).remove(&cluster);
        if let Some(removed) = removed {
            let report = removed.supervisor.drain(DRAIN).await;
            if !report.is_clean() {
                tracing::warn!(cluster = %cluster.name, aborted = ?report.aborted, "tasks did not end by themselves");
            }
            self.forget_fabric(&removed).await;
        }
        let cleared = async {
            match self.open_etcd(&cluster).await? {
                Some(store) => store::clear(store.as_ref()).await,
                None => Ok(()),
            }
        };
        let cleared = cleared.await;
        cleared.map_err(failed("remove the objects", cluster.name.as_str()))?;
        let directory = self.home.cluster(&cluster);
        match fs::remove_dir_all(&directory) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("remove the directory", cluster.name.as_str())(error)),
        }
    }
}

/// Serves the API on a listener until the supervisor is cancelled.
fn accept(api: &KubeApi, listener: TcpListener, name: &'static str, supervisor: &Supervisor) {
    let (api, tasks) = (api.clone(), supervisor.clone());
    supervisor.spawn(name, async move {
        if let Err(error) = api.serve_tls(listener, &tasks).await {
            tracing::error!(error = %supervision::error_chain(&error), "the API cannot be served");
        }
    });
}

/// `1.33.5-eks-3025e55` as `/version` spells it.
fn version(git_version: &str) -> VersionInfo {
    let (number, suffix) = git_version.split_once('-').unwrap_or((git_version, "eks"));
    let (kubernetes, patch) = number.rsplit_once('.').unwrap_or((number, "0"));
    VersionInfo::eks(kubernetes, patch.parse().unwrap_or(0), suffix)
}
