//! A plugin: asked how it is by a thread of its own, which also passes calls on for callers that cannot await.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc as blocking};
use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::health::{Health, PAUSES};
use crate::socket::connect;
use crate::v2::key_management_service_client::KeyManagementServiceClient;
use crate::v2::{DecryptRequest, EncryptRequest, StatusRequest};

/// How much longer than the plugin its thread may take.
const GRACE: Duration = Duration::from_secs(1);

type Client = KeyManagementServiceClient<Channel>;

/// Why a plugin did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PluginError(pub String);

/// Why a plugin cannot be called at all.
#[derive(Debug, thiserror::Error)]
#[error("start the thread that calls KMS plugin {name}")]
pub struct StartError {
    /// Its name.
    pub name: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// What a plugin made of some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encrypted {
    /// The bytes, encrypted.
    pub cipher: Vec<u8>,
    /// The key that encrypted them.
    pub key_id: String,
    /// What the plugin wants to see again when it decrypts them.
    pub annotations: BTreeMap<String, Vec<u8>>,
}

/// A plugin behind a socket. Its thread ends with it.
pub struct Plugin {
    name: String,
    timeout: Duration,
    calls: mpsc::UnboundedSender<Call>,
    numbers: AtomicU64,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    health: Mutex<Health>,
    probed: Condvar,
}

enum Call {
    Encrypt(EncryptRequest, Reply<Encrypted>),
    Decrypt(DecryptRequest, Reply<Vec<u8>>),
}

type Reply<T> = blocking::SyncSender<Result<T, String>>;

impl Shared {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin {
    /// Begins to call the plugin that listens on `socket`. It may come later.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, socket: &Path, timeout: Duration) -> Result<Self, StartError> {
        let failed = |source| StartError {
            name: name.to_owned(),
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let shared = Arc::new(Shared::default());
        let (calls, taken) = mpsc::unbounded_channel();
        let thread = Thread {
            name: name.to_owned(),
            timeout,
            shared: shared.clone(),
        };
        let socket = socket.to_owned();
        thread::Builder::new()
            .name(format!("kms {name}"))
            .spawn(move || runtime.block_on(async move { thread.run(Client::new(connect(&socket)), taken).await }))
            .map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            timeout,
            calls,
            numbers: AtomicU64::new(1),
            shared,
        })
    }

    /// The key that encrypts now, by the plugin's last good answer; empty when there was none. Waits for the first answer, for the
    /// timeout at the most.
    pub fn key_id(&self) -> String {
        let health = self.shared.health();
        let waited = self
            .shared
            .probed
            .wait_timeout_while(health, self.timeout, |health| !health.probed);
        let (health, _) = waited.unwrap_or_else(PoisonError::into_inner);
        health.key_id.clone()
    }

    /// Whether values may be written now.
    ///
    /// # Errors
    /// When the plugin has not been well for too long.
    pub fn check_writable(&self) -> Result<(), PluginError> {
        let writable = self.shared.health().check_writable(Instant::now());
        writable.map_err(PluginError)
    }

    /// Whether the plugin was well when it was asked last.
    ///
    /// # Errors
    /// What was wrong.
    pub fn check_health(&self) -> Result<(), PluginError> {
        self.shared
            .health()
            .problem
            .clone()
            .map_or(Ok(()), |problem| Err(PluginError(problem)))
    }

    /// Has the plugin encrypt some bytes. Blocks for its timeout at the most.
    ///
    /// # Errors
    /// What the plugin answered, in the words of Go's client.
    pub fn encrypt(&self, plain: &[u8]) -> Result<Encrypted, PluginError> {
        let request = EncryptRequest {
            plaintext: plain.to_vec(),
            uid: self.uid(),
        };
        self.ask(|reply| Call::Encrypt(request, reply))
    }

    /// Has the plugin decrypt what it encrypted. Blocks for its timeout at the most.
    ///
    /// # Errors
    /// What the plugin answered, in the words of Go's client.
    pub fn decrypt(&self, encrypted: &Encrypted) -> Result<Vec<u8>, PluginError> {
        let request = DecryptRequest {
            ciphertext: encrypted.cipher.clone(),
            uid: self.uid(),
            key_id: encrypted.key_id.clone(),
            annotations: encrypted.annotations.clone().into_iter().collect(),
        };
        self.ask(|reply| Call::Decrypt(request, reply))
    }

    /// Tells calls apart in the plugin's log.
    fn uid(&self) -> String {
        format!("{}-{}", self.name, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, PluginError> {
        let (reply, answer) = blocking::sync_channel(1);
        let ended = || PluginError(format!("the thread that calls KMS plugin {} has ended", self.name));
        self.calls.send(call(reply)).map_err(|_call| ended())?;
        match answer.recv_timeout(self.timeout + GRACE) {
            Ok(answer) => answer.map_err(PluginError),
            Err(blocking::RecvTimeoutError::Timeout) => Err(PluginError(deadline())),
            Err(blocking::RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }
}

/// What the plugin's thread has.
struct Thread {
    name: String,
    timeout: Duration,
    shared: Arc<Shared>,
}

impl Thread {
    /// Until the plugin is dropped.
    async fn run(&self, client: Client, mut calls: mpsc::UnboundedReceiver<Call>) {
        let probing = self.probe(client.clone());
        let answering = async {
            let mut begun = FuturesUnordered::new();
            loop {
                tokio::select! {
                    call = calls.recv() => match call {
                        Some(call) => begun.push(self.answer(client.clone(), call)),
                        None => return,
                    },
                    Some(()) = begun.next() => {}
                }
            }
        };
        tokio::select! {
            () = probing => {}
            () = answering => {}
        }
    }

    /// Asks the plugin how it is, again and again.
    async fn probe(&self, mut client: Client) {
        loop {
            let began = Instant::now();
            let answer = within(self.timeout, client.status(StatusRequest {})).await;
            let pause = {
                let mut health = self.shared.health();
                health.take(&self.name, answer, began);
                if let Some(problem) = &health.problem {
                    tracing::warn!(plugin = self.name, problem, "KMS plugin failed its health check");
                }
                if health.problem.is_none() { PAUSES.0 } else { PAUSES.1 }
            };
            self.shared.probed.notify_all();
            supervision::sleep(pause).await;
        }
    }

    async fn answer(&self, mut client: Client, call: Call) {
        // Whoever asked may have given up.
        let nobody = match call {
            Call::Encrypt(request, reply) => {
                let answer = within(self.timeout, client.encrypt(request))
                    .await
                    .map(|answer| Encrypted {
                        cipher: answer.ciphertext,
                        key_id: answer.key_id,
                        annotations: answer.annotations.into_iter().collect(),
                    });
                reply.try_send(answer).is_err()
            }
            Call::Decrypt(request, reply) => {
                let answer = within(self.timeout, client.decrypt(request)).await;
                reply.try_send(answer.map(|answer| answer.plaintext)).is_err()
            }
        };
        if nobody {
            tracing::debug!(
                plugin = self.name,
                "nobody waits for the answer of the KMS plugin any more"
            );
        }
    }
}

async fn within<T>(timeout: Duration, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, String> {
    match tokio::time::timeout(timeout, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(words(status.code(), status.message())),
        Err(_elapsed) => Err(deadline()),
    }
}

fn deadline() -> String {
    words(Code::DeadlineExceeded, "context deadline exceeded")
}

/// As Go's client words a failed call.
fn words(code: Code, message: &str) -> String {
    let name = match code {
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    };
    format!("rpc error: code = {name} desc = {message}")
}
