//! The shared view of the cluster: one watch per kind keeps a `World` up to date and tells listeners what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use kube_types::ObjectKey;
use plan::{Kind, Observation, Observed, World};
use serde::de::DeserializeOwned;
use supervision::{Restart, Supervisor};
use tokio::sync::watch;

use crate::apply::Mark;

/// Longest wait for the view to show what was just written.
const REACH_LIMIT: Duration = Duration::from_secs(5);

/// Someone who wants to know which objects changed.
pub trait Listener: Send + Sync {
    /// The kinds whose changes are told.
    fn kinds(&self) -> Vec<Kind>;

    /// An object was added (no `old`), changed, or removed (no `new`). Runs while the view is locked: it must be quick.
    fn changed(&self, old: Option<Observation<'_>>, new: Option<Observation<'_>>, world: &World);
}

/// A write that the view did not show in time.
#[derive(Debug, thiserror::Error)]
#[error("the watch of {kind} did not show what was written within {} s", REACH_LIMIT.as_secs())]
pub struct NotReached {
    /// The kind that was written.
    pub kind: Kind,
}

#[derive(Debug, thiserror::Error)]
#[error("watch {kind}")]
struct WatchEnded {
    kind: Kind,
    #[source]
    source: Box<watcher::Error>,
}

/// How far the watch of a kind has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    synced: bool,
    revision: u64,
    /// Goes up with every change, so that removals wake waiters too.
    changes: u64,
}

/// Keeps a world up to date. Shared by all controllers and the scheduler of a cluster.
pub struct Observer {
    client: Client,
    world: RwLock<World>,
    seen: BTreeMap<Kind, watch::Sender<Seen>>,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
}

impl Observer {
    /// A view of the cluster behind `client`, empty until started.
    pub fn new(client: Client) -> Arc<Self> {
        Arc::new(Self {
            client,
            world: RwLock::default(),
            seen: Kind::ALL.iter().map(|kind| (*kind, watch::Sender::default())).collect(),
            listeners: RwLock::default(),
        })
    }

