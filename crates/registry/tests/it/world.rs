//! A registry of a test's own, and short ways to ask it.

use std::sync::Arc;

use clock::{ManualClock, SeededRandom};
use futures::StreamExt;
use futures::future::BoxFuture;
use kube_types::GroupVersionResource;
use kube_types::dynamic::Value;
use registry::{
    Context, DeleteOptions, Encryption, GetOptions, IssuedToken, ListOptions, MediaType, Options, Registry, Reply,
    RequestBody, StatusError, Target, TokenClaims, TokenError, TokenIssuer, User, WatchEvent, WatchOptions,
    WriteOptions,
};
use supervision::Supervisor;

/// Signs nothing: the token is the name of the account.
struct PlainTokens;

impl TokenIssuer for PlainTokens {
    fn issue(&self, claims: TokenClaims) -> BoxFuture<'_, Result<IssuedToken, TokenError>> {
        Box::pin(async move {
            let expires = jiff::Timestamp::UNIX_EPOCH;
            let token = format!("{}/{}", claims.namespace, claims.service_account);
            Ok(IssuedToken {
                token,
                expires,
                audiences: claims.audiences,
            })
        })
    }

    fn review<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<(User, Vec<String>)>, TokenError>> {
        Box::pin(async move {
            let account = token.split_once('/');
            Ok(account.map(|(namespace, name)| (User::service_account(namespace, name), audiences.to_vec())))
        })
    }
}

/// The part of etcd that belongs to a test, when `ONDOL_TEST_ETCD` names one; else tests run on the embedded engine.
fn etcd(directory: &tempfile::TempDir) -> Option<store::EtcdLocation> {
    let url = std::env::var("ONDOL_TEST_ETCD").ok()?;
    let name = directory.path().file_name().unwrap().to_string_lossy().into_owned();
    Some(store::EtcdLocation::parse(&url).unwrap().below(&name))
}

async fn open(
    store: &Arc<dyn store::Store>,
    clock: &Arc<ManualClock>,
    supervisor: &Supervisor,
    seed: u64,
    encryption: &Arc<Encryption>,
) -> Arc<Registry> {
    let options = Options {
        store: store.clone(),
        clock: clock.clone(),
        random: Arc::new(SeededRandom::new(seed)),
        supervisor: supervisor.clone(),
        service_cidr: "10.100.0.0/16".parse().unwrap(),
        node_ports: (30000, 32767),
        api_endpoints: (vec!["192.168.0.10".parse().unwrap()], 443),
        token_issuer: Arc::new(PlainTokens),
        encryption: encryption.clone(),
    };
    Registry::open(options).await.unwrap()
}

