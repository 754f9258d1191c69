//! Secrets under a KMS plugin of version 2, which listens on a socket and turns bytes around.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use kms_plugin::v2::key_management_service_server::{KeyManagementService, KeyManagementServiceServer};
use kms_plugin::v2::{DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest, StatusResponse};
use kube_types::dynamic::{Value, json};
use registry::EncryptionConfiguration;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

use crate::world::World;

const SECRETS: &str = "v1/secrets/default";
const SECRET: &str = "v1/secrets/default/a";
/// `hunter2`, as a Secret carries it.
const DATA: &str = "aHVudGVyMg==";
const ANNOTATION: &str = "local-kek.kms.example.com";

/// What the plugin says and saw.
#[derive(Default)]
struct Seen {
    key_id: String,
    healthz: String,
    encrypted: usize,
    decrypted: Vec<String>,
}

#[derive(Clone, Default)]
struct Turning(Arc<Mutex<Seen>>);

#[tonic::async_trait]
impl KeyManagementService for Turning {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let seen = self.0.lock().unwrap();
        Ok(Response::new(StatusResponse {
            version: "v2".to_owned(),
            healthz: seen.healthz.clone(),
            key_id: seen.key_id.clone(),
        }))
    }

    async fn encrypt(&self, request: Request<EncryptRequest>) -> Result<Response<EncryptResponse>, Status> {
        let request = request.into_inner();
        assert!(!request.uid.is_empty());
        let mut seen = self.0.lock().unwrap();
        seen.encrypted += 1;
        Ok(Response::new(EncryptResponse {
            ciphertext: request.plaintext.iter().map(|byte| !byte).collect(),
            key_id: seen.key_id.clone(),
            annotations: HashMap::from([(ANNOTATION.to_owned(), b"kek".to_vec())]),
        }))
    }

    async fn decrypt(&self, request: Request<DecryptRequest>) -> Result<Response<DecryptResponse>, Status> {
        let request = request.into_inner();
        if request.annotations.get(ANNOTATION).map(Vec::as_slice) != Some(b"kek") {
            return Err(Status::invalid_argument("the annotation is missing"));
        }
        self.0.lock().unwrap().decrypted.push(request.key_id);
        Ok(Response::new(DecryptResponse {
            plaintext: request.ciphertext.iter().map(|byte| !byte).collect(),
        }))
    }
}

/// A plugin on a thread of its own, since those who call it block.
struct Running {
    plugin: Turning,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(plugin: Turning, socket: &Path) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let (ready, listens) = std::sync::mpsc::channel();
        let (service, socket) = (plugin.clone(), socket.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = UnixListener::bind(&socket).unwrap();
                ready.send(()).unwrap();
                tonic::transport::Server::builder()
                    .add_service(KeyManagementServiceServer::new(service))
                    .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async { drop(ended.await) })
                    .await
                    .unwrap();
                std::fs::remove_file(&socket).unwrap();
            });
        });
        listens.recv().unwrap();
        Self {
            plugin,
            end: Some(end),
            thread: Some(thread),
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.plugin.0.lock().unwrap()
    }
}

fn plugin(key_id: &str) -> Turning {
    Turning(Arc::new(Mutex::new(Seen {
        key_id: key_id.to_owned(),
        healthz: "ok".to_owned(),
        ..Seen::default()
    })))
}

fn configuration(socket: &Path) -> EncryptionConfiguration {
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n\
         resources:\n- resources: [secrets]\n  providers:\n  \
         - kms: {{apiVersion: v2, name: turning, endpoint: 'unix://{}', timeout: 10s}}\n  - identity: {{}}\n",
        socket.display()
    );
    EncryptionConfiguration::read(&text).unwrap()
}

fn secret(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"password": DATA}})
}

async fn raw(world: &World) -> String {
    let key = "/registry/secrets/default/a".to_owned();
    let read = world.store.range(store::RangeRequest::key(key)).await.unwrap();
    String::from_utf8_lossy(&read.items[0].value).into_owned()
}

