//! What `options` promises, as tests.

use super::*;

fn query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

#[test]
fn illegal_list_combinations_are_named() {
    for (text, code, message) in [
        (
            "resourceVersionMatch=Exact",
            422,
            r#"ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"#,
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            422,
            r#"ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0""#,
        ),
        (
            "resourceVersionMatch=NotOlderThan&resourceVersion=3&continue=x",
            422,
            r#"ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"#,
        ),
        ("limit=x", 400, r#"strconv.ParseInt: parsing "x": invalid syntax"#),
        (
            "labelSelector=a b",
            400,
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
    ] {
        let error = ListOptions::from_query(&query(text)).unwrap_err();
        assert_eq!((error.code(), error.message()), (code, message), "{text}");
    }
}

#[test]
fn watch_lists_need_a_match() {
    assert!(WatchOptions::from_query(&query("sendInitialEvents=true")).is_err());
    let options = WatchOptions::from_query(&query(
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=5",
    ));
    assert_eq!(options.unwrap().timeout, Some(Duration::from_secs(5)));
}

#[test]
fn delete_options_come_from_body_or_query() {
    let from_query = DeleteOptions::read(&query("gracePeriodSeconds=0&propagationPolicy=Orphan"), b"").unwrap();
    assert_eq!(
        (from_query.grace_period_seconds, from_query.propagation),
        (Some(0), Some(Propagation::Orphan))
    );
    let body = br#"{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"u"},"dryRun":["All"]}"#;
    let from_body = DeleteOptions::read(&[], body).unwrap();
    assert_eq!(
        (from_body.preconditions.uid.as_deref(), from_body.dry_run),
        (Some("u"), true)
    );
    assert_eq!(
        DeleteOptions::read(&[], br#"{"propagationPolicy":"Never"}"#)
            .unwrap_err()
            .code(),
        422
    );
}
