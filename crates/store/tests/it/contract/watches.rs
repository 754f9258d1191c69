//! Watches: from now, from the past, from the future; filters; transactions; progress; compaction.

use std::time::Duration;

use futures::StreamExt;
use store::{StoreError, Transaction, WatchBatch, WatchRequest, Write};

use super::{LIMIT, Subject, bytes, events, list_checks};

list_checks![
    a_watch_from_now_sees_only_what_comes,
    a_watch_from_the_past_sees_history_then_what_comes,
    a_watch_from_the_future_waits_for_it,
    a_watch_sees_only_its_range,
    a_watch_of_one_key_sees_that_key,
    a_transaction_arrives_whole_and_in_its_order,
    a_deletion_carries_its_revision_and_what_was_there,
    compacted_history_cannot_be_watched,
    the_compacted_revision_itself_can_be_watched,
    progress_follows_writes_elsewhere,
    many_watchers_see_every_event_in_order,
    a_watcher_that_sleeps_through_much_misses_nothing,
    a_watcher_that_sleeps_through_compaction_is_told_or_misses_nothing,
];

async fn watch(s: &Subject, request: WatchRequest) -> store::WatchStream {
    s.store.watch(request).await.unwrap()
}

async fn a_watch_from_now_sees_only_what_comes(s: Subject) {
    s.put("a", "1").await;
    let mut watch = watch(&s, WatchRequest::prefix("")).await;
    s.put("a", "2").await;
    s.put("b", "1").await;
    assert_eq!(events(&mut watch, 2).await, ["3 a 1>2", "4 b ->1"]);
}

async fn a_watch_from_the_past_sees_history_then_what_comes(s: Subject) {
    s.put("a", "1").await;
    s.put("a", "2").await;
    s.delete("a").await;
    let mut from_second = watch(&s, WatchRequest::prefix("").from_revision(3)).await;
    let mut from_first = watch(&s, WatchRequest::prefix("").from_revision(1)).await;
    s.put("a", "3").await;
    assert_eq!(events(&mut from_second, 3).await, ["3 a 1>2", "4 a 2>-", "5 a ->3"]);
    assert_eq!(
        events(&mut from_first, 4).await,
        ["2 a ->1", "3 a 1>2", "4 a 2>-", "5 a ->3"]
    );
}

async fn a_watch_from_the_future_waits_for_it(s: Subject) {
    let mut watch = watch(&s, WatchRequest::prefix("").from_revision(4).with_progress()).await;
    for value in ["1", "2", "3", "4"] {
        s.put("a", value).await;
    }
    assert_eq!(events(&mut watch, 2).await, ["4 a 2>3", "5 a 3>4"]);
}

async fn a_watch_sees_only_its_range(s: Subject) {
    let mut live = watch(&s, WatchRequest::prefix("/pods/")).await;
    for key in ["/pod", "/pods/a", "/podsx", "/services/a", "/pods/b"] {
        s.put(key, "1").await;
    }
    let expected = ["3 /pods/a ->1", "6 /pods/b ->1"];
    assert_eq!(events(&mut live, 2).await, expected);
    let mut past = watch(&s, WatchRequest::prefix("/pods/").from_revision(1)).await;
    assert_eq!(events(&mut past, 2).await, expected);
}

async fn a_watch_of_one_key_sees_that_key(s: Subject) {
    let mut watch = watch(
        &s,
        WatchRequest {
            start: bytes("a"),
            ..WatchRequest::default()
        },
    )
    .await;
    s.put("ab", "1").await;
    s.put("a", "1").await;
    assert_eq!(events(&mut watch, 1).await, ["3 a ->1"]);
}

