//! URLs of etcd clusters.

use super::*;

#[test]
fn a_url_names_members_prefix_and_credentials() {
    let one = EtcdLocation::parse("etcd://127.0.0.1:2379").unwrap();
    assert_eq!(
        (one.members, one.prefix, one.tls),
        (vec!["127.0.0.1:2379".to_owned()], String::new(), false)
    );
    let all = "etcds://me@a,b:4001,[::1]:2379/clusters/one?ca=/ca&cert=/c&key=/k&password-file=/p";
    let all = EtcdLocation::parse(all).unwrap();
    assert_eq!(all.members, ["a:2379", "b:4001", "[::1]:2379"]);
    assert_eq!(all.prefix, "/clusters/one");
    assert!(all.tls);
    assert_eq!(all.client_certificate, Some(("/c".into(), "/k".into())));
    assert_eq!(all.user, Some(("me".to_owned(), "/p".into())));
    assert_eq!(all.below("x").prefix, "/clusters/one/x");
}

#[test]
fn what_is_wrong_with_a_url_is_named() {
    for (url, problem) in [
        ("127.0.0.1:2379", "expected etcd://host:port"),
        ("http://a", "expected etcd:// or etcds://"),
        ("etcd:///x", "no host is named"),
        ("etcd://a?cert=/c", "cert and key belong together"),
        ("etcd://me@a", "a user and password-file belong together"),
        ("etcd://a?x=y", "unknown parameter x"),
    ] {
        let error = EtcdLocation::parse(url).unwrap_err().to_string();
        assert!(error.ends_with(problem), "{url}: {error}");
    }
}
