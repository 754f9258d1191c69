//! The region process: the AWS endpoint, every control plane, and what must outlive neither.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use access_rules::{Attributes, User};
use aws_api::endpoint::Endpoint;
use aws_api::host::ClusterRef;
use aws_api::{KeyError, LogKind, Partition, Region};
use aws_types::RegionName;
use aws_types::region_files::{ACCOUNTS_DIRECTORY, CREDENTIALS_FILE, ENDPOINT_FILE, RegionEndpoint};
use clock::{SystemClock, SystemRandom};
use futures::FutureExt;
use futures::future::BoxFuture;
use kube_api::AuthenticationError;
use load_balancer::LoadBalancers;
use registry::KeyServiceError;
use serde::{Deserialize, Serialize};
use supervision::{Restart, Supervisor};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::home::Home;
use crate::host::{EksTokens, LocalHost, Settings, read_json, write_json};
use crate::trust;
use crate::vpc_services::VpcServices;

/// How long the region's tasks may take to end by themselves.
const DRAIN: Duration = Duration::from_secs(10);

/// The variable that makes the region tell clients when they call too often, as AWS does.
const THROTTLING: &str = "ONDOL_THROTTLING";

/// How often the store's history is forgotten. The region itself reads none of it.
const HISTORY: Duration = Duration::from_secs(300);

/// What `ondol up` tells the region process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegionOptions {
    /// The region's name.
    pub region: String,
    /// The AWS endpoint's port; 0 for any.
    pub port: u16,
    /// The port of load balancers by host name; 0 for any.
    pub load_balancer_port: u16,
    /// Nodes without containers.
    pub simulated: bool,
    /// The etcd in which clusters keep their objects; none is this machine's disk.
    #[serde(default)]
    pub store: Option<String>,
}

impl RegionOptions {
    /// Where they are written.
    pub fn path(home: &Home) -> std::path::PathBuf {
        home.region().join("options.json")
    }

    /// As `ondol up` has written them.
    pub fn read(home: &Home) -> Result<Self, Failure> {
        let options: Option<Self> = read_json(&Self::path(home)).map_err(Failure::of("read the region's options"))?;
        options.ok_or_else(|| {
            Failure::new(
                "read the region's options",
                "`ondol up` writes them and starts this process",
            )
        })
    }
}

/// The region as the one who knows EKS tokens; filled in once the region, which needs the host first, is open.
#[derive(Default)]
struct RegionTokens(OnceLock<Weak<Partition>>);

impl RegionTokens {
    /// The region that a cluster is in.
    fn region(&self, cluster: &ClusterRef) -> Option<Arc<Region>> {
        self.0.get().and_then(Weak::upgrade)?.of(cluster)
    }

    /// The region whose keys encrypt what a cluster stores.
    fn keys_of(&self, cluster: &ClusterRef) -> Result<Arc<Region>, KeyServiceError> {
        self.region(cluster)
            .ok_or_else(|| KeyServiceError("the region is not open".to_owned()))
    }
}

