//! Reads: prefixes, limits, counts, old revisions, compaction.

use bytes::Bytes;
use store::{RangeRequest, StoreError};

use super::{Subject, bytes, list_checks, text};

list_checks![
    a_prefix_reads_its_keys_in_order_and_no_others,
    an_empty_range_still_tells_the_revision_of_the_store,
    a_limit_tells_that_there_is_more_and_how_many_in_all,
    pages_of_one_revision_fit_together_while_others_write,
    keys_only_leaves_values_out,
    an_old_revision_reads_what_was_there_then,
    revisions_in_the_future_are_refused,
    compaction_keeps_what_is_readable_from_its_revision_on,
    compaction_of_what_is_compacted_or_in_the_future_is_refused,
    a_large_history_compacts_and_reads_on,
];

async fn a_prefix_reads_its_keys_in_order_and_no_others(s: Subject) {
    for key in ["/pods/b", "/pods/a", "/podsx", "/pod", "/pods/a/x", "/services/a"] {
        s.put(key, "1").await;
    }
    assert_eq!(s.list("/pods/", 0).await, ["/pods/a=1", "/pods/a/x=1", "/pods/b=1"]);
    let request = RangeRequest {
        start: bytes("/pods/a/"),
        end: Some(Bytes::new()),
        ..RangeRequest::default()
    };
    let rest = s.store.range(request).await.unwrap().items;
    assert_eq!(
        rest.iter().map(text).collect::<Vec<_>>(),
        ["/pods/a/x=1", "/pods/b=1", "/podsx=1", "/services/a=1"]
    );
    let request = RangeRequest {
        start: bytes("b"),
        end: Some(bytes("a")),
        ..RangeRequest::default()
    };
    assert_eq!(s.store.range(request).await.unwrap().count, 0);
    assert_eq!(s.get("/pods/").await, None);
}

async fn an_empty_range_still_tells_the_revision_of_the_store(s: Subject) {
    s.put("a", "1").await;
    s.put("a", "2").await;
    for request in [
        RangeRequest::prefix("/none/"),
        RangeRequest::key("none"),
        RangeRequest::prefix("a").at(2),
    ] {
        assert_eq!(s.store.range(request).await.unwrap().revision, 3);
    }
}

async fn a_limit_tells_that_there_is_more_and_how_many_in_all(s: Subject) {
    for n in 0..5 {
        s.put(&format!("k{n}"), "1").await;
    }
    for (limit, items, more) in [(1, 1, true), (4, 4, true), (5, 5, false), (9, 5, false)] {
        let response = s.store.range(RangeRequest::prefix("k").limit(limit)).await.unwrap();
        assert_eq!(
            (response.items.len(), response.more, response.count),
            (items, more, 5),
            "limit {limit}"
        );
    }
}

async fn pages_of_one_revision_fit_together_while_others_write(s: Subject) {
    for n in 0..10 {
        s.put(&format!("k{n}"), "old").await;
    }
    let mut request = RangeRequest::prefix("k").limit(4);
    let mut seen = Vec::new();
    loop {
        let response = s.store.range(request.clone()).await.unwrap();
        request.revision.get_or_insert(response.revision);
        seen.extend(response.items.iter().map(text));
        let Some(last) = response.items.last().filter(|_| response.more) else {
            break;
        };
        request.start = [last.key.as_ref(), b"\0"].concat().into();
        s.put("k5", "new").await;
        s.delete("k9").await;
        s.put("k55", "new").await;
    }
    assert_eq!(seen, (0..10).map(|n| format!("k{n}=old")).collect::<Vec<_>>());
}

async fn keys_only_leaves_values_out(s: Subject) {
    s.put("a", "1").await;
    let request = RangeRequest {
        keys_only: true,
        ..RangeRequest::prefix("a")
    };
    let items = s.store.range(request).await.unwrap().items;
    assert_eq!((items[0].value.len(), items[0].mod_revision), (0, 2));
}

