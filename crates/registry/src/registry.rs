//! The registry of one cluster: its store, its caches and the entry points of every verb.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use clock::{Clock, Random};
use futures::future::BoxFuture;
use ipnet::Ipv4Net;
use kube_types::GroupVersionResource;
use store::{LeaseId, Store};
use supervision::{Restart, Supervisor};

use crate::access::{Authorizer, Compiled, NodeGraph};
use crate::admission::pod_identity::PodIdentities;
use crate::cache::{Caches, Unreadable};
use crate::custom::Converter;
use crate::encryption::Encryption;
use crate::kinds::KindTable;
use crate::status::StatusError;

/// The feed and the keeper live as long as the registry; what stops them is short.
pub(crate) const RESTART: Restart = Restart::always().pauses(Duration::from_millis(20), Duration::from_secs(2));

/// How long a request for a kind that may be new waits for the store.
const DEFINITIONS_LIMIT: Duration = Duration::from_secs(3);

/// What a registry needs.
pub struct Options {
    /// Where objects are kept.
    pub store: Arc<dyn Store>,
    /// Time of creation and deletion stamps.
    pub clock: Arc<dyn Clock>,
    /// Uids and name suffixes.
    pub random: Arc<dyn Random>,
    /// Parent of the registry's tasks.
    pub supervisor: Supervisor,
    /// Range of ClusterIPs, as `10.100.0.0/16`.
    pub service_cidr: Ipv4Net,
    /// First and last port of NodePorts; upstream's default is 30000–32767.
    pub node_ports: (u16, u16),
    /// Addresses and port behind the `default/kubernetes` service.
    pub api_endpoints: (Vec<IpAddr>, u16),
    /// Signs service-account tokens.
    pub token_issuer: Arc<dyn TokenIssuer>,
    /// What is encrypted in the store.
    pub encryption: Arc<Encryption>,
}

/// What a service-account token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// Uid of the service account.
    pub service_account_uid: String,
    /// Who the token is for; empty = the API server itself.
    pub audiences: Vec<String>,
    /// Seconds the token shall live.
    pub expiration_seconds: i64,
    /// Pod, Secret or Node that the token dies with: kind, name, uid.
    pub bound_object: Option<(String, String, String)>,
    /// Name and uid of the node of a bound pod.
    pub node: Option<(String, String)>,
}

/// A signed token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// The JSON web token.
    pub token: String,
    /// When it ends.
    pub expires: jiff::Timestamp,
    /// Who it is for.
    pub audiences: Vec<String>,
}

/// Whose token it is, and which of the audiences asked for it is for.
pub type ReviewedToken = (access_rules::User, Vec<String>);

/// Is told how long each write to the store took: what was done (`create`, `update`, `delete`), the plural name, the time.
pub type StoreObserver = Box<dyn Fn(&str, &str, Duration) + Send + Sync>;

/// Why a token could not be signed or checked.
#[derive(Debug, thiserror::Error)]
#[error("service account token: {0}")]
pub struct TokenError(pub String);

/// Signs and checks service-account tokens with the cluster's key.
pub trait TokenIssuer: Send + Sync {
    /// Signs a token.
    fn issue(&self, claims: TokenClaims) -> BoxFuture<'_, Result<IssuedToken, TokenError>>;

    /// The user behind a bearer token and the audiences it is for, or `None` when it is not one of ours or has ended.
    fn review<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<ReviewedToken>, TokenError>>;
}

/// Why a registry could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The store does not answer.
    #[error("read the store")]
    Store(#[from] store::StoreError),
    /// A stored object cannot be read.
    #[error("read stored object {key}: {problem}")]
    Decode {
        /// Key in the store.
        key: String,
        /// What is wrong with it.
        problem: Unreadable,
    },
    /// An object that every cluster has could not be made.
    #[error("make {what}: {error}")]
    Bootstrap {
        /// Which object.
        what: String,
        /// The refusal.
        error: StatusError,
    },
}

/// All objects of one cluster, behind the one pipeline. Shared as an `Arc`.
pub struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) encryption: Arc<Encryption>,
    pub(crate) converter: Arc<Converter>,
    pub(crate) policy: ArcSwap<Compiled>,
    pub(crate) node_graph: NodeGraph,
    pub(crate) authorizer: std::sync::OnceLock<Arc<dyn Authorizer>>,
    pub(crate) pod_identities: OnceLock<Arc<dyn PodIdentities>>,
    pub(crate) fargate_profiles: OnceLock<Arc<dyn crate::FargateProfiles>>,
    pub(crate) tokens: Arc<dyn TokenIssuer>,
    pub(crate) configured: crate::admission::hooks::Configured,
    pub(crate) caller: Arc<OnceLock<Arc<dyn crate::webhook::Caller>>>,
    pub(crate) store_observer: OnceLock<StoreObserver>,
    pub(crate) service_cidr: Ipv4Net,
    pub(crate) node_ports: (u16, u16),
    pub(crate) api_endpoints: (Vec<IpAddr>, u16),
    /// The lease of this minute's objects that go by themselves.
    pub(crate) lease: tokio::sync::Mutex<Option<(i64, LeaseId)>>,
}

