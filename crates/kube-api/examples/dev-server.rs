//! An API server on its own, for trying clients: `cargo run -p kube-api --example dev-server -- <directory> [port [etcd]]`.
//! The store is in the directory, or, where its URL is given, an etcd.
//!
//! Writes `kubeconfig` (as cluster administrator) into the directory and serves until interrupted.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::{SystemClock, SystemRandom};
use futures::FutureExt;
use futures::future::BoxFuture;
use kube_api::{
    Anonymous, AsyncReadWrite, CertificatePair, ClusterPki, KubeApi, NodeDialer, Options, ServerNames,
    ServiceAccountTokens, VersionInfo,
};
use registry::Registry;
use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream};

/// Nodes are wherever this machine can reach them.
struct Direct;

impl NodeDialer for Direct {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn AsyncReadWrite>>> {
        async move { Ok(Box::new(TcpStream::connect(to).await?) as Box<dyn AsyncReadWrite>) }.boxed()
    }
}

/// As in the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    supervision::init_logging(&supervision::LogOptions::default())?;
    tikv_jemalloc_ctl::background_thread::write(true)?;
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: dev-server <directory> [port]")?);
    let port: u16 = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let etcd = arguments.next();
    let supervisor = Supervisor::new("dev-server");
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let pki = Arc::new(ClusterPki::load_or_create(
        &dir,
        &ServerNames::of_cluster("cluster.local"),
        clock.as_ref(),
    )?);
    let tokens = Arc::new(ServiceAccountTokens::new(
        &pki,
        "https://dev.local/id/0",
        clock.clone(),
        random.clone(),
    )?);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let store: Arc<dyn store::Store> = match etcd {
        Some(url) => store::open_etcd(&store::EtcdLocation::parse(&url)?).await?,
        None => store::open(&dir, store::Options::default(), &supervisor)?,
    };
    let registry = Registry::open(registry::Options {
        store,
        clock: clock.clone(),
        random: random.clone(),
        supervisor: supervisor.child("registry"),
        service_cidr: "10.100.0.0/16".parse()?,
        node_ports: (30000, 32767),
        api_endpoints: (vec![address.ip()], address.port()),
        token_issuer: tokens.clone(),
        encryption: Arc::default(),
    })
    .await?;
    let api = KubeApi::new(Options {
        registry,
        pki: pki.clone(),
        tokens,
        token_authenticators: Vec::new(),
        anonymous: Anonymous::HealthOnly,
        access: kube_api::AccessOptions::default(),
        dialer: Arc::new(Direct),
        version: VersionInfo::eks("1.36", 0, "eks-dev"),
        external_address: address.to_string(),
        clock,
        random,
        supervisor: supervisor.child("api"),
    })?;
    let admin = pki.issue_client("admin", &["system:masters"])?;
    std::fs::write(dir.join("kubeconfig"), kubeconfig(address, pki.ca_pem(), &admin))?;
    println!("https://{address}  kubeconfig {}", dir.join("kubeconfig").display());
    tokio::select! {
        served = api.serve_tls(listener, &supervisor) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    supervisor.drain(Duration::from_secs(5)).await;
    Ok(())
}

fn kubeconfig(address: SocketAddr, ca: &str, admin: &CertificatePair) -> String {
    let (ca, certificate) = (STANDARD.encode(ca), STANDARD.encode(&admin.certificate_pem));
    let key = STANDARD.encode(&admin.key_pem);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: dev\n  cluster: {{server: 'https://{address}', certificate-authority-data: {ca}}}\n\
         users:\n- name: admin\n  user: {{client-certificate-data: {certificate}, client-key-data: {key}}}\n\
         contexts:\n- name: dev\n  context: {{cluster: dev, user: admin}}\ncurrent-context: dev\n"
    )
}
