//! The one watch on the store that feeds every cache.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use clock::Clock;
use futures::StreamExt;
use kube_types::dynamic::Object;
use store::{Event, EventKind, RangeRequest, Revision, Store, StoreError, WatchBatch, WatchRequest};
use tokio::sync::watch;

use super::resource::Loaded;
use super::served::{Next, Served};
use super::{Extract, Item, ResourceCache, Unreadable};
use crate::encryption::Encryption;
use crate::kinds::{DEFINITIONS, KindTable};
use crate::registry::RegistryError;

/// Everything the registry keeps lies below this.
const ROOT: &str = "/registry/";

/// Transactions taken in at once when many are there. Readers wait that long.
const AT_ONCE: usize = 64;

/// How long a read waits for a revision before it gives up; upstream's limit.
const WAIT_LIMIT: Duration = Duration::from_secs(3);

/// The caches of all resources.
pub(crate) struct Caches {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    served: ArcSwap<Served>,
    /// All caches have seen everything up to this revision.
    progress: watch::Sender<Revision>,
    /// Held while a batch is applied, so that a reader sees all of a revision or nothing of it.
    applying: RwLock<()>,
    encryption: Arc<Encryption>,
    /// What writers know about values that the feed is about to deliver, so that it need not read them again.
    expected: Mutex<HashMap<Bytes, Known>>,
}

/// What a writer knows about a value that it writes.
#[derive(Clone)]
pub(crate) struct Known {
    /// As it is in the store.
    pub stored: Bytes,
    /// Before it was encrypted.
    pub value: Bytes,
    pub extract: Arc<Extract>,
    /// Number of the chain that encrypted it.
    pub chain: u64,
}

/// A revision did not arrive in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotReached {
    pub wanted: Revision,
    pub current: Revision,
}

