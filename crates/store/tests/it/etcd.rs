//! The engine on etcd, against the real etcd that Debian packages.

mod access;
mod server;
mod upkeep;

use std::time::Duration;

use futures::StreamExt;
use store::{EtcdLocation, RangeRequest, StoreError, Transaction, WatchBatch, WatchRequest, Write, open_etcd};
use supervision::wait_until;

use self::server::{Etcd, program};
use crate::contract::{BY_CLOCK, checks, events};

const LIMIT: Duration = Duration::from_secs(120);
/// How many servers run at once while the contract is checked.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_keeps_the_contract() {
    if program().is_none() {
        return;
    }
    let others = ["the_compacted_revision_itself_can_be_watched"];
    let checks = checks()
        .into_iter()
        .filter(|(name, _)| !BY_CLOCK.contains(name) && !others.contains(name));
    futures::stream::iter(checks)
        .for_each_concurrent(AT_ONCE, async |(name, check)| {
            let etcd = Etcd::start().await;
            println!("{name}");
            check(etcd.store("").await).await;
        })
        .await;
}

#[tokio::test]
async fn stores_of_one_etcd_see_their_own_keys_and_every_revision() {
    if program().is_none() {
        return;
    }
    let etcd = Etcd::start().await;
    let (one, other) = (etcd.store("/one").await, etcd.store("/other").await);
    assert_eq!(one.put("/a", "1").await, 2);
    let watched = WatchRequest::prefix("/").from_revision(2).with_progress();
    let mut watch = one.store.watch(watched).await.unwrap();
    assert_eq!(other.put("/a", "2").await, 3);
    assert_eq!(other.put("/b", "2").await, 4);
    assert_eq!(
        (one.list("", 0).await, other.list("", 0).await),
        (vec!["/a=1".to_owned()], vec!["/a=2".to_owned(), "/b=2".to_owned()])
    );
    assert_eq!(one.store.revision().await.unwrap(), 4);
    assert_eq!(events(&mut watch, 1).await, ["2 /a ->1"]);
    let reached = tokio::time::timeout(LIMIT, async {
        loop {
            if let WatchBatch::Progress { revision: 4 } = watch.next().await.unwrap().unwrap() {
                return;
            }
        }
    });
    reached.await.unwrap();
    assert_eq!(one.put("/c", "1").await, 5);
    assert_eq!(events(&mut watch, 1).await, ["5 /c ->1"]);
}

#[tokio::test]
async fn a_watch_survives_the_restart_of_etcd_without_a_gap() {
    if program().is_none() {
        return;
    }
    let mut etcd = Etcd::start().await;
    let s = etcd.store("/x").await;
    let mut watch = s.store.watch(WatchRequest::prefix("/")).await.unwrap();
    s.put("/a", "1").await;
    assert_eq!(events(&mut watch, 1).await, ["2 /a ->1"]);
    etcd.restart().await;
    let after = etcd.store("/x").await;
    after.put("/a", "2").await;
    after.delete("/a").await;
    let seen = tokio::time::timeout(LIMIT, events(&mut watch, 2)).await.unwrap();
    assert_eq!(seen, ["3 /a 1>2", "4 /a 2>-"]);
    // The old connection works again too.
    assert_eq!(s.put("/b", "1").await, 5);
}

#[tokio::test]
async fn a_watch_from_a_compacted_revision_is_told_so() {
    if program().is_none() {
        return;
    }
    let etcd = Etcd::start().await;
    let s = etcd.store("").await;
    s.put("a", "1").await;
    s.put("b", "1").await;
    s.delete("a").await;
    s.store.compact(4).await.unwrap();
    // This etcd has forgotten that `a` was deleted at the revision of the compaction itself.
    let refused = s
        .store
        .watch(WatchRequest::prefix("").from_revision(4))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(
            refused,
            StoreError::Compacted {
                requested: 4,
                oldest: 5
            }
        ),
        "{refused}"
    );
    let mut watch = s.store.watch(WatchRequest::prefix("").from_revision(5)).await.unwrap();
    s.put("b", "2").await;
    assert_eq!(events(&mut watch, 1).await, ["5 b 1>2"]);
}

#[tokio::test]
async fn leases_end_by_etcds_own_time() {
    if program().is_none() {
        return;
    }
    let etcd = Etcd::start().await;
    let s = etcd.store("/x").await;
    let lease = s.store.grant(Duration::from_secs(1)).await.unwrap();
    let write = Write::Put {
        key: "/a".into(),
        value: "1".into(),
        lease: Some(lease),
    };
    let transaction = Transaction {
        expect: vec![],
        writes: vec![write],
    };
    s.commit(transaction).await;
    wait_until("the key's end", LIMIT, || async {
        match s.get("/a").await {
            None => Ok(()),
            Some(item) => Err(format!("{item:?}")),
        }
    })
    .await
    .unwrap();
    let error = s.store.keep_alive(lease).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseNotFound(id) if id == lease), "{error}");
    let long = s.store.grant(Duration::from_secs(600)).await.unwrap();
    assert_eq!(s.store.keep_alive(long).await.unwrap(), Duration::from_secs(600));
}

#[tokio::test]
async fn a_long_range_is_put_together_of_pages_of_one_revision() {
    if program().is_none() {
        return;
    }
    let etcd = Etcd::start().await;
    let s = etcd.store("/x").await;
    for chunk in 0..45 {
        let put = |n: u32| Write::Put {
            key: format!("/k{chunk:02}{n:03}").into(),
            value: "v".into(),
            lease: None,
        };
        let writes = (0..100).map(put).collect();
        s.commit(Transaction { expect: vec![], writes }).await;
    }
    let whole = s.store.range(RangeRequest::prefix("/k")).await.unwrap();
    assert_eq!((whole.items.len(), whole.count, whole.more), (4500, 4500, false));
    let part = s.store.range(RangeRequest::prefix("/k").limit(4100)).await.unwrap();
    assert_eq!((part.items.len(), part.count, part.more), (4100, 4500, true));
    assert!(s.store.size().await.unwrap() > 0);
    let other = etcd.store("/other").await;
    other.put("/k", "v").await;
    store::clear(s.store.as_ref()).await.unwrap();
    assert_eq!((s.list("", 0).await.len(), other.list("", 0).await.len()), (0, 1));
}

#[tokio::test]
async fn an_etcd_that_is_not_there_is_unavailable() {
    let location = EtcdLocation::parse("etcd://127.0.0.1:1").unwrap();
    let refused = open_etcd(&location).await.err().unwrap();
    assert!(matches!(refused, StoreError::Unavailable(..)), "{refused}");
}
