//! Leases: their end deletes their keys; keeping them alive, revoking, moving keys.

use std::time::Duration;

use jiff::SignedDuration;
use store::{LeaseId, Outcome, StoreError, Transaction, WatchRequest, Write};
use supervision::wait_until;

use super::{LIMIT, Subject, bytes, events, list_checks};

list_checks![
    the_end_of_a_lease_deletes_its_keys_and_watchers_hear_of_it,
    a_lease_kept_alive_keeps_its_keys,
    revoking_deletes_all_keys_in_one_revision,
    a_key_written_again_leaves_its_lease,
    a_lease_that_is_gone_takes_no_keys,
];

async fn put(s: &Subject, key: &str, lease: Option<LeaseId>) -> Result<Outcome, StoreError> {
    let writes = vec![Write::Put {
        key: bytes(key),
        value: bytes("1"),
        lease,
    }];
    s.store.commit(Transaction { expect: vec![], writes }).await
}

async fn until_gone(s: &Subject, key: &str) {
    wait_until("the key's end", LIMIT, || async {
        match s.get(key).await {
            None => Ok(()),
            Some(item) => Err(format!("{item:?}")),
        }
    })
    .await
    .unwrap();
}

async fn the_end_of_a_lease_deletes_its_keys_and_watchers_hear_of_it(s: Subject) {
    let lease = s.store.grant(Duration::from_secs(10)).await.unwrap();
    put(&s, "a", Some(lease)).await.unwrap();
    put(&s, "b", None).await.unwrap();
    assert_eq!(s.get("a").await.unwrap().lease, Some(lease));
    let mut watch = s.store.watch(WatchRequest::prefix("")).await.unwrap();
    s.clock.advance(SignedDuration::from_secs(11));
    assert_eq!(events(&mut watch, 1).await, ["4 a 1>-"]);
    assert_eq!(s.list("", 0).await, ["b=1"]);
}

async fn a_lease_kept_alive_keeps_its_keys(s: Subject) {
    let kept = s.store.grant(Duration::from_secs(10)).await.unwrap();
    let other = s.store.grant(Duration::from_secs(10)).await.unwrap();
    assert_ne!(kept, other);
    put(&s, "a", Some(kept)).await.unwrap();
    put(&s, "b", Some(other)).await.unwrap();
    s.clock.advance(SignedDuration::from_secs(8));
    assert_eq!(s.store.keep_alive(kept).await.unwrap(), Duration::from_secs(10));
    s.clock.advance(SignedDuration::from_secs(4));
    until_gone(&s, "b").await;
    assert!(s.get("a").await.is_some());
    s.clock.advance(SignedDuration::from_secs(7));
    until_gone(&s, "a").await;
    let error = s.store.keep_alive(kept).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseNotFound(id) if id == kept), "{error}");
}

async fn revoking_deletes_all_keys_in_one_revision(s: Subject) {
    let lease = s.store.grant(Duration::from_secs(10)).await.unwrap();
    let next = s.store.grant(Duration::from_secs(10)).await.unwrap();
    for key in ["a", "b", "c"] {
        put(&s, key, Some(lease)).await.unwrap();
    }
    put(&s, "d", Some(next)).await.unwrap();
    s.delete("b").await;
    s.store.revoke(lease).await.unwrap();
    assert_eq!(s.list("", 0).await, ["d=1"]);
    assert_eq!(s.store.revision().await.unwrap(), 7);
    let error = s.store.revoke(lease).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseNotFound(_)), "{error}");
}

async fn a_key_written_again_leaves_its_lease(s: Subject) {
    let first = s.store.grant(Duration::from_secs(10)).await.unwrap();
    let second = s.store.grant(Duration::from_secs(10)).await.unwrap();
    put(&s, "a", Some(first)).await.unwrap();
    put(&s, "b", Some(first)).await.unwrap();
    put(&s, "a", Some(second)).await.unwrap();
    put(&s, "b", None).await.unwrap();
    s.store.revoke(first).await.unwrap();
    assert_eq!(s.list("", 0).await, ["a=1", "b=1"]);
    s.store.revoke(second).await.unwrap();
    assert_eq!(s.list("", 0).await, ["b=1"]);
}

async fn a_lease_that_is_gone_takes_no_keys(s: Subject) {
    let lease = s.store.grant(Duration::from_secs(10)).await.unwrap();
    s.store.revoke(lease).await.unwrap();
    for lease in [lease, LeaseId(999_999)] {
        let error = put(&s, "a", Some(lease)).await.unwrap_err();
        assert!(matches!(error, StoreError::LeaseNotFound(id) if id == lease), "{error}");
    }
    assert_eq!(s.store.revision().await.unwrap(), 1);
}