impl EksTokens for RegionTokens {
    fn authenticate<'a>(
        &'a self,
        cluster: &'a ClusterRef,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<User>, AuthenticationError>> {
        async move {
            let Some(region) = self.region(cluster) else {
                return Ok(None);
            };
            let user = region.authenticate_eks_token(&cluster.name, token).await;
            user.map_err(|error| AuthenticationError(error.into()))
        }
        .boxed()
    }

    fn fargate_profile(
        &self,
        cluster: &ClusterRef,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<String> {
        let region = self.region(cluster)?;
        region.fargate_profile_for(&cluster.name, namespace, labels)
    }

    fn wants_log(&self, cluster: &ClusterRef, kind: LogKind) -> bool {
        self.region(cluster)
            .is_some_and(|region| region.wants_log(&cluster.name, kind))
    }

    fn log(&self, cluster: &ClusterRef, kind: LogKind, line: String) {
        if let Some(region) = self.region(cluster) {
            region.log(&cluster.name, kind, line);
        }
    }

    fn allows(&self, cluster: &ClusterRef, attributes: &Attributes<'_>) -> Option<String> {
        let region = self.region(cluster)?;
        region.access_policy_allows(&cluster.name, attributes)
    }

    fn encrypt(&self, cluster: &ClusterRef, key: &str, plain: &[u8]) -> Result<Vec<u8>, KeyServiceError> {
        let encrypted = self.keys_of(cluster)?.encrypt_for(cluster.name.as_str(), key, plain);
        encrypted.map_err(|error| refused_by_kms(&error))
    }

    fn decrypt(&self, cluster: &ClusterRef, key: &str, cipher: &[u8]) -> Result<Vec<u8>, KeyServiceError> {
        let decrypted = self.keys_of(cluster)?.decrypt_for(cluster.name.as_str(), key, cipher);
        decrypted.map_err(|error| refused_by_kms(&error))
    }

    fn check_key(&self, cluster: &ClusterRef, key: &str) -> Result<(), KeyServiceError> {
        let checked = self.keys_of(cluster)?.check_key(key);
        checked.map_err(|error| refused_by_kms(&error))
    }

    fn is_associated(&self, cluster: &ClusterRef, namespace: &str, service_account: &str) -> bool {
        let region = self.region(cluster);
        region.is_some_and(|region| region.has_pod_identity(&cluster.name, namespace, service_account))
    }
}

fn refused_by_kms(error: &KeyError) -> KeyServiceError {
    KeyServiceError(error.to_string())
}

