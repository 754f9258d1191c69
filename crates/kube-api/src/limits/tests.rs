//! How long each request has.

use http::Method;

use super::*;
use crate::api::query_pairs;

fn limit(method: Method, target: &str) -> Result<Option<u64>, String> {
    limit_after(Duration::ZERO, method, target)
}

fn limit_after(waited: Duration, method: Method, target: &str) -> Result<Option<u64>, String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query_pairs(query);
    let info = RequestInfo::read(&method, path, &query);
    let limit = Limit::of(&info, &query, waited).map_err(|error| error.message().to_owned())?;
    Ok(limit.map(|limit| u64::try_from(limit.time.as_millis()).unwrap()))
}

#[test]
fn requests_have_a_minute_writes_less_and_clients_may_ask_for_less() {
    for (method, target, expected) in [
        (Method::GET, "/api/v1/pods", Some(60_000)),
        (Method::GET, "/api/v1/pods?timeout=1500ms", Some(1_500)),
        (Method::GET, "/api/v1/pods?timeout=1m30s", Some(60_000)),
        (Method::GET, "/api/v1/pods?timeout=0s", Some(60_000)),
        (Method::GET, "/api/v1/pods?watch=1&timeout=1s", None),
        (Method::POST, "/api/v1/namespaces", Some(34_000)),
        (Method::DELETE, "/api/v1/namespaces/a?timeout=2s", Some(2_000)),
        (Method::GET, "/api/v1/namespaces/a/pods/p/log", None),
        (Method::GET, "/version", Some(60_000)),
    ] {
        assert_eq!(limit(method, target), Ok(expected), "{target}");
    }
    for bad in ["x", "5", "1s2", "-1s", "1.2.3s", "s"] {
        let problem = format!("invalid timeout specified in the request URL - time: invalid duration {bad:?}");
        assert_eq!(limit(Method::GET, &format!("/version?timeout={bad}")), Err(problem));
    }
}

#[test]
fn a_request_waits_a_quarter_of_its_time_at_most_and_has_the_rest() {
    let longest = |target: &str| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query_pairs(query);
        longest_wait(&RequestInfo::read(&Method::GET, path, &query), &query).as_millis()
    };
    assert_eq!(longest("/api/v1/pods"), 15_000);
    assert_eq!(longest("/api/v1/pods?timeout=2s"), 500);
    assert_eq!(longest("/api/v1/pods?timeout=soon"), 15_000);
    assert_eq!(longest("/api/v1/pods?watch=1&timeout=2s"), 15_000);
    let waited = Duration::from_secs(15);
    assert_eq!(limit_after(waited, Method::GET, "/api/v1/pods"), Ok(Some(45_000)));
    let write = limit_after(waited, Method::POST, "/api/v1/namespaces");
    assert_eq!(write, Ok(Some(34_000)));
}

#[tokio::test]
async fn what_does_not_come_in_time_is_answered_with_504() {
    let limit = Limit {
        time: Duration::from_millis(1),
        write: true,
    };
    let answer = limit.keep(std::future::pending(), Wire::default()).await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_panic_is_answered_with_500() {
    let answer = guarded(async { panic!("on purpose") }, None).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
