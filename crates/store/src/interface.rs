//! What a store is: requests, answers, errors and the trait that every engine implements.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;

/// A point in the store's history. Every transaction that writes gets the next one; the first write gets 2, as in
/// etcd, where an empty store is at revision 1.
pub type Revision = u64;

/// Names a lease. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A key's value at some revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value; empty when only keys were asked for, and for deletions.
    pub value: Bytes,
    /// The revision that created the key (since its last deletion). 0 for deletions.
    pub create_revision: Revision,
    /// The revision that wrote this value.
    pub mod_revision: Revision,
    /// How many times the key was written since its creation; 1 for the first. 0 for deletions.
    pub version: u64,
    /// The lease whose end deletes the key.
    pub lease: Option<LeaseId>,
}

/// A read of one key or of a range of keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeRequest {
    /// The first key.
    pub start: Bytes,
    /// The key before which to stop; empty means no end. `None` reads exactly the key `start`.
    pub end: Option<Bytes>,
    /// At most so many items.
    pub limit: Option<usize>,
    /// Read as of this revision; `None` reads the newest.
    pub revision: Option<Revision>,
    /// Leave the values out.
    pub keys_only: bool,
}

impl RangeRequest {
    /// Reads exactly `key`.
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self {
            start: key.into(),
            ..Self::default()
        }
    }

    /// Reads every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let end = Some(prefix_end(&start));
        Self {
            start,
            end,
            ..Self::default()
        }
    }

    /// The same read with at most `limit` items.
    pub fn limit(self, limit: usize) -> Self {
        Self {
            limit: Some(limit),
            ..self
        }
    }

    /// The same read as of `revision`.
    pub fn at(self, revision: Revision) -> Self {
        Self {
            revision: Some(revision),
            ..self
        }
    }
}

/// The first key after every key that begins with `prefix`; empty (no end) if there is none, as for an empty prefix.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let significant = prefix
        .iter()
        .rposition(|byte| *byte != u8::MAX)
        .map_or(0, |last| last + 1);
    let mut end = prefix[..significant].to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Bytes::from(end)
}

/// The answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeResponse {
    /// The store's revision when it was read, whatever revision was asked for.
    pub revision: Revision,
    /// The items in the order of their keys.
    pub items: Vec<KeyValue>,
    /// Whether the limit cut items off.
    pub more: bool,
    /// How many items there are without the limit.
    pub count: u64,
}

/// What a key must be for a transaction to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The key.
    pub key: Bytes,
    /// The revision that must have written it; 0 = the key must not exist.
    pub mod_revision: Revision,
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put {
        /// The key.
        key: Bytes,
        /// Its value.
        value: Bytes,
        /// The lease that it is bound to from now on; it leaves any lease it had.
        lease: Option<LeaseId>,
    },
    /// Removes a key. Removing what is not there is not an error and by itself makes no revision.
    Delete {
        /// The key.
        key: Bytes,
    },
}

impl Write {
    /// The key that is written.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Writes that happen together, at one revision, if all expectations hold, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// What must hold.
    pub expect: Vec<Expectation>,
    /// What to write; no key may appear twice.
    pub writes: Vec<Write>,
}

impl Transaction {
    /// Sets `key` if it is still as `mod_revision` wrote it (0 = absent).
    pub fn put_if(key: impl Into<Bytes>, mod_revision: Revision, value: impl Into<Bytes>) -> Self {
        let key = key.into();
        let expect = vec![Expectation {
            key: key.clone(),
            mod_revision,
        }];
        Self {
            expect,
            writes: vec![Write::Put {
                key,
                value: value.into(),
                lease: None,
            }],
        }
    }

    /// Sets `key` whatever it is.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        let put = Write::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        };
        Self {
            expect: Vec::new(),
            writes: vec![put],
        }
    }

    /// Removes `key` if it is still as `mod_revision` wrote it.
    pub fn delete_if(key: impl Into<Bytes>, mod_revision: Revision) -> Self {
        let key = key.into();
        Self {
            expect: vec![Expectation {
                key: key.clone(),
                mod_revision,
            }],
            writes: vec![Write::Delete { key }],
        }
    }

    /// Removes `key` whatever it is.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self {
            expect: Vec::new(),
            writes: vec![Write::Delete { key: key.into() }],
        }
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All expectations held and the writes are durable.
    Committed {
        /// The revision of the writes; the store's revision if nothing was written (only absent keys were removed).
        revision: Revision,
    },
    /// An expectation did not hold and nothing was written.
    Refused {
        /// The store's revision when it was refused.
        revision: Revision,
        /// What each expectation's key is at that revision, in the order of the expectations.
        current: Vec<Option<KeyValue>>,
    },
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was created or changed.
    Put,
    /// It was removed.
    Delete,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The key as it is now; for a deletion only `key` and `mod_revision` (the deletion's) are set.
    pub item: KeyValue,
    /// The key as it was before; `None` for a creation, or if that state is compacted.
    pub previous: Option<KeyValue>,
}

