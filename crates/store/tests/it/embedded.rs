//! What the embedded engine promises beyond the contract: files, restarts, closing.

use std::time::Duration;

use futures::StreamExt;
use jiff::SignedDuration;
use store::{RangeRequest, Store, StoreError, Transaction, WatchRequest, Write};
use supervision::{Supervisor, wait_until};

use crate::Bench;
use crate::contract::{Subject, events};

fn subject(bench: &Bench) -> Subject {
    Subject {
        store: bench.store.clone(),
        clock: bench.clock.clone(),
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let bench = Bench::new();
    let s = subject(&bench);
    s.put("a", "1").await;
    s.put("a", "2").await;
    s.put("b", "1").await;
    s.delete("b").await;
    s.store.compact(3).await.unwrap();
    drop(s);
    let bench = bench.reopen().await;
    let s = subject(&bench);
    assert_eq!(s.store.revision().await.unwrap(), 5);
    assert_eq!(s.store.compacted().await.unwrap(), 3);
    assert_eq!(s.list("", 4).await, ["a=2", "b=1"]);
    let mut watch = s.store.watch(WatchRequest::prefix("").from_revision(4)).await.unwrap();
    assert_eq!(s.put("a", "3").await, 6);
    assert_eq!(events(&mut watch, 3).await, ["4 b ->1", "5 b 1>-", "6 a 2>3"]);
}

#[tokio::test]
async fn a_lease_has_its_full_time_again_after_a_restart() {
    let bench = Bench::new();
    let lease = bench.store.grant(Duration::from_secs(10)).await.unwrap();
    let writes = vec![Write::Put {
        key: "a".into(),
        value: "1".into(),
        lease: Some(lease),
    }];
    bench
        .store
        .commit(Transaction { expect: vec![], writes })
        .await
        .unwrap();
    let bench = bench.reopen().await;
    bench.clock.advance(SignedDuration::from_secs(9));
    assert_eq!(bench.store.keep_alive(lease).await.unwrap(), Duration::from_secs(10));
    let next = bench.store.grant(Duration::from_secs(10)).await.unwrap();
    assert!(next > lease, "{next} was given out before");
    bench.clock.advance(SignedDuration::from_secs(11));
    let s = subject(&bench);
    wait_until("the key's end", Duration::from_secs(120), || async {
        let left = s.list("", 0).await;
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_second_open_is_refused_by_name() {
    let bench = Bench::new();
    let error = store::open(bench.dir.path(), store::Options::default(), &Supervisor::new("second"))
        .err()
        .unwrap();
    assert!(
        error.to_string().ends_with("store.redb is open in another process"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_a_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("store.redb"), "not a database at all").unwrap();
    let error = store::open(dir.path(), store::Options::default(), &Supervisor::new("test"))
        .err()
        .unwrap();
    assert!(error.to_string().contains("cannot open"), "{error}");
    std::fs::remove_file(dir.path().join("store.redb")).unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = store::open(
        &dir.path().join("file"),
        store::Options::default(),
        &Supervisor::new("test"),
    )
    .err()
    .unwrap();
    assert!(error.to_string().contains("cannot make directory"), "{error}");
}

#[tokio::test]
async fn a_closed_store_ends_its_watches_and_refuses_writes() {
    let bench = Bench::new();
    let mut watch = bench.store.watch(WatchRequest::prefix("")).await.unwrap();
    assert!(bench.supervisor.drain(Duration::from_secs(120)).await.is_clean());
    let ended = watch.next().await.unwrap().unwrap_err();
    assert!(matches!(ended, StoreError::Unavailable(..)), "{ended}");
    assert!(watch.next().await.is_none());
    let refused = bench.store.commit(Transaction::put("a", "1")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(..)), "{refused}");
    assert_eq!(bench.store.range(RangeRequest::prefix("")).await.unwrap().count, 0);
}

#[tokio::test]
async fn a_store_that_is_dropped_can_be_opened_again() {
    let bench = Bench::new();
    subject(&bench).put("a", "1").await;
    let Bench {
        store, supervisor, dir, ..
    } = bench;
    drop(store);
    wait_until("the store task's end", Duration::from_secs(120), || async {
        let names = supervisor.task_names();
        if names.is_empty() {
            Ok(())
        } else {
            Err(names.join(", "))
        }
    })
    .await
    .unwrap();
    let bench = Bench::in_dir(dir, |_| {});
    assert_eq!(subject(&bench).list("", 0).await, ["a=1"]);
}

#[tokio::test]
async fn compaction_gives_space_back() {
    let bench = Bench::new();
    let s = subject(&bench);
    let value = "x".repeat(10_000);
    for _ in 0..3 {
        for _ in 0..10 {
            futures::future::join_all((0..20).map(|n| s.commit(Transaction::put(format!("k{n}"), value.clone()))))
                .await;
        }
        s.store.compact(s.store.revision().await.unwrap()).await.unwrap();
        // The removal goes on behind the answer; a write after it comes after a piece of it.
        for _ in 0..5 {
            s.put("tick", "1").await;
        }
    }
    // 600 puts of 10 kB were made; what is left is 20 of them and what was needed at once.
    let size = s.store.size().await.unwrap();
    assert!(size < 6_000_000, "{size} bytes");
}

#[tokio::test]
async fn a_long_list_is_read_without_holding_up_other_tasks() {
    let bench = Bench::new();
    let s = subject(&bench);
    let write = |n: usize| Write::Put {
        key: format!("k{n:05}").into(),
        value: "v".into(),
        lease: None,
    };
    s.commit(Transaction {
        expect: vec![],
        writes: (0..3000).map(write).collect(),
    })
    .await;
    let response = bench.store.range(RangeRequest::prefix("k").limit(10)).await.unwrap();
    assert_eq!((response.items.len(), response.count), (10, 3000));
    assert_eq!(
        bench.store.range(RangeRequest::prefix("k")).await.unwrap().items.len(),
        3000
    );
}

#[tokio::test(start_paused = true)]
async fn history_is_compacted_one_period_after_the_next() {
    let bench = Bench::new();
    let s = subject(&bench);
    let every = Duration::from_secs(300);
    let keeping = bench.supervisor.spawn("upkeep", {
        let store = bench.store.clone();
        async move {
            let ended = store::keep_compacted(store, every).await;
            assert!(ended.is_err(), "only a closed store ends it");
        }
    });
    let last = s.put("a", "1").await;
    s.put("a", "2").await;
    let recent = s.put("a", "3").await;
    let compacted_to = async |wanted| {
        wait_until("compaction", every * 4, || async {
            let compacted = s.store.compacted().await.unwrap();
            if compacted == wanted {
                Ok(())
            } else {
                Err(compacted.to_string())
            }
        })
        .await
        .unwrap();
    };
    compacted_to(recent).await;
    assert!(s.store.range(RangeRequest::prefix("").at(last)).await.is_err());
    assert_eq!(s.list("", recent).await, ["a=3"]);
    keeping.abort();
}