    /// Tells `listener` of changes from now on; to miss none, register before the start.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(listener);
    }

    /// Starts one watch for each of `kinds`.
    pub fn start(self: &Arc<Self>, kinds: &BTreeSet<Kind>, supervisor: &Supervisor) {
        for kind in kinds {
            self.start_kind(*kind, supervisor);
        }
    }

    /// The world at this moment. Held for the time of a decision only: updates wait for it.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the world holds beside observed objects.
    pub(crate) fn note(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until each of `kinds` was listed completely.
    pub async fn synced(&self, kinds: impl IntoIterator<Item = Kind>) {
        for kind in kinds {
            let mut seen = self.seen[&kind].subscribe();
            if seen.wait_for(|seen| seen.synced).await.is_err() {
                // The senders live as long as `self`.
                return;
            }
        }
    }

    /// Have all of `kinds` been listed completely?
    pub fn is_synced(&self, kinds: impl IntoIterator<Item = Kind>) -> bool {
        kinds.into_iter().all(|kind| self.seen[&kind].borrow().synced)
    }

    /// Waits until the world shows a write.
    ///
    /// # Errors
    /// When the watch does not show it in time: it is broken, or the object was removed while the watch was reconnecting.
    pub async fn reached(&self, mark: &Mark) -> Result<(), NotReached> {
        let kind = mark.kind();
        let mut seen = self.seen[&kind].subscribe();
        let shown = async {
            loop {
                let revision = seen.borrow_and_update().revision;
                if mark.is_shown(revision, &self.world()) || seen.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(REACH_LIMIT, shown)
            .await
            .map_err(|_elapsed| NotReached { kind })
    }

    fn start_kind(self: &Arc<Self>, kind: Kind, supervisor: &Supervisor) {
        use k8s_openapi::api::{
            apps::v1 as apps, batch::v1 as batch, certificates, core::v1 as core, discovery, policy,
        };
        let everything = watcher::Config::default;
        match kind {
            Kind::Pod => self.watch_all::<core::Pod>(everything(), supervisor),
            Kind::Node => self.watch_all::<core::Node>(everything(), supervisor),
            Kind::Namespace => self.watch_all::<core::Namespace>(everything(), supervisor),
            Kind::Service => self.watch_all::<core::Service>(everything(), supervisor),
            Kind::Endpoints => self.watch_all::<core::Endpoints>(everything(), supervisor),
            Kind::EndpointSlice => self.watch_all::<discovery::v1::EndpointSlice>(everything(), supervisor),
            Kind::ServiceAccount => self.watch_all::<core::ServiceAccount>(everything(), supervisor),
            // Only the published root certificate is of interest; users' config maps may be many and large.
            Kind::ConfigMap => {
                self.watch_all::<core::ConfigMap>(everything().fields("metadata.name=kube-root-ca.crt"), supervisor);
            }
            Kind::PersistentVolume => self.watch_all::<core::PersistentVolume>(everything(), supervisor),
            Kind::PersistentVolumeClaim => self.watch_all::<core::PersistentVolumeClaim>(everything(), supervisor),
            Kind::ResourceQuota => self.watch_all::<core::ResourceQuota>(everything(), supervisor),
            Kind::Deployment => self.watch_all::<apps::Deployment>(everything(), supervisor),
            Kind::ReplicaSet => self.watch_all::<apps::ReplicaSet>(everything(), supervisor),
            Kind::DaemonSet => self.watch_all::<apps::DaemonSet>(everything(), supervisor),
            Kind::StatefulSet => self.watch_all::<apps::StatefulSet>(everything(), supervisor),
            Kind::ControllerRevision => self.watch_all::<apps::ControllerRevision>(everything(), supervisor),
            Kind::Job => self.watch_all::<batch::Job>(everything(), supervisor),
            Kind::ReplicationController => self.watch_all::<core::ReplicationController>(everything(), supervisor),
            Kind::CronJob => self.watch_all::<batch::CronJob>(everything(), supervisor),
            // Heartbeats of nodes; leases elsewhere are elections and of no interest.
            Kind::Lease => {
                self.watch_api(
                    Api::<Lease>::namespaced(self.client.clone(), "kube-node-lease"),
                    everything(),
                    supervisor,
                );
            }
            Kind::CertificateSigningRequest => {
                self.watch_all::<certificates::v1::CertificateSigningRequest>(everything(), supervisor);
            }
            Kind::PodDisruptionBudget => self.watch_all::<policy::v1::PodDisruptionBudget>(everything(), supervisor),
        }
    }

    fn watch_all<K>(self: &Arc<Self>, config: watcher::Config, supervisor: &Supervisor)
    where
        K: Observed + kube::Resource<DynamicType = ()> + DeserializeOwned + Debug,
    {
        self.watch_api(Api::<K>::all(self.client.clone()), config, supervisor);
    }

    fn watch_api<K>(self: &Arc<Self>, api: Api<K>, config: watcher::Config, supervisor: &Supervisor)
    where
        K: Observed + kube::Resource<DynamicType = ()> + DeserializeOwned + Debug,
    {
        let observer = self.clone();
        supervisor.spawn_restarting(format!("watch {}", K::KIND_TAG), Restart::always(), move || {
            let (observer, api, config) = (observer.clone(), api.clone(), config.clone());
            async move { observer.follow(api, config).await }
        });
    }

    async fn follow<K>(&self, api: Api<K>, config: watcher::Config) -> Result<(), WatchEnded>
    where
        K: Observed + kube::Resource<DynamicType = ()> + DeserializeOwned + Debug,
    {
        let ended = |source| WatchEnded {
            kind: K::KIND_TAG,
            source: Box::new(source),
        };
        let mut events = Box::pin(watcher(api, config).default_backoff());
        let mut listed = BTreeSet::new();
        loop {
            match events.try_next().await {
                Ok(None) => return Ok(()),
                Ok(Some(event)) => self.take_in(event, &mut listed),
                // The watcher itself retries with back-off; what failed is told once per failure.
                Err(error) => tracing::debug!(error = supervision::error_chain(&ended(error)), "watch interrupted"),
            }
        }
    }

    fn take_in<K: Observed>(&self, event: watcher::Event<K>, listed: &mut BTreeSet<ObjectKey>) {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => {
                listed.insert(ObjectKey::of(&object));
                self.put(object);
            }
            watcher::Event::InitDone => {
                let gone: Vec<ObjectKey> = self
                    .world()
                    .of::<K>()
                    .keys()
                    .filter(|key| !listed.contains(*key))
                    .cloned()
                    .collect();
                gone.iter().for_each(|key| self.drop_object::<K>(key, 0));
                listed.clear();
                self.seen[&K::KIND_TAG].send_modify(|seen| seen.synced = true);
            }
            watcher::Event::Apply(object) => self.put(object),
            watcher::Event::Delete(object) => self.drop_object::<K>(&ObjectKey::of(&object), revision_of(&object)),
        }
    }

    fn put<K: Observed>(&self, mut object: K) {
        // Field owners are as large as the object itself and no controller reads them.
        object.metadata_mut().managed_fields = None;
        let revision = revision_of(&object);
        let object = Arc::new(object);
        {
            let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
            let old = K::index_mut(&mut world).insert(object.clone());
            let same = old.as_ref().is_some_and(|old| {
                old.metadata().resource_version == object.metadata().resource_version
                    && old.metadata().uid == object.metadata().uid
            });
            if !same {
                self.tell(
                    old.as_deref().map(Observed::observation),
                    Some(object.observation()),
                    &world,
                );
            }
        }
        self.seen[&K::KIND_TAG].send_modify(|seen| {
            seen.revision = seen.revision.max(revision);
            seen.changes += 1;
        });
    }

    fn drop_object<K: Observed>(&self, key: &ObjectKey, revision: u64) {
        {
            let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
            let old = K::index_mut(&mut world).remove(key);
            if let Some(old) = old {
                self.tell(Some(old.observation()), None, &world);
            }
        }
        self.seen[&K::KIND_TAG].send_modify(|seen| {
            seen.revision = seen.revision.max(revision);
            seen.changes += 1;
        });
    }

    fn tell(&self, old: Option<Observation<'_>>, new: Option<Observation<'_>>, world: &World) {
        let Some(kind) = new.or(old).map(|observation| observation.kind()) else {
            return;
        };
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.iter().filter(|listener| listener.kinds().contains(&kind)) {
            listener.changed(old, new, world);
        }
    }
}

fn revision_of<K: Observed>(object: &K) -> u64 {
    object
        .metadata()
        .resource_version
        .as_deref()
        .and_then(|revision| revision.parse().ok())
        .unwrap_or(0)
}