/// A request to be told of changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchRequest {
    /// The first key.
    pub start: Bytes,
    /// The key before which to stop; empty means no end. `None` watches exactly the key `start`.
    pub end: Option<Bytes>,
    /// The first revision wanted; `None` = only what comes after now. A revision in the future is waited for.
    pub from: Option<Revision>,
    /// Also report how far the watch has come while nothing in its range changes.
    pub progress: bool,
}

impl WatchRequest {
    /// Watches every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let end = Some(prefix_end(&start));
        Self {
            start,
            end,
            ..Self::default()
        }
    }

    /// The same watch beginning with the events of `revision`.
    pub fn from_revision(self, revision: Revision) -> Self {
        Self {
            from: Some(revision),
            ..self
        }
    }

    /// The same watch with progress reports.
    pub fn with_progress(self) -> Self {
        Self { progress: true, ..self }
    }
}

/// One piece of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchBatch {
    /// The events of one transaction that fall into the watched range, in the order of its writes.
    Events {
        /// The transaction's revision.
        revision: Revision,
        /// At least one event.
        events: Vec<Event>,
    },
    /// All events up to and including `revision` have been delivered.
    Progress {
        /// How far the watch has come.
        revision: Revision,
    },
}

/// The events of a watch, in the order of revisions, without gaps. Ends after an error: a watcher so slow that the
/// events it needs next are compacted is cut off with `Compacted` and must list again; nothing is ever skipped.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchBatch, StoreError>> + Send>>;

/// What can go wrong. Only `Unavailable` is worth trying again as it is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The revision's history is gone.
    #[error("revision {requested} is compacted, the oldest kept is {oldest}")]
    Compacted {
        /// The revision asked for.
        requested: Revision,
        /// The oldest revision that can be read or watched from.
        oldest: Revision,
    },
    /// The revision has not happened.
    #[error("revision {requested} is in the future, the store is at {current}")]
    Future {
        /// The revision asked for.
        requested: Revision,
        /// The store's revision.
        current: Revision,
    },
    /// There is no such lease, or it has ended.
    #[error("lease {0} not found")]
    LeaseNotFound(LeaseId),
    /// A request that no store could carry out.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// The value or key is larger than the store takes.
    #[error("{size} bytes are more than the {limit} that one transaction may write")]
    TooLarge {
        /// Bytes of all keys and values of the transaction.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The store cannot answer now: it is shutting down, or its disk or peer fails.
    #[error("store unavailable: {0}")]
    Unavailable(String, #[source] Option<Arc<dyn std::error::Error + Send + Sync>>),
    /// What is on disk is not what was written.
    #[error("store corrupt: {0}")]
    Corrupt(String),
}

/// A revisioned key-value store. All reads are linearizable: they see every write acknowledged before them.
pub trait Store: Send + Sync {
    /// Reads keys.
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>>;

    /// Writes, if the expectations hold. When this returns `Committed` the writes survive any crash.
    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Outcome, StoreError>>;

    /// Reports changes from a revision on. The error `Compacted` comes from the call if it is known at once, else as
    /// the stream's last item.
    fn watch(&self, request: WatchRequest) -> BoxFuture<'_, Result<WatchStream, StoreError>>;

    /// Forgets the history before `revision`: `revision` itself stays readable, what came before does not. As in
    /// etcd, compacting to a revision already compacted is `Compacted`, to a future one `Future`.
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Makes a lease that ends after `ttl` (whole seconds, at least one) unless it is kept alive.
    fn grant(&self, ttl: Duration) -> BoxFuture<'_, Result<LeaseId, StoreError>>;

    /// Starts the lease's time again and returns it.
    fn keep_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, StoreError>>;

    /// Ends a lease now: its keys are deleted, in one revision.
    fn revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The newest revision.
    fn revision(&self) -> BoxFuture<'_, Result<Revision, StoreError>>;

    /// The oldest revision that can be read; 0 if nothing was ever compacted.
    fn compacted(&self) -> BoxFuture<'_, Result<Revision, StoreError>>;

    /// Bytes on disk.
    fn size(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"a", b"b"),
            (b"/pods/", b"/pods0"),
            (b"", b""),
            (b"a\xff", b"b"),
            (b"\xff\xff", b""),
            (b"a\xffb", b"a\xffc"),
        ];
        for (prefix, end) in cases {
            assert_eq!(prefix_end(prefix), end, "{prefix:?}");
        }
    }
}