pub struct World {
    pub registry: Arc<Registry>,
    pub clock: Arc<ManualClock>,
    pub supervisor: Supervisor,
    pub store: Arc<dyn store::Store>,
    /// Nothing is encrypted until a test says so.
    pub encryption: Arc<Encryption>,
    directory: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::on(directory, Arc::default()).await
    }

    /// One whose default namespace has the account that pods need.
    pub async fn with_account() -> Self {
        let world = Self::new().await;
        let account = kube_types::dynamic::json!({"metadata": {"name": "default"}});
        world.create("v1/serviceaccounts/default", account).await.unwrap();
        world
    }

    async fn on(directory: tempfile::TempDir, encryption: Arc<Encryption>) -> Self {
        let supervisor = Supervisor::new("test");
        let clock = Arc::new(ManualClock::default());
        let options = store::Options {
            clock: clock.clone(),
            ..store::Options::default()
        };
        let store: Arc<dyn store::Store> = match etcd(&directory) {
            Some(location) => store::open_etcd(&location).await.unwrap(),
            None => store::open(directory.path(), options, &supervisor).unwrap(),
        };
        let registry = open(&store, &clock, &supervisor, 1, &encryption).await;
        Self {
            registry,
            clock,
            supervisor,
            store,
            encryption,
            directory,
        }
    }

    /// One more API server of the same cluster, with a store of its own where there is etcd.
    pub async fn another(&self) -> Self {
        let supervisor = self.supervisor.child("another");
        let store: Arc<dyn store::Store> = match etcd(&self.directory) {
            Some(location) => store::open_etcd(&location).await.unwrap(),
            None => self.store.clone(),
        };
        Self {
            registry: open(&store, &self.clock, &supervisor, 2, &self.encryption).await,
            clock: self.clock.clone(),
            supervisor,
            store,
            encryption: self.encryption.clone(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// The same cluster after its process went and came again.
    pub async fn restart(self) -> Self {
        let Self {
            registry,
            supervisor,
            store,
            directory,
            encryption,
            ..
        } = self;
        supervisor.drain(std::time::Duration::from_secs(5)).await;
        drop((registry, store));
        Self::on(directory, encryption).await
    }

    pub fn context(&self) -> Context {
        Context::for_user(User::master("admin"))
    }

    pub async fn create(&self, path: &str, object: Value) -> Result<Value, StatusError> {
        self.create_with(path, object, WriteOptions::default()).await
    }

    pub async fn create_with(&self, path: &str, object: Value, options: WriteOptions) -> Result<Value, StatusError> {
        let body = RequestBody::json(object.to_string());
        self.registry
            .create(&self.context(), &target(path), body, options)
            .await
            .map(json)
    }

    pub async fn get(&self, path: &str) -> Result<Value, StatusError> {
        self.registry
            .get(&self.context(), &target(path), GetOptions::default())
            .await
            .map(json)
    }

    pub async fn list(&self, path: &str, query: &str) -> Result<Value, StatusError> {
        let options = ListOptions::from_query(&pairs(query))?;
        self.registry
            .list(&self.context(), &target(path), options)
            .await
            .map(json)
    }

    pub async fn update(&self, path: &str, object: Value) -> Result<Value, StatusError> {
        let body = RequestBody::json(object.to_string());
        self.registry
            .update(&self.context(), &target(path), body, WriteOptions::default())
            .await
            .map(json)
    }

    pub async fn patch(&self, path: &str, patch: Value) -> Result<Value, StatusError> {
        let body = RequestBody::new(MediaType::MergePatch, patch.to_string());
        self.registry
            .patch(&self.context(), &target(path), body, WriteOptions::default())
            .await
            .map(json)
    }

    pub async fn delete(&self, path: &str, query: &str) -> Result<Value, StatusError> {
        let options = DeleteOptions::read(&pairs(query), b"")?;
        self.registry
            .delete(&self.context(), &target(path), options)
            .await
            .map(json)
    }

    pub async fn delete_with(&self, path: &str, body: Value) -> Result<Value, StatusError> {
        let options = DeleteOptions::read(&[], body.to_string().as_bytes())?;
        self.registry
            .delete(&self.context(), &target(path), options)
            .await
            .map(json)
    }

    pub async fn delete_collection(&self, path: &str, query: &str, delete: &str) -> Result<Value, StatusError> {
        let list = ListOptions::from_query(&pairs(query))?;
        let options = DeleteOptions::read(&pairs(delete), b"")?;
        self.registry
            .delete_collection(&self.context(), &target(path), list, options)
            .await
            .map(json)
    }

    pub async fn watch(&self, path: &str, query: &str) -> Result<Events, StatusError> {
        let options = WatchOptions::from_query(&pairs(query))?;
        Ok(Events(
            self.registry
                .watch(&self.context(), &target(path), options)
                .await?
                .events,
        ))
    }
}

pub struct Events(std::pin::Pin<Box<dyn futures::Stream<Item = WatchEvent> + Send>>);

impl Events {
    /// The next event as type and object; fails when none comes.
    pub async fn next(&mut self) -> (String, Value) {
        let next = tokio::time::timeout(std::time::Duration::from_secs(10), self.0.next()).await;
        let event = next.expect("an event within ten seconds").expect("the watch goes on");
        (
            event.kind.as_str().to_owned(),
            serde_json::from_slice(&event.object).unwrap(),
        )
    }

    pub async fn end(&mut self) {
        let next = tokio::time::timeout(std::time::Duration::from_secs(10), self.0.next()).await;
        assert!(next.expect("the end within ten seconds").is_none());
    }
}

fn json(reply: Reply) -> Value {
    serde_json::from_slice(&reply.body.into_bytes()).unwrap()
}

pub fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

/// `v1/pods`, `apps/v1/deployments/ns/name`, `v1/pods/ns/name/status`; a dash stands for no namespace.
pub fn target(path: &str) -> Target {
    let mut parts: Vec<&str> = path.split('/').collect();
    let group = if parts[0].starts_with('v') && parts[0][1..].starts_with(|c: char| c.is_ascii_digit()) {
        ""
    } else {
        parts.remove(0)
    };
    let at = |index: usize| {
        parts
            .get(index)
            .filter(|part| **part != "-")
            .map(|part| (*part).to_owned())
    };
    Target {
        gvr: GroupVersionResource::new(group, parts[0], parts[1]),
        namespace: at(2),
        name: at(3),
        subresource: at(4),
    }
}
