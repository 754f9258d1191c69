//! The contract of `Store`, as checks that any engine can be put through.
//!
//! The list follows what upstream's storage tests cover (apiserver, `storage/testing`): revisions, preconditions,
//! ranges at revisions, watches from revisions, compaction and leases.

mod leases;
mod ranges;
mod transactions;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::ManualClock;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use store::{Event, EventKind, KeyValue, Outcome, RangeRequest, Revision, Store, Transaction, WatchBatch, WatchStream};

use crate::Bench;

/// How long to wait for what must happen.
const LIMIT: Duration = Duration::from_secs(120);

/// An engine under test and the clock that its leases follow.
pub struct Subject {
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
}

/// Checks of engines whose leases follow the clock that the test sets.
pub const BY_CLOCK: &[&str] = &[
    "the_end_of_a_lease_deletes_its_keys_and_watchers_hear_of_it",
    "a_lease_kept_alive_keeps_its_keys",
];

type Check = fn(Subject) -> LocalBoxFuture<'static, ()>;

/// Every check, by name. A check gets an empty store.
pub fn checks() -> Vec<(&'static str, Check)> {
    [
        transactions::checks(),
        ranges::checks(),
        watches::checks(),
        leases::checks(),
    ]
    .concat()
}

/// Lists async functions as named checks.
macro_rules! list_checks {
    ($($name:ident),* $(,)?) => {
        pub fn checks() -> Vec<(&'static str, super::Check)> {
            vec![$((stringify!($name), |subject| Box::pin($name(subject)))),*]
        }
    };
}
use list_checks;

#[tokio::test]
async fn the_embedded_engine_keeps_the_contract() {
    for (name, check) in checks() {
        println!("{name}");
        let Bench {
            store,
            clock,
            supervisor: _supervisor,
            dir: _dir,
        } = Bench::new();
        check(Subject { store, clock }).await;
    }
}

#[tokio::test]
async fn the_embedded_engine_keeps_the_contract_with_almost_no_memory() {
    for (name, check) in checks() {
        println!("{name}");
        let Bench {
            store,
            clock,
            supervisor: _supervisor,
            dir: _dir,
        } = Bench::with(|options| {
            options.recent_bytes = 1;
            options.cache_bytes = 0;
        });
        check(Subject { store, clock }).await;
    }
}

impl Subject {
    /// Sets `key` whatever it is.
    pub async fn put(&self, key: &str, value: &str) -> Revision {
        self.commit(Transaction::put(key.to_owned(), value.to_owned())).await
    }

    pub async fn delete(&self, key: &str) -> Revision {
        self.commit(Transaction::delete(key.to_owned())).await
    }

    pub async fn commit(&self, transaction: Transaction) -> Revision {
        match self.store.commit(transaction).await.unwrap() {
            Outcome::Committed { revision } => revision,
            refused => panic!("not committed: {refused:?}"),
        }
    }

    pub async fn get(&self, key: &str) -> Option<KeyValue> {
        self.store
            .range(RangeRequest::key(key.to_owned()))
            .await
            .unwrap()
            .items
            .pop()
    }

    /// What is under `prefix` at `revision` (newest if 0), as `key=value` in order.
    pub async fn list(&self, prefix: &str, revision: Revision) -> Vec<String> {
        let revision = (revision != 0).then_some(revision);
        let request = RangeRequest {
            revision,
            ..RangeRequest::prefix(prefix.to_owned())
        };
        self.store
            .range(request)
            .await
            .unwrap()
            .items
            .iter()
            .map(text)
            .collect()
    }
}

/// `key=value`.
pub fn text(item: &KeyValue) -> String {
    format!(
        "{}={}",
        String::from_utf8_lossy(&item.key),
        String::from_utf8_lossy(&item.value)
    )
}

/// One line for an event: revision, what happened, the value before and after.
pub fn line(event: &Event) -> String {
    let before = event
        .previous
        .as_ref()
        .map_or("-".to_owned(), |p| String::from_utf8_lossy(&p.value).into_owned());
    let after = match event.kind {
        EventKind::Put => String::from_utf8_lossy(&event.item.value).into_owned(),
        EventKind::Delete => "-".to_owned(),
    };
    format!(
        "{} {} {before}>{after}",
        event.item.mod_revision,
        String::from_utf8_lossy(&event.item.key)
    )
}

/// The next `count` events of a watch, as lines; progress is passed over.
pub async fn events(watch: &mut WatchStream, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        match tokio::time::timeout(LIMIT, watch.next())
            .await
            .expect("an event in time")
            .expect("an open watch")
        {
            Ok(WatchBatch::Events { events, .. }) => lines.extend(events.iter().map(line)),
            Ok(WatchBatch::Progress { .. }) => {}
            Err(error) => panic!("the watch ended: {error}"),
        }
    }
    lines
}

/// A key or value from text.
pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
