//! Which objects changed since one last asked: each once, however often it changed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube_types::ObjectKey;
use tokio::sync::Notify;

/// Keys that a subscriber has not taken yet.
pub(super) struct Pending {
    keys: Mutex<BTreeSet<ObjectKey>>,
    added: Notify,
}

impl Pending {
    pub(super) fn new(keys: impl IntoIterator<Item = ObjectKey>) -> Self {
        Self {
            keys: Mutex::new(keys.into_iter().collect()),
            added: Notify::new(),
        }
    }

    pub(super) fn add(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        self.keys().extend(keys);
        self.added.notify_one();
    }

    fn keys(&self) -> MutexGuard<'_, BTreeSet<ObjectKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription to a cache. A reader that is slow is told once of what changed many times; nothing is lost.
pub struct Changes {
    pending: Arc<Pending>,
}

impl Changes {
    pub(super) fn new(pending: Arc<Pending>) -> Self {
        Self { pending }
    }

    /// Waits until something has changed and returns the keys of all that has, in order. The objects may have changed
    /// again or be gone: look them up. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> BTreeSet<ObjectKey> {
        loop {
            let added = self.pending.added.notified();
            let keys = std::mem::take(&mut *self.pending.keys());
            if !keys.is_empty() {
                return keys;
            }
            added.await;
        }
    }
}
