//! An etcd that does not let everybody in: TLS with client certificates, users with passwords and roles.

use store::{StoreError, WatchRequest, open_etcd};

use super::server::{Etcd, program};
use crate::contract::events;

/// Users `root` and `ondol` (password `secret`), who may read and write everything, and `half`, who may only use `/half`.
fn make_users(etcd: &Etcd) {
    etcd.post("/v3/auth/role/add", r#"{"name":"root"}"#);
    etcd.post("/v3/auth/role/add", r#"{"name":"everything"}"#);
    // From the zero byte to no end; both in base64.
    let all = r#"{"permType":"READWRITE","key":"AA==","range_end":"AA=="}"#;
    etcd.post(
        "/v3/auth/role/grant",
        &format!(r#"{{"name":"everything","perm":{all}}}"#),
    );
    etcd.post("/v3/auth/role/add", r#"{"name":"half"}"#);
    let half = r#"{"permType":"READWRITE","key":"L2hhbGY=","range_end":"L2hhbGc="}"#;
    etcd.post("/v3/auth/role/grant", &format!(r#"{{"name":"half","perm":{half}}}"#));
    for (user, role) in [("root", "root"), ("ondol", "everything"), ("half", "half")] {
        etcd.post(
            "/v3/auth/user/add",
            &format!(r#"{{"name":"{user}","password":"secret"}}"#),
        );
        etcd.post(
            "/v3/auth/user/grant",
            &format!(r#"{{"user":"{user}","role":"{role}"}}"#),
        );
    }
    etcd.post("/v3/auth/enable", "{}");
}

#[tokio::test]
async fn a_client_certificate_lets_in_and_its_absence_does_not() {
    if program().is_none() {
        return;
    }
    let mut etcd = Etcd::start_secure().await;
    let location = etcd.secure_location("ondol");
    let s = etcd.store_at(&location).await;
    let mut watch = s.store.watch(WatchRequest::prefix("/")).await.unwrap();
    assert_eq!(s.put("/a", "1").await, 2);
    assert_eq!(events(&mut watch, 1).await, ["2 /a ->1"]);
    // The connection is made anew, with the certificate.
    etcd.kill();
    etcd.start_again(&location).await;
    let after = etcd.store_at(&location).await;
    assert_eq!(after.put("/a", "2").await, 3);
    assert_eq!(events(&mut watch, 1).await, ["3 /a 1>2"]);
    assert_eq!(s.list("", 0).await, ["/a=2"]);
    s.store.compact(3).await.unwrap();

    let stranger = open_etcd(&etcd.secure_location("stranger")).await;
    let error = stranger.err().expect("a certificate of another CA is refused");
    assert!(matches!(error, StoreError::Unavailable(..)), "{error}");
    let without = store::EtcdLocation {
        client_certificate: None,
        ..location.clone()
    };
    let error = open_etcd(&without).await.err().expect("no certificate is refused");
    assert!(matches!(error, StoreError::Unavailable(..)), "{error}");
    // Who does not know the CA does not speak to the server.
    let unchecked = store::EtcdLocation { ca: None, ..location };
    assert!(open_etcd(&unchecked).await.is_err());
}

#[tokio::test]
async fn a_user_logs_in_and_logs_in_again_after_a_restart() {
    if program().is_none() {
        return;
    }
    let mut etcd = Etcd::start().await;
    make_users(&etcd);
    let location = etcd.user_location("ondol", "secret");
    let s = etcd.store_at(&location).await;
    let mut watch = s.store.watch(WatchRequest::prefix("/")).await.unwrap();
    assert_eq!(s.put("/a", "1").await, 2);
    assert_eq!(events(&mut watch, 1).await, ["2 /a ->1"]);
    let lease = s.store.grant(std::time::Duration::from_secs(60)).await.unwrap();
    s.store.keep_alive(lease).await.unwrap();
    s.store.revoke(lease).await.unwrap();
    assert!(s.store.size().await.unwrap() > 0);
    // Tokens are forgotten by a server that ends.
    etcd.kill();
    etcd.start_again(&location).await;
    assert_eq!(s.list("", 0).await, ["/a=1"]);
    assert_eq!(s.put("/a", "2").await, 3);
    assert_eq!(events(&mut watch, 1).await, ["3 /a 1>2"]);
    s.store.compact(3).await.unwrap();
    // A change of rights makes tokens old; the store logs in again.
    let root = etcd.store_at(&etcd.user_location("root", "secret")).await;
    assert_eq!(root.list("", 0).await, ["/a=2"]);

    let error = open_etcd(&etcd.user_location("ondol", "wrong")).await.err().unwrap();
    let said = supervision::error_chain(&error);
    assert!(said.contains("invalid user ID or password"), "{said}");
    let nobody = open_etcd(&etcd.location("")).await;
    assert!(nobody.is_err(), "who does not log in is refused");
}

#[tokio::test]
async fn a_user_who_may_not_read_all_keys_is_told_that_a_watch_needs_it() {
    if program().is_none() {
        return;
    }
    let etcd = Etcd::start().await;
    make_users(&etcd);
    let location = etcd.user_location("half", "secret").below("half");
    let s = etcd.store_at(&location).await;
    assert_eq!(s.put("/a", "1").await, 2);
    let error = s.store.watch(WatchRequest::prefix("/")).await.err().unwrap();
    let said = supervision::error_chain(&error);
    assert!(said.contains("may not read all keys of etcd"), "{said}");
}