impl Registry {
    /// Loads the caches, starts following the store and makes the objects that every cluster has.
    ///
    /// # Errors
    /// When the store does not answer or holds what cannot be read.
    pub async fn open(options: Options) -> Result<Arc<Self>, RegistryError> {
        let kinds = KindTable::built_in();
        let caller: Arc<OnceLock<_>> = Arc::default();
        let encryption = options.encryption;
        let (store, clock) = (options.store.clone(), options.clock.clone());
        let caches = Arc::new(Caches::new(store, clock, kinds, encryption.clone()));
        caches.load().await?;
        let feed = caches.clone();
        options.supervisor.spawn_restarting("registry-feed", RESTART, move || {
            let feed = feed.clone();
            async move { feed.follow().await }
        });
        let registry = Arc::new(Self {
            converter: Arc::new(Converter::new(options.random.clone(), caller.clone())),
            store: options.store,
            clock: options.clock,
            random: options.random,
            caches,
            encryption,
            policy: ArcSwap::default(),
            node_graph: NodeGraph::default(),
            authorizer: std::sync::OnceLock::new(),
            pod_identities: OnceLock::new(),
            fargate_profiles: OnceLock::new(),
            tokens: options.token_issuer,
            configured: crate::admission::hooks::Configured::default(),
            caller,
            store_observer: OnceLock::new(),
            service_cidr: options.service_cidr,
            node_ports: options.node_ports,
            api_endpoints: options.api_endpoints,
            lease: tokio::sync::Mutex::default(),
        });
        registry.ensure_required().await?;
        let keeper = registry.clone();
        options
            .supervisor
            .spawn_restarting("registry-api-service", RESTART, move || {
                let keeper = keeper.clone();
                async move { keeper.keep_api_service().await }
            });
        let custom = registry.clone();
        options
            .supervisor
            .spawn_restarting("registry-custom-resources", RESTART, move || {
                let custom = custom.clone();
                async move { custom.keep_definitions().await }
            });
        let compacting = registry.clone();
        options
            .supervisor
            .spawn_restarting("registry-compaction", RESTART, move || {
                let compacting = compacting.clone();
                async move { compacting.keep_compact().await }
            });
        Ok(registry)
    }

    /// Makes sure that what this server knows of a kind is as new as what the store has acknowledged, where another
    /// API server may have defined or changed it: when it is not served, or is custom and about to be written.
    ///
    /// Where the store does not answer soon, what is known is what is served.
    pub async fn follow_definition(&self, gvr: &GroupVersionResource, written: bool) {
        let kinds = self.kinds();
        let certain = match kinds.find(gvr) {
            Some(kind) => kind.custom.is_none() || !written,
            None => false,
        };
        if certain {
            return;
        }
        match tokio::time::timeout(DEFINITIONS_LIMIT, self.catch_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "definitions of other servers may be missing"),
            Err(elapsed) => tracing::debug!(%elapsed, "definitions of other servers may be missing"),
        }
    }

    /// Lets somebody know how long writes to the store take. The first call counts.
    pub fn observe_store(&self, observer: StoreObserver) {
        self.store_observer.get_or_init(|| observer);
    }

    /// How many objects of each stored resource there are: group, plural name, number.
    pub fn object_counts(&self) -> Vec<(String, String, usize)> {
        let kinds = self.kinds();
        let mut counts = std::collections::BTreeMap::new();
        for kind in kinds.iter().filter(|kind| kind.storage.is_some()) {
            if let Ok(resource) = self.resource_of(kind.clone()) {
                let stored = resource.stored();
                let name = (stored.group.to_string(), stored.plural.to_string());
                counts.insert(name, resource.cache.len());
            }
        }
        counts
            .into_iter()
            .map(|((group, plural), count)| (group, plural, count))
            .collect()
    }

    /// Every kind that is served now; definitions of custom resources change it.
    pub fn kinds(&self) -> Arc<KindTable> {
        self.caches.served().kinds.clone()
    }
}