async fn a_transaction_arrives_whole_and_in_its_order(s: Subject) {
    s.put("b", "1").await;
    let mut live = watch(&s, WatchRequest::prefix("")).await;
    let writes = vec![
        Write::Put {
            key: bytes("c"),
            value: bytes("1"),
            lease: None,
        },
        Write::Delete { key: bytes("b") },
        Write::Put {
            key: bytes("a"),
            value: bytes("1"),
            lease: None,
        },
    ];
    s.commit(Transaction { expect: vec![], writes }).await;
    let mut past = watch(&s, WatchRequest::prefix("").from_revision(3)).await;
    for watch in [&mut live, &mut past] {
        let batch = tokio::time::timeout(LIMIT, watch.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let WatchBatch::Events { revision: 3, events } = batch else {
            panic!("{batch:?}")
        };
        assert_eq!(
            events.iter().map(super::line).collect::<Vec<_>>(),
            ["3 c ->1", "3 b 1>-", "3 a ->1"]
        );
    }
}

async fn a_deletion_carries_its_revision_and_what_was_there(s: Subject) {
    s.put("a", "1").await;
    s.delete("a").await;
    let mut watch = watch(&s, WatchRequest::prefix("").from_revision(3)).await;
    let Some(Ok(WatchBatch::Events { events, .. })) = watch.next().await else {
        panic!("no events")
    };
    assert_eq!(
        (
            events[0].item.mod_revision,
            events[0].item.version,
            events[0].item.value.len()
        ),
        (3, 0, 0)
    );
    let previous = events[0].previous.as_ref().unwrap();
    assert_eq!((previous.mod_revision, previous.value.as_ref()), (2, b"1".as_slice()));
}

async fn compacted_history_cannot_be_watched(s: Subject) {
    for value in ["1", "2", "3"] {
        s.put("a", value).await;
    }
    s.store.compact(3).await.unwrap();
    let error = match s.store.watch(WatchRequest::prefix("").from_revision(2)).await {
        Err(error) => error,
        Ok(mut watch) => watch.next().await.unwrap().unwrap_err(),
    };
    assert!(
        matches!(
            error,
            StoreError::Compacted {
                requested: 2,
                oldest: 3
            }
        ),
        "{error}"
    );
}

async fn the_compacted_revision_itself_can_be_watched(s: Subject) {
    s.put("a", "1").await;
    s.put("b", "1").await;
    s.delete("a").await;
    s.put("b", "2").await;
    s.store.compact(4).await.unwrap();
    let mut watch = watch(&s, WatchRequest::prefix("").from_revision(4)).await;
    let lines = events(&mut watch, 2).await;
    assert!(lines[0].starts_with("4 a ") && lines[0].ends_with(">-"), "{lines:?}");
    assert_eq!(lines[1], "5 b 1>2");
}

async fn progress_follows_writes_elsewhere(s: Subject) {
    let mut watch = watch(&s, WatchRequest::prefix("/pods/").with_progress()).await;
    s.put("/services/a", "1").await;
    s.put("/services/b", "1").await;
    let reached = tokio::time::timeout(LIMIT, async {
        loop {
            if let WatchBatch::Progress { revision } = watch.next().await.unwrap().unwrap()
                && revision >= 3
            {
                return revision;
            }
        }
    });
    assert_eq!(reached.await.unwrap(), 3);
    s.put("/pods/a", "1").await;
    assert_eq!(events(&mut watch, 1).await, ["4 /pods/a ->1"]);
}

async fn many_watchers_see_every_event_in_order(s: Subject) {
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(watch(&s, WatchRequest::prefix("k")).await);
    }
    let writes = (0..50).map(|n| s.commit(Transaction::put(format!("k{}", n % 5), "v")));
    futures::future::join_all(writes).await;
    let first = events(&mut watches[0], 50).await;
    let revisions: Vec<u64> = first
        .iter()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(revisions, (2..52).collect::<Vec<_>>());
    for watch in &mut watches[1..] {
        assert_eq!(events(watch, 50).await, first);
    }
}

async fn a_watcher_that_sleeps_through_much_misses_nothing(s: Subject) {
    let mut sleeper = watch(&s, WatchRequest::prefix("k")).await;
    let large = "x".repeat(20_000);
    for _ in 0..20 {
        let writes = (0..20).map(|n| s.commit(Transaction::put(format!("k{n}"), large.clone())));
        futures::future::join_all(writes).await;
        s.put("other", &large).await;
    }
    let lines = tokio::time::timeout(Duration::from_secs(60), events(&mut sleeper, 400))
        .await
        .unwrap();
    let revisions: Vec<u64> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(revisions.is_sorted_by(|a, b| a < b));
    assert_eq!(revisions.last(), Some(&(s.store.revision().await.unwrap() - 1)));
}

async fn a_watcher_that_sleeps_through_compaction_is_told_or_misses_nothing(s: Subject) {
    let mut sleeper = watch(&s, WatchRequest::prefix("k")).await;
    for n in 0..20 {
        s.put("k", &n.to_string()).await;
    }
    s.store.compact(15).await.unwrap();
    match tokio::time::timeout(LIMIT, sleeper.next()).await.unwrap().unwrap() {
        // Still in memory: then it must be the first.
        Ok(WatchBatch::Events { revision, .. }) => assert_eq!(revision, 2),
        Ok(progress) => panic!("{progress:?}"),
        Err(error) => {
            assert!(matches!(error, StoreError::Compacted { oldest: 15, .. }), "{error}");
            assert!(sleeper.next().await.is_none());
        }
    }
}
