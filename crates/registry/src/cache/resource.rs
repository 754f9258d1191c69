//! The objects of one resource and its recent changes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use store::Revision;
use tokio::sync::watch;

use super::{Item, Unreadable};
use crate::kinds::ResourceKind;

/// Changes are kept at least this many …
const FEWEST: usize = 100;
/// … and at most this many, …
const MOST: usize = 20_000;
/// … and between the two as long as they are younger than this: upstream's freshness of its event cache.
const FRESH_SECONDS: i64 = 75;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Put,
    Delete,
}

/// One change.
#[derive(Debug)]
pub(crate) struct Change {
    pub kind: ChangeKind,
    /// The object after the change; for deletions the last state with the deletion's revision.
    pub item: Arc<Item>,
    pub previous: Option<Arc<Item>>,
    at: Timestamp,
}

/// The objects and changes of one resource, in its stored version.
pub(crate) struct ResourceCache {
    pub kind: Arc<ResourceKind>,
    state: RwLock<State>,
    /// Revision of the last change; tells watchers that there is something to read.
    changed: watch::Sender<Revision>,
}

/// An object that is there and cannot be decrypted.
struct Spoilt {
    revision: Revision,
    /// Why it cannot be.
    problem: Box<str>,
}

/// What the store holds of a resource.
#[derive(Default)]
pub(crate) struct Loaded {
    items: BTreeMap<Box<str>, Arc<Item>>,
    unreadable: BTreeMap<Box<str>, Spoilt>,
}

impl Loaded {
    /// Takes in an object. One that cannot be decrypted is remembered; another that cannot be read is the error.
    pub fn take(&mut self, key: &str, revision: Revision, item: Result<Item, Unreadable>) -> Result<(), Unreadable> {
        match item {
            Ok(item) => {
                self.items.insert(key.into(), Arc::new(item));
            }
            Err(error @ Unreadable::Transform(..)) => {
                let problem = error.to_string().into();
                self.unreadable.insert(key.into(), Spoilt { revision, problem });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

struct State {
    /// By `namespace/name` or `name`: the order of the store's keys.
    items: BTreeMap<Box<str>, Arc<Item>>,
    unreadable: BTreeMap<Box<str>, Spoilt>,
    changes: VecDeque<Arc<Change>>,
    /// All changes after this revision are in `changes`.
    complete_after: Revision,
    /// Revision of the last change.
    last: Revision,
    /// The resource is not served any more, or another cache has taken this one's place.
    closed: bool,
}

/// Changes after a revision.
pub(crate) enum Since {
    /// These, possibly none.
    Changes(Vec<Arc<Change>>),
    /// Some are not kept any more.
    TooOld {
        /// The oldest revision that can be continued from.
        oldest: Revision,
    },
}

impl ResourceCache {
    pub fn new(kind: Arc<ResourceKind>) -> Self {
        let state = State {
            items: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            changes: VecDeque::new(),
            complete_after: 0,
            last: 0,
            closed: false,
        };
        Self {
            kind,
            state: RwLock::new(state),
            changed: watch::Sender::new(0),
        }
    }

    /// Replaces everything by what the store holds at a revision. Watchers from before must list again.
    pub fn replace(&self, loaded: Loaded, revision: Revision) {
        let Loaded { items, unreadable } = loaded;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.last = items.values().map(|item| item.revision).max().unwrap_or(0);
        *state = State {
            items,
            unreadable,
            changes: VecDeque::new(),
            complete_after: revision,
            last: state.last,
            closed: false,
        };
        drop(state);
        self.tell(revision);
    }

    /// Ends everything that follows this cache.
    pub fn close(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.send_modify(|_| {});
    }

    /// Whether nothing comes any more.
    pub fn is_closed(&self) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Takes in an object. Watchers are to be told afterwards.
    pub fn put(&self, key: &str, item: Arc<Item>, now: Timestamp) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let previous = state.items.insert(key.into(), item.clone());
        state.unreadable.remove(key);
        state.record(Change {
            kind: ChangeKind::Put,
            item,
            previous,
            at: now,
        });
    }

    /// Takes in a deletion. Watchers are to be told afterwards.
    pub fn delete(&self, key: &str, revision: Revision, now: Timestamp) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.unreadable.remove(key);
        let Some(previous) = state.items.remove(key) else {
            return;
        };
        let item = Arc::new(previous.at_revision(revision));
        state.record(Change {
            kind: ChangeKind::Delete,
            item,
            previous: Some(previous),
            at: now,
        });
    }

    /// Takes in an object that cannot be decrypted. Who follows the resource cannot be told what it is, and must list again.
    pub fn spoil(&self, key: &str, revision: Revision, problem: String) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.items.remove(key);
        let problem = problem.into();
        state.unreadable.insert(key.into(), Spoilt { revision, problem });
        state.changes.clear();
        state.complete_after = revision;
        state.last = revision;
    }

    /// Takes in those of the objects that could not be decrypted and now can, if they are still as they were read.
    pub fn heal(&self, loaded: Loaded, reached: Revision) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (key, item) in loaded.items {
            let spoilt = state.unreadable.get(&key);
            if spoilt.is_some_and(|spoilt| spoilt.revision == item.revision) {
                state.unreadable.remove(&key);
                state.items.insert(key, item);
                // Nobody was told of it.
                state.changes.clear();
                state.complete_after = reached;
            }
        }
    }