/// Names what belongs to this Ondol where several may be, such as control groups.
pub fn tag_of(home: &Home) -> String {
    let mut hasher = DefaultHasher::new();
    home.path().hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

/// Runs the region until the process is told to stop (SIGTERM).
pub async fn run(home: Home, options: RegionOptions) -> Result<(), Failure> {
    if !options.simulated {
        let checked = container_runtime::check_state_directory(&home.machines());
        checked.map_err(Failure::of(
            "use the state directory (nodes without containers could: `ondol up --simulated`)",
        ))?;
    }
    let stop = stop_signal()?;
    let supervisor = Supervisor::new("region");
    if !options.simulated {
        import_images(&home).await?;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await;
    let listener = listener.map_err(|error| {
        let said = format!("127.0.0.1:{}: {error}; `ondol up --port` takes another", options.port);
        Failure::new("listen for AWS clients", said)
    })?;
    let address = listener.local_addr().map_err(Failure::of("listen for AWS clients"))?;
    let load_balancers = LoadBalancers::start(load_balancer::Options {
        http_port: options.load_balancer_port,
        supervisor: supervisor.clone(),
    });
    let load_balancers = load_balancers.await.map_err(Failure::of("start the load balancers"))?;
    let name = RegionName::new(options.region.clone()).map_err(Failure::of("read the region's name"))?;
    let tls = trust::server_config(&home, &name, &SystemClock)?;
    let tls_endpoint = format!("https://localhost:{}", address.port());
    let services = Arc::new(VpcServices::default());
    let settings = settings(&home, &options, &load_balancers, &services, &supervisor)?;
    let (partition, host) = open(settings, name, &tls_endpoint).await?;
    let endpoint = Endpoint::new(partition.router(), tls);
    services.open(&partition, endpoint.clone());
    partition.resume();
    endpoint.serve(listener, "AWS endpoint", &supervisor);
    serve_issuers(&partition, &endpoint, address.port(), &supervisor).await;
    let endpoint = RegionEndpoint {
        pid: std::process::id(),
        endpoint: format!("http://{address}"),
        tls_endpoint: Some(tls_endpoint),
        region: options.region.clone(),
        load_balancer_port: Some(load_balancers.http_port()),
    };
    write_json(&home.path().join(ENDPOINT_FILE), &endpoint).map_err(Failure::of("write the endpoint"))?;
    tracing::info!(
        endpoint = endpoint.endpoint,
        region = options.region,
        "the region is up"
    );
    stop.await;
    host.shut_down_apis(kube_api::SHUTDOWN_LIMIT).await;
    let report = supervisor.drain(DRAIN).await;
    if !report.is_clean() {
        tracing::warn!(aborted = ?report.aborted, "tasks did not end by themselves");
    }
    remove_if_there(&home.path().join(ENDPOINT_FILE))
}

/// An issuer's URL is in tokens, trust policies and other people's configurations, so it is the same for as long as its cluster lives: a port
/// that the endpoint had before goes on answering, beside the one that it has now.
async fn serve_issuers(partition: &Partition, endpoint: &Endpoint, own: u16, supervisor: &Supervisor) {
    for port in partition.issuer_ports().into_iter().filter(|port| *port != own) {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => endpoint.serve(listener, "issuers of clusters", supervisor),
            Err(error) => {
                tracing::warn!(port, %error, "issuers of clusters that were made at this port cannot be reached there");
            }
        }
    }
}

/// Where clusters keep their objects, when it is not this machine's disk.
fn etcd_of(options: &RegionOptions) -> Result<Option<store::EtcdLocation>, Failure> {
    let url = options.store.as_deref();
    let location = url.map(store::EtcdLocation::parse).transpose();
    location.map_err(Failure::of("read where the store is"))
}

/// This machine as the region's host.
fn settings(
    home: &Home,
    options: &RegionOptions,
    load_balancers: &LoadBalancers,
    services: &Arc<VpcServices>,
    supervisor: &Supervisor,
) -> Result<(Settings, Arc<RegionTokens>), Failure> {
    let tokens = Arc::new(RegionTokens::default());
    let settings = Settings {
        home: home.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        supervisor: supervisor.clone(),
        load_balancers: load_balancers.clone(),
        tokens: tokens.clone(),
        services: services.clone(),
        tag: tag_of(home),
        simulated: options.simulated,
        etcd: etcd_of(options)?,
    };
    Ok((settings, tokens))
}

/// The region on its store.
async fn open(
    (settings, tokens): (Settings, Arc<RegionTokens>),
    name: RegionName,
    tls_endpoint: &str,
) -> Result<(Arc<Partition>, Arc<LocalHost>), Failure> {
    let (home, supervisor) = (settings.home.clone(), settings.supervisor.clone());
    let (clock, random) = (settings.clock.clone(), settings.random.clone());
    let store_options = store::Options {
        clock: clock.clone(),
        ..store::Options::default()
    };
    let store = store::open(&home.region().join("store"), store_options, &supervisor);
    let store = store.map_err(Failure::of("open the region's store"))?;
    let kept = store.clone();
    supervisor.spawn_restarting("region store upkeep", Restart::always(), move || {
        store::keep_compacted(kept.clone(), HISTORY)
    });
    let credentials = aws_api::credentials::load_or_create(&home.path().join(CREDENTIALS_FILE), random.as_ref());
    let credentials = credentials.map_err(Failure::of("read the administrator's keys"))?;
    let host = Arc::new(LocalHost::new(settings));
    let accounts = Some(home.path().join(ACCOUNTS_DIRECTORY));
    let partition = Partition::open(aws_api::Options {
        store,
        host: host.clone(),
        clock,
        random,
        supervisor,
        region: name,
        credentials,
        accounts,
        throttled: std::env::var_os(THROTTLING).is_some(),
        tls_endpoint: tls_endpoint.to_owned(),
    });
    let partition = partition.await.map_err(Failure::of("read the region's records"))?;
    tokens.0.get_or_init(|| Arc::downgrade(&partition));
    Ok((partition, host))
}

fn remove_if_there(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new("remove the endpoint", error)),
    }
}

/// Enters the built-in images; nothing to do unless this is a new build.
async fn import_images(home: &Home) -> Result<(), Failure> {
    let directory = home.images();
    let import = tokio::task::spawn_blocking(move || {
        image_store::ImageStore::open(directory)?.import_builtin(env!("CARGO_PKG_VERSION"))
    });
    import
        .await
        .map_err(Failure::of("enter the built-in images"))?
        .map_err(Failure::of("enter the built-in images"))
}

/// Ends when the process is told to stop.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::of("wait for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::of("wait for signals"))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