#[tokio::test]
async fn secrets_are_kept_under_a_plugins_key_and_read_by_another_process() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("kms.sock");
    let running = Running::start(plugin("key-1"), &socket);
    let world = World::new().await;
    world.encryption.set(&configuration(&socket));
    let made = world.create(SECRETS, secret("a")).await.unwrap();
    world.create(SECRETS, secret("b")).await.unwrap();
    assert_eq!(running.seen().encrypted, 1, "one seed for all values");
    assert!(running.seen().decrypted.is_empty(), "the seed is known here");
    let stored = raw(&world).await;
    assert!(stored.starts_with("k8s:enc:kms:v2:turning:"), "{stored}");
    assert!(stored.contains(ANNOTATION) && stored.contains("key-1") && !stored.contains(DATA));
    assert_eq!(world.registry.encryption_health(), Some(Ok(())));

    // Another process knows no seed: it asks once.
    world.encryption.set(&configuration(&socket));
    let world = world.restart().await;
    assert_eq!(world.get(SECRET).await.unwrap()["data"], made["data"]);
    assert_eq!(running.seen().decrypted, ["key-1"]);
    assert_eq!(
        world.update(SECRET, made.clone()).await.unwrap(),
        made,
        "it is not stale"
    );
}

#[tokio::test]
async fn values_under_a_former_key_are_read_and_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("kms.sock");
    let running = Running::start(plugin("key-1"), &socket);
    let world = World::new().await;
    world.encryption.set(&configuration(&socket));
    world.create(SECRETS, secret("a")).await.unwrap();
    "key-2".clone_into(&mut running.seen().key_id);
    world.encryption.set(&configuration(&socket));
    let world = world.restart().await;
    assert_eq!(world.registry.rewrite_stale("", "secrets").await.unwrap(), 1);
    assert!(raw(&world).await.contains("key-2"));
    assert_eq!(world.registry.rewrite_stale("", "secrets").await.unwrap(), 0);
}

#[tokio::test]
async fn while_the_plugin_is_away_what_is_known_is_read_and_the_rest_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("kms.sock");
    let mut running = Running::start(plugin("key-1"), &socket);
    let world = World::new().await;
    world.encryption.set(&configuration(&socket));
    let made = world.create(SECRETS, secret("a")).await.unwrap();
    running.end.take().unwrap().send(()).unwrap();
    running.thread.take().unwrap().join().unwrap();
    assert_eq!(world.get(SECRET).await.unwrap(), made);
    // The seed is good for three minutes more.
    world.create(SECRETS, secret("b")).await.unwrap();

    world.encryption.set(&configuration(&socket));
    let world = world.restart().await;
    let refused = world.get(SECRET).await.unwrap_err();
    assert_eq!(refused.code(), 500);
    let problem = "unable to transform key \"/registry/secrets/default/a\": failed to decrypt DEK, error: rpc error: code = Unavailable";
    assert!(refused.message().contains(problem), "{refused}");
    let refused = world.create(SECRETS, secret("c")).await.unwrap_err();
    assert!(
        refused
            .message()
            .contains("failed to perform status section of the healthz check"),
        "{refused}"
    );
    assert!(world.registry.encryption_health().unwrap().is_err());

    let _running = Running::start(running.plugin.clone(), &socket);
    assert_eq!(world.get(SECRET).await.unwrap()["data"], made["data"]);
}

#[tokio::test]
async fn a_plugin_that_is_not_well_lets_nothing_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("kms.sock");
    let running = Running::start(plugin("key-1"), &socket);
    "the HSM is off".clone_into(&mut running.seen().healthz);
    let world = World::new().await;
    world.encryption.set(&configuration(&socket));
    let refused = world.create(SECRETS, secret("a")).await.unwrap_err();
    let problem = "kmsv2 Provider turning is not healthy, error: got unexpected healthz status: the HSM is off";
    assert!(refused.message().contains(problem), "{refused}");
    assert_eq!(world.list(SECRETS, "").await.unwrap()["items"], json!([]));
}
