//! An etcd that is compacted, defragmented and restarted while it is in use: nothing that was acknowledged is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::StreamExt;
use store::{EventKind, Outcome, RangeRequest, Store, StoreError, Transaction, WatchBatch, WatchRequest, Write};

use super::LIMIT;
use super::server::{Etcd, program};

/// What writers know of a key: the value that was acknowledged last, and those whose fate is unknown after it.
#[derive(Default)]
struct Known {
    acknowledged: u64,
    possible: Vec<u64>,
}

/// Tells writers when to stop, and how many writes of all of them were acknowledged.
#[derive(Default)]
struct Work {
    stop: AtomicBool,
    acknowledged: AtomicU64,
}

impl Work {
    /// Waits for some more writes.
    async fn goes_on(&self) {
        let wanted = self.acknowledged.load(Ordering::SeqCst) + 100;
        let reached = supervision::wait_until("more writes", LIMIT, || async {
            match self.acknowledged.load(Ordering::SeqCst) {
                enough if enough >= wanted => Ok(()),
                few => Err(format!("{few} of {wanted}")),
            }
        });
        reached.await.unwrap();
    }
}

/// Counts a key up until told to stop. A write that failed may have happened.
async fn count_up(store: Arc<dyn Store>, key: String, work: &Work) -> Known {
    let mut known = Known::default();
    let mut next = 1;
    while !work.stop.load(Ordering::SeqCst) {
        match store.commit(Transaction::put(key.clone(), next.to_string())).await {
            Ok(_committed) => {
                work.acknowledged.fetch_add(1, Ordering::SeqCst);
                known = Known {
                    acknowledged: next,
                    possible: Vec::new(),
                };
            }
            Err(StoreError::Unavailable(..)) => known.possible.push(next),
            Err(error) => panic!("{key}: {error}"),
        }
        next += 1;
    }
    known
}

