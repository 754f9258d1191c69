//! Random histories on the store and on a model that is too simple to be wrong: both must answer the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt;
use proptest::prelude::*;
use store::{
    Expectation, Outcome, RangeRequest, Revision, Store, StoreError, Transaction, WatchBatch, WatchRequest, Write,
};

use crate::Bench;

/// Key to (value, created, modified, version).
type Keys = BTreeMap<String, (String, Revision, Revision, u64)>;

/// Every revision's keys, whole; the index is the revision.
struct Model {
    history: Vec<Keys>,
    compacted: Revision,
}

/// A key with what to expect of it (if anything) and what to write (`Some(None)` deletes).
type Part = (u8, Option<Expect>, Option<Option<u8>>);

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Part>),
    Compact(u8),
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Expect {
    Newest,
    Absent,
    Stale,
}

impl Model {
    fn new() -> Self {
        Self {
            history: vec![Keys::new(), Keys::new()],
            compacted: 0,
        }
    }

    fn newest(&self) -> Revision {
        (self.history.len() - 1) as Revision
    }

    fn keys(&self) -> &Keys {
        self.history.last().unwrap()
    }

    fn mod_revision(&self, key: &str) -> Revision {
        self.keys().get(key).map_or(0, |(_, _, modified, _)| *modified)
    }

    /// Whether the transaction is carried out.
    fn commit(&mut self, transaction: &Transaction) -> bool {
        let name = |key: &Bytes| String::from_utf8(key.to_vec()).unwrap();
        if transaction
            .expect
            .iter()
            .any(|e| self.mod_revision(&name(&e.key)) != e.mod_revision)
        {
            return false;
        }
        let mut keys = self.keys().clone();
        let revision = self.newest() + 1;
        for write in &transaction.writes {
            let key = name(write.key());
            match write {
                Write::Put { value, .. } => {
                    let (created, version) = keys
                        .get(&key)
                        .map_or((revision, 0), |(_, created, _, v)| (*created, *v));
                    let value = String::from_utf8(value.to_vec()).unwrap();
                    keys.insert(key, (value, created, revision, version + 1));
                }
                Write::Delete { .. } => drop(keys.remove(&key)),
            }
        }
        if keys != *self.keys() {
            self.history.push(keys);
        }
        true
    }

    fn transaction(&self, parts: &[Part]) -> Transaction {
        let mut transaction = Transaction::default();
        for (key, expect, write) in parts {
            let key = format!("k{key}");
            let bytes = Bytes::from(key.clone());
            if let Some(expect) = expect {
                let mod_revision = match expect {
                    Expect::Newest => self.mod_revision(&key),
                    Expect::Absent => 0,
                    Expect::Stale => self.mod_revision(&key).saturating_sub(1),
                };
                transaction.expect.push(Expectation {
                    key: bytes.clone(),
                    mod_revision,
                });
            }
            transaction.writes.extend(write.map(|value| match value {
                Some(value) => Write::Put {
                    key: bytes,
                    value: value.to_string().into(),
                    lease: None,
                },
                None => Write::Delete { key: bytes },
            }));
        }
        transaction
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expect = prop_oneof![Just(Expect::Newest), Just(Expect::Absent), Just(Expect::Stale)];
    let part = (
        0_u8..6,
        prop::option::weighted(0.3, expect),
        prop::option::weighted(0.9, prop::option::weighted(0.7, any::<u8>())),
    );
    let parts = prop::collection::vec(part, 1..4).prop_map(|mut parts| {
        parts.sort_by_key(|(key, ..)| *key);
        parts.dedup_by_key(|(key, ..)| *key);
        parts
    });
    let step = prop_oneof![12 => parts.prop_map(Step::Commit), 1 => any::<u8>().prop_map(Step::Compact), 1 => Just(Step::Reopen)];
    prop::collection::vec(step, 1..60)
}

async fn agree(store: &dyn Store, model: &Model) {
    assert_eq!(store.revision().await.unwrap(), model.newest());
    for revision in 1..=model.newest() {
        let read = store.range(RangeRequest::prefix("k").at(revision)).await;
        if revision < model.compacted {
            let error = read.unwrap_err();
            assert!(matches!(error, StoreError::Compacted { .. }), "{error}");
            continue;
        }
        let found: Keys = read
            .unwrap()
            .items
            .into_iter()
            .map(|item| {
                let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                (
                    text(item.key),
                    (text(item.value), item.create_revision, item.mod_revision, item.version),
                )
            })
            .collect();
        assert_eq!(found, model.history[revision as usize], "revision {revision}");
    }
}

/// Replays a watch onto the keys before it: it must give every later revision's keys.
async fn replay(store: &dyn Store, model: &Model) {
    let from = model.compacted.max(1) + 1;
    let mut keys = model.history[from as usize - 1].clone();
    let mut watch = store.watch(WatchRequest::prefix("").from_revision(from)).await.unwrap();
    for expected in from..=model.newest() {
        let Some(Ok(WatchBatch::Events { revision, events })) = watch.next().await else {
            panic!("no batch")
        };
        assert_eq!(revision, expected);
        for event in events {
            let key = String::from_utf8(event.item.key.to_vec()).unwrap();
            let before = keys.get(&key).map(|(value, ..)| value.clone());
            // The state before may be compacted, then it is unknown; otherwise it must be right.
            if let Some(previous) = event.previous {
                assert_eq!(before.as_deref(), std::str::from_utf8(&previous.value).ok());
            }
            if event.kind == store::EventKind::Put {
                let item = event.item;
                let value = String::from_utf8(item.value.to_vec()).unwrap();
                keys.insert(key, (value, item.create_revision, item.mod_revision, item.version));
            } else {
                keys.remove(&key);
            }
        }
        assert_eq!(keys, model.history[expected as usize], "after revision {expected}");
    }
}

async fn run(steps: Vec<Step>) {
    let mut bench = Bench::with(|options| options.recent_bytes = 2000);
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Commit(parts) => {
                let transaction = model.transaction(&parts);
                let outcome = bench.store.commit(transaction.clone()).await.unwrap();
                let carried_out = model.commit(&transaction);
                assert_eq!(
                    matches!(outcome, Outcome::Committed { .. }),
                    carried_out,
                    "{transaction:?}"
                );
            }
            Step::Compact(share) => {
                let revision = model.newest() * u64::from(share) / 255;
                if bench.store.compact(revision).await.is_ok() {
                    model.compacted = revision;
                }
            }
            Step::Reopen => bench = bench.reopen().await,
        }
    }
    agree(bench.store.as_ref(), &model).await;
    replay(bench.store.as_ref(), &model).await;
    bench = bench.reopen().await;
    agree(bench.store.as_ref(), &model).await;
    replay(bench.store.as_ref(), &model).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_behaves_as_the_model(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
