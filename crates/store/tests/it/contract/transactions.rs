//! Writes: revisions, expectations, several keys at once, refusals.

use store::{Expectation, Outcome, StoreError, Transaction, Write};

use super::{Subject, bytes, list_checks, text};

list_checks![
    every_write_gets_the_next_revision,
    a_new_key_counts_its_versions_from_its_creation,
    an_expectation_that_fails_writes_nothing_and_shows_what_is_there,
    create_only_if_absent,
    deleting_what_is_absent_makes_no_revision,
    a_transaction_writes_all_its_keys_at_one_revision,
    an_expectation_sees_other_keys,
    a_transaction_may_only_check,
    malformed_transactions_are_invalid,
    a_transaction_that_is_too_large_is_refused,
    binary_keys_and_empty_values_are_kept,
    of_racing_writers_one_wins_each_time,
];

async fn every_write_gets_the_next_revision(s: Subject) {
    assert_eq!(s.store.revision().await.unwrap(), 1);
    assert_eq!(s.put("a", "1").await, 2);
    assert_eq!(s.put("b", "1").await, 3);
    assert_eq!(s.put("a", "2").await, 4);
    assert_eq!(s.delete("b").await, 5);
    assert_eq!(s.store.revision().await.unwrap(), 5);
}

async fn a_new_key_counts_its_versions_from_its_creation(s: Subject) {
    s.put("a", "1").await;
    s.put("a", "2").await;
    let item = s.get("a").await.unwrap();
    assert_eq!((item.create_revision, item.mod_revision, item.version), (2, 3, 2));
    s.delete("a").await;
    assert_eq!(s.get("a").await, None);
    s.put("a", "3").await;
    let item = s.get("a").await.unwrap();
    assert_eq!((item.create_revision, item.mod_revision, item.version), (5, 5, 1));
}

async fn an_expectation_that_fails_writes_nothing_and_shows_what_is_there(s: Subject) {
    s.put("a", "1").await;
    s.put("a", "2").await;
    for transaction in [Transaction::put_if("a", 2, "stale"), Transaction::delete_if("a", 2)] {
        let Outcome::Refused { revision, current } = s.store.commit(transaction).await.unwrap() else {
            panic!("a stale write was carried out");
        };
        assert_eq!(revision, 3);
        assert_eq!(current.iter().flatten().map(text).collect::<Vec<_>>(), ["a=2"]);
    }
    assert_eq!(s.store.revision().await.unwrap(), 3);
    assert_eq!(s.commit(Transaction::put_if("a", 3, "3")).await, 4);
    assert_eq!(s.commit(Transaction::delete_if("a", 4)).await, 5);
}

async fn create_only_if_absent(s: Subject) {
    assert_eq!(s.commit(Transaction::put_if("a", 0, "1")).await, 2);
    let outcome = s.store.commit(Transaction::put_if("a", 0, "2")).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    s.delete("a").await;
    assert_eq!(s.commit(Transaction::put_if("a", 0, "3")).await, 4);
    let outcome = s.store.commit(Transaction::put_if("absent", 2, "1")).await.unwrap();
    assert_eq!(
        outcome,
        Outcome::Refused {
            revision: 4,
            current: vec![None]
        }
    );
}

async fn deleting_what_is_absent_makes_no_revision(s: Subject) {
    s.put("a", "1").await;
    assert_eq!(s.delete("b").await, 2);
    assert_eq!(s.store.revision().await.unwrap(), 2);
}

async fn a_transaction_writes_all_its_keys_at_one_revision(s: Subject) {
    s.put("old", "1").await;
    let put = |key, value| Write::Put {
        key: bytes(key),
        value: bytes(value),
        lease: None,
    };
    let writes = vec![put("a", "1"), put("b", "2"), Write::Delete { key: bytes("old") }];
    assert_eq!(
        s.commit(Transaction {
            expect: Vec::new(),
            writes
        })
        .await,
        3
    );
    assert_eq!(s.list("", 0).await, ["a=1", "b=2"]);
    assert_eq!(s.get("b").await.unwrap().mod_revision, 3);
}

async fn an_expectation_sees_other_keys(s: Subject) {
    s.put("lock", "me").await;
    let expect = |mod_revision| {
        vec![Expectation {
            key: bytes("lock"),
            mod_revision,
        }]
    };
    let writes = vec![Write::Put {
        key: bytes("a"),
        value: bytes("1"),
        lease: None,
    }];
    let outcome = s
        .store
        .commit(Transaction {
            expect: expect(7),
            writes: writes.clone(),
        })
        .await
        .unwrap();
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    s.commit(Transaction {
        expect: expect(2),
        writes,
    })
    .await;
    assert_eq!(s.list("", 0).await, ["a=1", "lock=me"]);
}

async fn a_transaction_may_only_check(s: Subject) {
    s.put("a", "1").await;
    let check = |mod_revision| Transaction {
        expect: vec![Expectation {
            key: bytes("a"),
            mod_revision,
        }],
        writes: vec![],
    };
    assert_eq!(
        s.store.commit(check(2)).await.unwrap(),
        Outcome::Committed { revision: 2 }
    );
    assert!(matches!(
        s.store.commit(check(1)).await.unwrap(),
        Outcome::Refused { revision: 2, .. }
    ));
}

async fn malformed_transactions_are_invalid(s: Subject) {
    let twice = [Transaction::put("a", "1").writes, Transaction::delete("a").writes].concat();
    for writes in [twice, Transaction::put("", "1").writes, Transaction::delete("").writes] {
        let error = s
            .store
            .commit(Transaction { expect: vec![], writes })
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    }
    assert_eq!(s.store.revision().await.unwrap(), 1);
}

async fn a_transaction_that_is_too_large_is_refused(s: Subject) {
    let error = s
        .store
        .commit(Transaction::put("a", vec![0; 16 << 20]))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    assert_eq!(s.store.revision().await.unwrap(), 1);
    s.commit(Transaction::put("a", vec![7; 1 << 20])).await;
    assert_eq!(s.get("a").await.unwrap().value.len(), 1 << 20);
}

async fn binary_keys_and_empty_values_are_kept(s: Subject) {
    s.commit(Transaction::put(vec![0, 255, 0], "")).await;
    s.commit(Transaction::put(vec![255], vec![0, 1])).await;
    let items = s.store.range(store::RangeRequest::prefix("")).await.unwrap().items;
    assert_eq!(
        items.iter().map(|item| item.key.to_vec()).collect::<Vec<_>>(),
        [vec![0, 255, 0], vec![255]]
    );
    assert_eq!(items[0].value, "");
    assert_eq!(items[1].value.as_ref(), [0, 1]);
}

async fn of_racing_writers_one_wins_each_time(s: Subject) {
    s.put("counter", "0").await;
    let increment = async || loop {
        let item = s.get("counter").await.unwrap();
        let next = std::str::from_utf8(&item.value).unwrap().parse::<u32>().unwrap() + 1;
        let write = Transaction::put_if("counter", item.mod_revision, next.to_string());
        if let Outcome::Committed { .. } = s.store.commit(write).await.unwrap() {
            return;
        }
    };
    futures::future::join_all((0..16).map(|_| increment())).await;
    assert_eq!(text(&s.get("counter").await.unwrap()), "counter=16");
    assert_eq!(s.store.revision().await.unwrap(), 18);
}