impl Caches {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, kinds: KindTable, encryption: Arc<Encryption>) -> Self {
        Self {
            store,
            clock,
            served: ArcSwap::from_pointee(Served::built_in(kinds)),
            progress: watch::Sender::new(0),
            applying: RwLock::default(),
            encryption,
            expected: Mutex::default(),
        }
    }

    /// What is served now.
    pub fn served(&self) -> Arc<Served> {
        self.served.load_full()
    }

    /// Reads everything from the store; answers the revision that was read.
    pub async fn load(&self) -> Result<Revision, RegistryError> {
        let all = self.store.range(RangeRequest::prefix(ROOT)).await?;
        let next = self
            .served()
            .with_definitions(self.stored_definitions(&all.items)?.into_iter());
        let mut loaded: Vec<Loaded> = next.served.resources().iter().map(|_| Loaded::default()).collect();
        for entry in &all.items {
            let key = String::from_utf8_lossy(&entry.key);
            let Some((index, rest)) = next.served.locate(&key) else {
                continue;
            };
            let kind = &next.served.resources()[index].1.kind;
            loaded[index]
                .take(rest, entry.mod_revision, Item::opened(kind, &self.encryption, entry))
                .map_err(|problem| RegistryError::Decode {
                    key: key.to_string(),
                    problem,
                })?;
        }
        let _applying = self.applying.write().unwrap_or_else(PoisonError::into_inner);
        for ((_, cache), loaded) in next.served.resources().iter().zip(loaded) {
            cache.replace(loaded, all.revision);
        }
        self.install(next);
        self.progress.send_replace(all.revision);
        Ok(all.revision)
    }

    /// The definitions among what was read.
    fn stored_definitions(&self, entries: &[store::KeyValue]) -> Result<Vec<Object>, RegistryError> {
        let served = self.served();
        let Some(cache) = served.by_prefix(DEFINITIONS) else {
            return Ok(Vec::new());
        };
        let mut read = Vec::new();
        for entry in entries {
            if entry.key.starts_with(DEFINITIONS.as_bytes()) {
                let item = Item::opened(&cache.kind, &self.encryption, entry);
                let item = item.map_err(|problem| RegistryError::Decode {
                    key: String::from_utf8_lossy(&entry.key).into_owned(),
                    problem,
                })?;
                read.push(item.object());
            }
        }
        Ok(read)
    }

    fn install(&self, next: Next) {
        self.served.store(Arc::new(next.served));
        next.left.iter().for_each(|cache| cache.close());
    }

    /// Takes in events that change definitions. Their resources are served, with their objects, before anybody can see the
    /// events: whoever has seen that a definition is established can use it.
    async fn redefine(&self, events: &[Event], revision: Revision) -> Result<(), RegistryError> {
        let served = self.served();
        let next = served.with_definitions(self.definitions_after(&served, events).into_values());
        let mut filled = Vec::new();
        for cache in &next.empty {
            filled.push(self.stored_at(cache, revision).await?);
        }
        let now = self.clock.now();
        let mut changed = BTreeMap::new();
        {
            let _applying = self.applying.write().unwrap_or_else(PoisonError::into_inner);
            for (cache, loaded) in next.empty.iter().zip(filled) {
                cache.replace(loaded, revision);
            }
            self.install(next);
            self.apply(&served, events, now, &mut changed);
            self.advance(revision);
        }
        tell(&served, changed);
        Ok(())
    }

    /// The objects of a resource at a revision that the store has.
    async fn stored_at(&self, cache: &ResourceCache, revision: Revision) -> Result<Loaded, RegistryError> {
        let prefix = cache.kind.storage.as_ref().map_or("", |storage| &storage.prefix);
        let request = RangeRequest::prefix(prefix.to_owned().into_bytes()).at(revision);
        let mut loaded = Loaded::default();
        for entry in self.store.range(request).await?.items {
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            let item = Item::opened(&cache.kind, &self.encryption, &entry);
            if let Err(error) = loaded.take(&key[prefix.len()..], entry.mod_revision, item) {
                tracing::error!(key, %error, "stored object cannot be read; it is not served");
            }
        }
        Ok(loaded)
    }

    /// Tries again to read those objects of a resource that could not be decrypted.
    pub async fn reopen(&self, cache: &ResourceCache) -> Result<(), RegistryError> {
        let reached = self.reached();
        let loaded = self.stored_at(cache, reached).await?;
        let _applying = self.applying.write().unwrap_or_else(PoisonError::into_inner);
        cache.heal(loaded, self.reached());
        Ok(())
    }

    /// Follows the store until it fails. Where history is missing, everything is loaded anew.
    pub async fn follow(&self) -> Result<(), RegistryError> {
        while self.follow_history().await? {
            self.load().await?;
        }
        Ok(())
    }

    /// Follows the store from where the caches are; true when the history after that is gone.
    async fn follow_history(&self) -> Result<bool, RegistryError> {
        let from = *self.progress.borrow() + 1;
        let request = WatchRequest::prefix(ROOT).from_revision(from).with_progress();
        let batches = match self.store.watch(request).await {
            Err(StoreError::Compacted { .. }) => return Ok(true),
            other => other?,
        };
        let mut batches = batches.ready_chunks(AT_ONCE);
        while let Some(ready) = batches.next().await {
            match self.take_in(ready).await? {
                Ok(()) => {}
                Err(error @ (StoreError::Unavailable(..) | StoreError::Corrupt(_))) => return Err(error.into()),
                // Compacted, or this watcher was too slow for the history that is kept for watchers.
                Err(error) => {
                    tracing::info!(%error, "caches are loaded anew");
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Takes in what is there at once; the inner error is the store's.
    async fn take_in(
        &self,
        ready: Vec<Result<WatchBatch, StoreError>>,
    ) -> Result<Result<(), StoreError>, RegistryError> {
        let mut together = Vec::new();
        let mut reached = None;
        let mut outcome = Ok(());
        for batch in ready {
            match batch {
                Ok(WatchBatch::Events { revision, events }) => {
                    if events.iter().any(is_definition) {
                        self.apply_all(&std::mem::take(&mut together), reached.take());
                        self.redefine(&events, revision).await?;
                    } else {
                        together.extend(events);
                        reached = Some(revision);
                    }
                }
                Ok(WatchBatch::Progress { revision }) => reached = Some(revision),
                Err(error) => outcome = Err(error),
            }
        }
        self.apply_all(&together, reached);
        Ok(outcome)
    }

    /// The definitions by key, as they are when these events have happened.
    fn definitions_after(&self, served: &Served, events: &[Event]) -> BTreeMap<String, Object> {
        let mut definitions = served.definitions();
        let Some(cache) = served.by_prefix(DEFINITIONS) else {
            return definitions;
        };
        for event in events.iter().filter(|event| is_definition(event)) {
            let key = String::from_utf8_lossy(&event.item.key[DEFINITIONS.len()..]).into_owned();
            match event.kind {
                EventKind::Delete => {
                    definitions.remove(&key);
                }
                // One that cannot be read is reported when the event is applied.
                EventKind::Put => {
                    if let Ok(item) = Item::opened(&cache.kind, &self.encryption, &event.item) {
                        definitions.insert(key, item.object());
                    }
                }
            }
        }
        definitions
    }

    /// Applies events and says that a revision is reached, as one step; then tells the watchers, once for all.
    fn apply_all(&self, events: &[Event], reached: Option<Revision>) {
        let (now, served) = (self.clock.now(), self.served());
        let mut changed = BTreeMap::new();
        {
            let _applying = self.applying.write().unwrap_or_else(PoisonError::into_inner);
            self.apply(&served, events, now, &mut changed);
            self.advance(reached.unwrap_or(0));
        }
        tell(&served, changed);
    }

    fn advance(&self, reached: Revision) {
        self.progress.send_if_modified(|progress| {
            let further = *progress < reached;
            *progress = reached.max(*progress);
            further
        });
    }

    /// Applies events; `changed` gets the last revision of each resource that they are of.
    fn apply(&self, served: &Served, events: &[Event], now: jiff::Timestamp, changed: &mut BTreeMap<usize, Revision>) {
        for event in events {
            let Ok(key) = std::str::from_utf8(&event.item.key) else {
                continue;
            };
            let Some((index, rest)) = served.locate(key) else {
                continue;
            };
            let cache = &served.resources()[index].1;
            match event.kind {
                EventKind::Delete => cache.delete(rest, event.item.mod_revision, now),
                EventKind::Put => match self.item(cache, event) {
                    Ok(item) => cache.put(rest, Arc::new(item), now),
                    Err(error @ Unreadable::Transform(..)) => {
                        cache.spoil(rest, event.item.mod_revision, error.to_string());
                    }
                    Err(error) => tracing::error!(key, %error, "stored object cannot be read; it is not served"),
                },
            }
            changed.insert(index, event.item.mod_revision);
        }
    }

    fn item(&self, cache: &ResourceCache, event: &Event) -> Result<Item, Unreadable> {
        let known = self
            .expected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&event.item.key);
        match known {
            Some(known) if known.stored == event.item.value => {
                let item = Item::assemble(known.extract, &known.value, event.item.mod_revision);
                Ok(item.sealed_by(Some(known.chain)))
            }
            _ => Item::opened(&cache.kind, &self.encryption, &event.item),
        }
    }

    /// Tells the feed what a value that is about to be written holds.
    pub fn expect(&self, key: &Bytes, known: Known) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.insert(key.clone(), known);
    }

    /// Takes back [`Caches::expect`] after a write that did not happen.
    pub fn forget(&self, key: &Bytes) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// How far the caches have come.
    pub fn reached(&self) -> Revision {
        *self.progress.borrow()
    }

    /// Reads at one revision: nothing is applied while `read` runs.
    pub fn snapshot<T>(&self, read: impl FnOnce(Revision) -> T) -> T {
        let _applying = self.applying.read().unwrap_or_else(PoisonError::into_inner);
        read(self.reached())
    }

    /// Waits until the caches have seen a revision.
    pub async fn reach(&self, wanted: Revision) -> Result<(), NotReached> {
        if self.reached() >= wanted {
            return Ok(());
        }
        let mut progress = self.progress.subscribe();
        match tokio::time::timeout(WAIT_LIMIT, progress.wait_for(|reached| *reached >= wanted)).await {
            Ok(Ok(_reached)) => Ok(()),
            // Too late, or the registry is closing: either way the revision has not come.
            _ => Err(NotReached {
                wanted,
                current: self.reached(),
            }),
        }
    }
}

fn is_definition(event: &Event) -> bool {
    event.item.key.starts_with(DEFINITIONS.as_bytes())
}

/// Wakes the watchers of what has changed.
fn tell(served: &Served, changed: BTreeMap<usize, Revision>) {
    for (index, revision) in changed {
        served.resources()[index].1.tell(revision);
    }
}
