//! One API server per test: own directory, own port, drained at the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access_rules::User;
use axum::body::Body;
use bytes::Bytes;
use clock::{Clock, SystemClock, SystemRandom};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kube_api::{
    AccessOptions, Anonymous, AsyncReadWrite, ClusterPki, KubeApi, NodeDialer, Options, ServerNames,
    ServiceAccountTokens, TokenAuthenticator, VersionInfo,
};
use kube_client::Credentials;
use registry::Registry;
use serde_json::Value;
use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// An API server and what its clients need.
pub struct World {
    pub api: KubeApi,
    pub pki: Arc<ClusterPki>,
    pub address: SocketAddr,
    pub supervisor: Supervisor,
    pub store: Arc<dyn store::Store>,
    /// How stored objects are encrypted; a test may change it while the server runs.
    pub encryption: Arc<registry::Encryption>,
    directory: Arc<tempfile::TempDir>,
}

/// The part of etcd that belongs to a test, when `ONDOL_TEST_ETCD` names one; else tests run on the embedded engine.
fn etcd(directory: &tempfile::TempDir) -> Option<store::EtcdLocation> {
    let url = std::env::var("ONDOL_TEST_ETCD").ok()?;
    let name = directory.path().file_name().unwrap().to_string_lossy().into_owned();
    Some(store::EtcdLocation::parse(&url).unwrap().below(&name))
}

async fn open_store(directory: &tempfile::TempDir, supervisor: &Supervisor) -> Arc<dyn store::Store> {
    match etcd(directory) {
        Some(location) => store::open_etcd(&location).await.unwrap(),
        None => store::open(directory.path(), store::Options::default(), supervisor).unwrap(),
    }
}

struct Direct;