    /// Why an object cannot be decrypted, or the first of those below `key` when that is nothing or ends with a slash.
    pub fn unreadable(&self, key: &str) -> Option<Box<str>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let several = key.is_empty() || key.ends_with('/');
        let (found, spoilt) = state
            .unreadable
            .range::<str, _>((Bound::Included(key), Bound::Unbounded))
            .next()?;
        let meant = &**found == key || (several && found.starts_with(key));
        meant.then(|| spoilt.problem.clone())
    }

    /// Wakes the watchers: there are changes up to a revision.
    pub fn tell(&self, revision: Revision) {
        self.changed.send_replace(revision);
    }

    pub fn get(&self, key: &str) -> Option<Arc<Item>> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .items
            .get(key)
            .cloned()
    }

    /// Items whose keys begin with `prefix` (a namespace and a slash, or nothing), after the key `after` if given.
    pub fn select(
        &self,
        prefix: &str,
        after: Option<&str>,
        mut keep: impl FnMut(&Item) -> bool,
        limit: usize,
    ) -> (Vec<Arc<Item>>, usize) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let start: Bound<&str> = match after {
            Some(after) => Bound::Included(after),
            None => Bound::Included(prefix),
        };
        let mut found = Vec::new();
        let mut rest = 0;
        for (key, item) in state.items.range::<str, _>((start, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            if keep(item) {
                if found.len() < limit {
                    found.push(item.clone())
                } else {
                    rest += 1
                }
            }
        }
        (found, rest)
    }

    /// Whether there is an object whose key begins so.
    pub fn has_any(&self, prefix: &str) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut from = state.items.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.next().is_some_and(|(key, _)| key.starts_with(prefix))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.state.read().unwrap_or_else(PoisonError::into_inner).items.len()
    }

    /// Revision of the last change of this resource.
    pub fn last(&self) -> Revision {
        self.state.read().unwrap_or_else(PoisonError::into_inner).last
    }

    /// A receiver that wakes when the resource changes.
    pub fn subscribe(&self) -> watch::Receiver<Revision> {
        self.changed.subscribe()
    }

    /// Changes after a revision, about `limit` of them: those of one revision stay together.
    pub fn since(&self, revision: Revision, limit: usize) -> Since {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if revision < state.complete_after {
            return Since::TooOld {
                oldest: state.complete_after,
            };
        }
        let start = state.changes.partition_point(|change| change.item.revision <= revision);
        let mut changes: Vec<Arc<Change>> = Vec::new();
        for change in state.changes.range(start..) {
            let another = changes
                .last()
                .is_none_or(|last| last.item.revision != change.item.revision);
            if changes.len() >= limit && another {
                break;
            }
            changes.push(change.clone());
        }
        Since::Changes(changes)
    }
}

impl State {
    fn record(&mut self, change: Change) {
        self.last = change.item.revision;
        let now = change.at;
        self.changes.push_back(Arc::new(change));
        while self.changes.len() > FEWEST {
            let Some(oldest) = self.changes.front() else { break };
            let fresh = now.as_second() - oldest.at.as_second() < FRESH_SECONDS;
            if fresh && self.changes.len() <= MOST {
                break;
            }
            self.complete_after = oldest.item.revision;
            self.changes.pop_front();
        }
    }
}
