//! A copy of all objects of a kind, kept up to date by one watch and shared by all who read them.
//!
//! It says how far it has come, so that whoever has written can wait until it reads its own write, and it tells which
//! objects changed, never what changed: readers look at the copy.

mod changes;
mod follow;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kube::{Api, Resource};
use kube_types::ObjectKey;
use serde::de::DeserializeOwned;
use supervision::Supervisor;
use tokio::sync::watch;

pub use self::changes::Changes;
use self::changes::Pending;

/// What a cache can hold: a kind that is known when the program is compiled.
pub trait Cached: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static> Cached for K {}

/// Which objects of the kind are held; by default all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// A label selector.
    pub labels: Option<String>,
    /// A field selector, as `spec.nodeName=node-1`.
    pub fields: Option<String>,
}

impl Selection {
    /// The objects that a field selector selects.
    pub fn fields(selector: impl Into<String>) -> Self {
        Self {
            fields: Some(selector.into()),
            labels: None,
        }
    }

    /// The objects that a label selector selects.
    pub fn labels(selector: impl Into<String>) -> Self {
        Self {
            labels: Some(selector.into()),
            fields: None,
        }
    }
}

/// All objects of a kind at some revision. Cheap to clone and never changed.
pub type Snapshot<K> = Arc<BTreeMap<ObjectKey, Arc<K>>>;

/// A shared watch cache. Clones are the same cache. `metadata.managedFields` are not kept: they are larger than most
/// objects and only the API server uses them.
pub struct Cache<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

struct Shared<K> {
    state: Mutex<State<K>>,
    /// The revision up to which the cache knows everything; `None` before the first list.
    reached: watch::Sender<Option<u64>>,
}

struct State<K> {
    objects: Snapshot<K>,
    subscribers: Vec<Weak<Pending>>,
}

/// The cache has not come as far as was asked in time.
#[derive(Debug, thiserror::Error)]
#[error("the cache of {kind} did not reach revision {wanted} within {limit:?}, it is at {reached}")]
pub struct NotReached {
    /// The kind that is cached.
    pub kind: String,
    /// The revision waited for.
    pub wanted: u64,
    /// How long was waited.
    pub limit: Duration,
    /// Where the cache is; 0 = nothing listed yet.
    pub reached: u64,
}

impl<K: Cached> Cache<K> {
    /// Starts to keep a copy of what `api` serves. It is empty at first; see [`Cache::synced`]. Ends with
    /// `supervisor`.
    pub fn start(api: Api<K>, selection: Selection, supervisor: &Supervisor) -> Self {
        let state = Mutex::new(State {
            objects: Snapshot::default(),
            subscribers: Vec::new(),
        });
        let shared = Arc::new(Shared {
            state,
            reached: watch::Sender::new(None),
        });
        follow::start(api, selection, &shared, supervisor);
        Self { shared }
    }

    /// All objects, as they are now.
    pub fn snapshot(&self) -> Snapshot<K> {
        Arc::clone(&self.shared.state().objects)
    }

    /// One object, as it is now.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.shared.state().objects.get(key).cloned()
    }

    /// The revision up to which the cache knows everything of its kind; 0 before the first list.
    pub fn revision(&self) -> u64 {
        self.shared.reached.borrow().unwrap_or(0)
    }

    /// Whether the first list is in.
    pub fn is_synced(&self) -> bool {
        self.shared.reached.borrow().is_some()
    }

    /// Waits until the first list is in.
    pub async fn synced(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(self.shared.reached.subscribe().wait_for(Option::is_some).await);
    }

    /// Waits until the cache knows everything up to `revision`, which is the `resourceVersion` that a write of this
    /// kind answered with.
    ///
    /// # Errors
    /// `NotReached` after `limit`: the watch is interrupted, or the object written is not in the selection.
    pub async fn wait_for_revision(&self, revision: u64, limit: Duration) -> Result<(), NotReached> {
        let mut reached = self.shared.reached.subscribe();
        let come = reached.wait_for(|reached| reached.is_some_and(|reached| reached >= revision));
        // Dropped at once: what it gives holds the channel's lock.
        let in_time = tokio::time::timeout(limit, come).await.is_ok();
        if in_time {
            return Ok(());
        }
        let kind = K::kind(&()).into_owned();
        Err(NotReached {
            kind,
            wanted: revision,
            limit,
            reached: self.revision(),
        })
    }

    /// Tells which objects change from now on, beginning with all that are there.
    pub fn changes(&self) -> Changes {
        let mut state = self.shared.state();
        let pending = Arc::new(Pending::new(state.objects.keys().cloned()));
        state.subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        state.subscribers.push(Arc::downgrade(&pending));
        Changes::new(pending)
    }
}

impl<K> Shared<K> {
    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Nothing panics while holding it, so a poisoned state is still sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that everything up to `revision` is known now.
    fn reach(&self, revision: u64) {
        self.reached.send_if_modified(|reached| {
            let further = reached.is_none_or(|reached| revision > reached);
            if further {
                *reached = Some(revision);
            }
            further
        });
    }
}

impl<K: Cached> Shared<K> {
    fn put(&self, key: ObjectKey, object: K) {
        let mut state = self.state();
        Arc::make_mut(&mut state.objects).insert(key.clone(), Arc::new(object));
        state.tell([key]);
    }

    fn remove(&self, key: &ObjectKey) {
        let mut state = self.state();
        if Arc::make_mut(&mut state.objects).remove(key).is_some() {
            state.tell([key.clone()]);
        }
    }

    /// Takes a complete list in place of what is there, and tells what differs.
    fn replace(&self, listed: BTreeMap<ObjectKey, Arc<K>>) {
        let version = |object: &Arc<K>| (object.meta().uid.clone(), object.meta().resource_version.clone());
        let mut state = self.state();
        let gone = state.objects.keys().filter(|key| !listed.contains_key(*key));
        let differs = |key: &ObjectKey, object: &Arc<K>| state.objects.get(key).map(version) != Some(version(object));
        let changed = listed
            .iter()
            .filter(|(key, object)| differs(key, object))
            .map(|(key, _)| key);
        let keys: Vec<ObjectKey> = gone.chain(changed).cloned().collect();
        state.objects = Arc::new(listed);
        state.tell(keys);
    }
}

impl<K> State<K> {
    fn tell(&mut self, keys: impl IntoIterator<Item = ObjectKey> + Clone) {
        self.subscribers.retain(|subscriber| match subscriber.upgrade() {
            Some(pending) => {
                pending.add(keys.clone());
                true
            }
            None => false,
        });
    }
}

#[cfg(test)]
mod tests;