/// Follows keys until each has got its wanted value; values must only grow and revisions never repeat.
async fn follow(store: &dyn Store, from: u64, wanted: &BTreeMap<String, u64>) {
    let mut watch = store
        .watch(WatchRequest::prefix("/").from_revision(from))
        .await
        .unwrap();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut last = 0;
    let done = |seen: &BTreeMap<String, u64>| {
        wanted
            .iter()
            .all(|(key, value)| seen.get(key).is_some_and(|seen| seen >= value))
    };
    while !done(&seen) {
        let batch = tokio::time::timeout(LIMIT, watch.next())
            .await
            .expect("an event in time");
        if let WatchBatch::Events { revision, events } = batch.unwrap().unwrap() {
            assert!(revision > last, "{revision} after {last}");
            last = revision;
            for event in events.iter().filter(|event| event.kind == EventKind::Put) {
                let key = String::from_utf8_lossy(&event.item.key).into_owned();
                let value = String::from_utf8_lossy(&event.item.value).parse().unwrap_or(0);
                let before = seen.insert(key.clone(), value);
                assert!(
                    before.is_none_or(|before| before < value),
                    "{key}: {value} after {before:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_etcd_is_killed_under_load() {
    if program().is_none() {
        return;
    }
    let mut etcd = Etcd::start().await;
    let s = etcd.store("/x").await;
    let work = Work::default();
    let writers = (0..4).map(|number| count_up(Arc::clone(&s.store), format!("/k{number}"), &work));
    let killing = async {
        for _ in 0..2 {
            work.goes_on().await;
            etcd.restart().await;
        }
        work.goes_on().await;
        work.stop.store(true, Ordering::SeqCst);
    };
    let (known, ()) = futures::join!(futures::future::join_all(writers), killing);
    let mut wanted = BTreeMap::new();
    for (number, known) in known.into_iter().enumerate() {
        assert!(known.acknowledged > 0);
        let key = format!("/k{number}");
        let item = s.get(&key).await.unwrap();
        let found: u64 = String::from_utf8_lossy(&item.value).parse().unwrap();
        assert!(
            found == known.acknowledged || known.possible.contains(&found),
            "{key}: found {found}, acknowledged {}, possible {:?}",
            known.acknowledged,
            known.possible
        );
        wanted.insert(key, known.acknowledged);
    }
    follow(s.store.as_ref(), 2, &wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_compacted_and_defragmented_while_it_is_in_use() {
    const MEBIBYTES: u64 = 96;
    if program().is_none() {
        return;
    }
    let etcd = Etcd::start().await;
    let s = etcd.store("/x").await;
    let mut newest = 0;
    for number in 0..MEBIBYTES {
        newest = s
            .commit(Transaction::put(
                "/large",
                vec![u8::try_from(number % 251).unwrap(); 1 << 20],
            ))
            .await;
    }
    // etcd writes what it has acknowledged into this file a tenth of a second later; until then only its log has it.
    let written = supervision::wait_until("a file with all of it", LIMIT, || async {
        let size = s.store.size().await.map_err(|error| error.to_string())?;
        Some(size)
            .filter(|size| *size > MEBIBYTES << 20)
            .ok_or_else(|| format!("{size} bytes"))
    });
    let before = written.await.unwrap();
    let work = Work::default();
    let store = Arc::clone(&s.store);
    let compacting = async {
        s.store.compact(newest).await.unwrap();
        // etcd frees pages in the background; only a compaction after that finds what is worth giving back.
        let smaller = supervision::wait_until("a smaller file", LIMIT, || async {
            let revision = s.store.revision().await.map_err(|error| error.to_string())?;
            match s.store.compact(revision).await {
                Ok(()) | Err(StoreError::Compacted { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
            let size = s.store.size().await.map_err(|error| error.to_string())?;
            if size < before / 2 {
                Ok(())
            } else {
                Err(format!("{size} of {before} bytes"))
            }
        });
        smaller.await.unwrap();
        work.stop.store(true, Ordering::SeqCst);
    };
    let ((), known) = futures::join!(compacting, count_up(store, "/counter".to_owned(), &work));
    let item = s.get("/counter").await.unwrap();
    let found: u64 = String::from_utf8_lossy(&item.value).parse().unwrap();
    assert!(found == known.acknowledged || known.possible.contains(&found));
    assert_eq!(s.get("/large").await.unwrap().value.len(), 1 << 20);
}

#[tokio::test]
async fn a_paged_read_and_a_compaction_at_the_same_time_give_one_revision_or_say_so() {
    if program().is_none() {
        return;
    }
    let etcd = Etcd::start().await;
    let s = etcd.store("/x").await;
    let fill = async |value: &str| {
        for chunk in 0..45 {
            let put = |n: u32| Write::Put {
                key: format!("/k{chunk:02}{n:03}").into(),
                value: value.to_owned().into(),
                lease: None,
            };
            let writes = (0..100).map(put).collect();
            s.commit(Transaction { expect: vec![], writes }).await;
        }
    };
    fill("a").await;
    let revision = s.store.revision().await.unwrap();
    let reading = async {
        let mut outcomes = [0, 0];
        for _ in 0..20 {
            match s.store.range(RangeRequest::prefix("/k").at(revision)).await {
                Ok(read) => {
                    assert!(read.items.len() == 4500 && read.items.iter().all(|item| item.value == "a"));
                    outcomes[0] += 1;
                }
                Err(StoreError::Compacted { requested, .. }) => {
                    assert_eq!(requested, revision);
                    outcomes[1] += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        outcomes
    };
    let changing = async {
        fill("b").await;
        let newest = s.store.revision().await.unwrap();
        s.store.compact(newest).await.unwrap();
    };
    let (outcomes, ()) = futures::join!(reading, changing);
    assert_eq!(outcomes[0] + outcomes[1], 20);
    let refused = s.store.range(RangeRequest::prefix("/k").at(revision)).await;
    assert!(matches!(refused, Err(StoreError::Compacted { .. })));
    // What was read in pages without a revision is of one revision too.
    let whole = s.store.range(RangeRequest::prefix("/k")).await.unwrap();
    assert!(whole.items.iter().all(|item| item.value == "b"));
    assert!(matches!(
        s.store.commit(Transaction::put("/k", "v")).await.unwrap(),
        Outcome::Committed { .. }
    ));
}