async fn an_old_revision_reads_what_was_there_then(s: Subject) {
    s.put("a", "1").await;
    s.put("b", "1").await;
    s.put("a", "2").await;
    s.delete("b").await;
    s.put("c", "1").await;
    s.put("b", "3").await;
    let history: [&[&str]; 7] = [
        &[],
        &["a=1"],
        &["a=1", "b=1"],
        &["a=2", "b=1"],
        &["a=2"],
        &["a=2", "c=1"],
        &["a=2", "b=3", "c=1"],
    ];
    for (revision, expected) in (1..).zip(history) {
        assert_eq!(s.list("", revision).await, expected, "revision {revision}");
    }
    let request = RangeRequest::prefix("").at(3).limit(1);
    let response = s.store.range(request).await.unwrap();
    assert_eq!((response.more, response.count, response.revision), (true, 2, 7));
    assert_eq!(
        s.store.range(RangeRequest::key("b").at(4)).await.unwrap().items[0].create_revision,
        3
    );
}

async fn revisions_in_the_future_are_refused(s: Subject) {
    s.put("a", "1").await;
    let error = s.store.range(RangeRequest::key("a").at(3)).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Future {
                requested: 3,
                current: 2
            }
        ),
        "{error}"
    );
}

async fn compaction_keeps_what_is_readable_from_its_revision_on(s: Subject) {
    for value in ["1", "2", "3"] {
        s.put("a", value).await;
    }
    s.put("b", "1").await;
    s.delete("b").await;
    s.put("c", "1").await;
    assert_eq!(s.store.compacted().await.unwrap(), 0);
    s.store.compact(4).await.unwrap();
    assert_eq!(s.store.compacted().await.unwrap(), 4);
    for revision in [1, 2, 3] {
        let error = s.store.range(RangeRequest::prefix("").at(revision)).await.unwrap_err();
        assert!(matches!(error, StoreError::Compacted { oldest: 4, .. }), "{error}");
    }
    let history: [&[&str]; 4] = [&["a=3"], &["a=3", "b=1"], &["a=3"], &["a=3", "c=1"]];
    for (revision, expected) in (4..).zip(history) {
        assert_eq!(s.list("", revision).await, expected, "revision {revision}");
    }
    s.store.compact(7).await.unwrap();
    assert_eq!(s.list("", 7).await, ["a=3", "c=1"]);
    assert_eq!(s.put("a", "4").await, 8);
    assert_eq!(s.get("a").await.unwrap().version, 4);
}

async fn compaction_of_what_is_compacted_or_in_the_future_is_refused(s: Subject) {
    s.put("a", "1").await;
    s.put("a", "2").await;
    s.store.compact(3).await.unwrap();
    for revision in [0, 2, 3] {
        let error = s.store.compact(revision).await.unwrap_err();
        assert!(matches!(error, StoreError::Compacted { oldest: 3, .. }), "{error}");
    }
    let error = s.store.compact(4).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Future {
                requested: 4,
                current: 3
            }
        ),
        "{error}"
    );
}

async fn a_large_history_compacts_and_reads_on(s: Subject) {
    let rounds = 40;
    for round in 0..rounds {
        let writes = (0..30).map(|n| s.commit(store::Transaction::put(format!("k{n:02}"), format!("{round}"))));
        futures::future::join_all(writes).await;
    }
    let newest = s.store.revision().await.unwrap();
    assert_eq!(newest, 1 + 30 * rounds);
    s.store.compact(newest - 45).await.unwrap();
    let before = s.list("", newest - 45).await;
    assert_eq!(before.len(), 30);
    // More compactions while the first one's work may still be going on.
    s.store.compact(newest - 20).await.unwrap();
    s.put("extra", "1").await;
    s.store.compact(newest).await.unwrap();
    assert_eq!(
        s.list("k", newest).await,
        (0..30).map(|n| format!("k{n:02}=39")).collect::<Vec<_>>()
    );
}