impl NodeDialer for Direct {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn AsyncReadWrite>>> {
        async move { Ok(Box::new(TcpStream::connect(to).await?) as Box<dyn AsyncReadWrite>) }.boxed()
    }
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(Anonymous::HealthOnly, Vec::new()).await
    }

    pub async fn start_with(anonymous: Anonymous, token_authenticators: Vec<Arc<dyn TokenAuthenticator>>) -> Self {
        Self::start_all(anonymous, token_authenticators, AccessOptions::default()).await
    }

    pub async fn start_access(access: AccessOptions) -> Self {
        Self::start_all(Anonymous::HealthOnly, Vec::new(), access).await
    }

    async fn start_all(
        anonymous: Anonymous,
        token_authenticators: Vec<Arc<dyn TokenAuthenticator>>,
        access: AccessOptions,
    ) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let supervisor = Supervisor::new("test");
        let store = open_store(&directory, &supervisor).await;
        Self::on(directory, supervisor, store, anonymous, token_authenticators, access).await
    }

    /// One more API server of the same cluster, with a connection of its own where the store is etcd.
    pub async fn another(&self) -> Self {
        let supervisor = self.supervisor.child("another");
        let store = match etcd(&self.directory) {
            Some(_) => open_store(&self.directory, &supervisor).await,
            None => self.store.clone(),
        };
        let directory = self.directory.clone();
        Self::on_again(directory, supervisor, store).await
    }

    /// The same cluster after its process went and came again.
    pub async fn restart(self) -> Self {
        let Self {
            api,
            supervisor,
            store,
            directory,
            ..
        } = self;
        let report = supervisor.drain(Duration::from_secs(10)).await;
        assert!(report.is_clean(), "{report:?}");
        drop((api, store));
        let supervisor = Supervisor::new("test");
        let store = open_store(&directory, &supervisor).await;
        Self::on_again(directory, supervisor, store).await
    }

    async fn on_again(directory: Arc<tempfile::TempDir>, supervisor: Supervisor, store: Arc<dyn store::Store>) -> Self {
        let access = AccessOptions::default();
        Self::on(directory, supervisor, store, Anonymous::HealthOnly, Vec::new(), access).await
    }

    async fn on(
        directory: Arc<tempfile::TempDir>,
        supervisor: Supervisor,
        store: Arc<dyn store::Store>,
        anonymous: Anonymous,
        token_authenticators: Vec<Arc<dyn TokenAuthenticator>>,
        access: AccessOptions,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random = Arc::new(SystemRandom);
        let names = ServerNames::of_cluster("cluster.local");
        let pki = Arc::new(ClusterPki::load_or_create(directory.path(), &names, clock.as_ref()).unwrap());
        let tokens = Arc::new(
            ServiceAccountTokens::new(&pki, "https://oidc.test/id/A1", clock.clone(), random.clone()).unwrap(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let encryption = Arc::<registry::Encryption>::default();
        let registry = Registry::open(registry::Options {
            store: store.clone(),
            clock: clock.clone(),
            random: random.clone(),
            supervisor: supervisor.child("registry"),
            service_cidr: "10.100.0.0/16".parse().unwrap(),
            node_ports: (30000, 32767),
            api_endpoints: (vec![address.ip()], address.port()),
            token_issuer: tokens.clone(),
            encryption: encryption.clone(),
        })
        .await
        .unwrap();
        let api = KubeApi::new(Options {
            registry,
            pki: pki.clone(),
            tokens,
            token_authenticators,
            anonymous,
            access,
            dialer: Arc::new(Direct),
            version: VersionInfo::eks("1.33", 5, "eks-113cf36"),
            external_address: address.to_string(),
            clock,
            random,
            supervisor: supervisor.child("api"),
        })
        .unwrap();
        let (served, tasks) = (api.clone(), supervisor.clone());
        supervisor.spawn(
            "serve",
            async move { served.serve_tls(listener, &tasks).await.unwrap() },
        );
        Self {
            api,
            pki,
            address,
            supervisor,
            store,
            encryption,
            directory,
        }
    }

    /// A client over TLS.
    pub fn client(&self, credentials: &Credentials) -> kube::Client {
        kube_client::https(
            &format!("https://{}", self.address),
            self.pki.ca_pem(),
            credentials,
            "default",
        )
        .unwrap()
    }

    /// A TLS connection with a client certificate, for what speaks HTTP by itself.
    pub async fn tls(&self, credentials: &Credentials) -> tokio_rustls::client::TlsStream<TcpStream> {
        use rustls::pki_types::pem::PemObject;
        let Credentials::ClientCertificate {
            certificate: chain,
            key,
        } = credentials
        else {
            panic!("no certificate");
        };
        let certificate = |pem: &str| rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate(self.pki.ca_pem())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate(chain)], key)
            .unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = rustls::pki_types::ServerName::from(self.address.ip());
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }

    /// Credentials of a certificate.
    pub fn certificate(&self, user: &str, groups: &[&str]) -> Credentials {
        let pair = self.pki.issue_client(user, groups).unwrap();
        Credentials::ClientCertificate {
            certificate: pair.certificate_pem,
            key: pair.key_pem,
        }
    }

    /// Sends a request in process as an administrator: status, headers and body.
    pub async fn send(&self, request: Request<Body>) -> (StatusCode, http::HeaderMap, Bytes) {
        self.send_as(User::master("admin"), request).await
    }

    /// Sends a request in process.
    pub async fn send_as(&self, user: User, request: Request<Body>) -> (StatusCode, http::HeaderMap, Bytes) {
        let answer = self.api.in_process(user).oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
    }

    /// Sends a JSON body as an administrator and reads the JSON answer.
    pub async fn json(&self, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(
                "content-type",
                if method == "PATCH" {
                    "application/merge-patch+json"
                } else {
                    "application/json"
                },
            )
            .body(Body::from(body.to_owned()))
            .unwrap();
        let (code, _, bytes) = self.send(request).await;
        (
            code,
            serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into())),
        )
    }

    pub async fn stop(self) {
        let report = self.supervisor.drain(Duration::from_secs(10)).await;
        assert!(report.is_clean(), "{report:?}");
    }
}

pub fn get(path: &str) -> Request<Body> {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}
