//! A cache against a server that plays a script: lists, watch events, interruptions.

use std::collections::VecDeque;
use std::convert::Infallible;

use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{FutureExt, StreamExt};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use kube::client::Body;
use kube_types::api::core::v1::ConfigMap;

use super::*;

const LIMIT: Duration = Duration::from_secs(120);

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Answers requests in the order of its script and keeps their paths.
#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    asked: Vec<String>,
}

struct Server {
    script: Arc<Mutex<Script>>,
    supervisor: Supervisor,
}

impl Server {
    fn new() -> Self {
        Self {
            script: Arc::default(),
            supervisor: Supervisor::new("test"),
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn answer(&self, code: u16, text: String) {
        let body = Full::new(Bytes::from(text)).boxed_unsync();
        self.script()
            .answers
            .push_back(Response::builder().status(code).body(body).unwrap());
    }

    fn list(&self, revision: u64, items: &[(&str, u64)]) {
        let items: Vec<String> = items.iter().map(|(name, revision)| object(name, *revision)).collect();
        self.answer(200, format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMapList","metadata":{{"resourceVersion":"{revision}"}},"items":[{}]}}"#,
            items.join(",")
        ));
    }

    /// A watch whose events the test sends; it ends when the sender is dropped.
    fn watch(&self) -> UnboundedSender<String> {
        let (sender, events): (_, UnboundedReceiver<String>) = unbounded();
        let frames = events.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(line + "\n"))));
        self.script()
            .answers
            .push_back(Response::new(StreamBody::new(frames).boxed_unsync()));
        sender
    }

    fn start(&self) -> Cache<ConfigMap> {
        let script = Arc::clone(&self.script);
        let service = tower::service_fn(move |request: Request<Body>| {
            let mut script = script.lock().unwrap();
            script.asked.push(request.uri().to_string());
            let answer = script.answers.pop_front();
            async move {
                match answer {
                    Some(answer) => Ok::<_, Infallible>(answer),
                    // Nothing is left to say: the server is silent, as a stalled one is.
                    None => std::future::pending().await,
                }
            }
        });
        let client = crate::in_process(service, "default");
        Cache::start(
            Api::namespaced(client, "ns"),
            Selection::labels("app=web"),
            &self.supervisor,
        )
    }
}

fn object(name: &str, revision: u64) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","namespace":"ns","uid":"{name}","resourceVersion":"{revision}","managedFields":[{{"manager":"m"}}]}}}}"#
    )
}

fn event(kind: &str, name: &str, revision: u64) -> String {
    format!(r#"{{"type":"{kind}","object":{}}}"#, object(name, revision))
}

fn bookmark(revision: u64) -> String {
    format!(
        r#"{{"type":"BOOKMARK","object":{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"resourceVersion":"{revision}"}}}}}}"#
    )
}

fn expired() -> &'static str {
    r#"{"apiVersion":"v1","kind":"Status","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}"#
}

fn names(cache: &Cache<ConfigMap>) -> Vec<String> {
    cache.snapshot().keys().map(ToString::to_string).collect()
}

async fn next(changes: &mut Changes) -> Vec<String> {
    let keys = tokio::time::timeout(LIMIT, changes.next())
        .await
        .expect("a change in time");
    keys.into_iter().map(|key| key.name).collect()
}

#[tokio::test]
async fn a_cache_lists_once_and_follows_the_watch() {
    let server = Server::new();
    server.list(10, &[("a", 3), ("b", 7)]);
    let watch = server.watch();
    let cache = server.start();
    assert!(!cache.is_synced());
    cache.synced().await;
    assert_eq!(
        (names(&cache), cache.revision()),
        (vec!["ns/a".to_owned(), "ns/b".to_owned()], 10)
    );

    let old = cache.snapshot();
    watch.unbounded_send(event("ADDED", "c", 11)).unwrap();
    watch.unbounded_send(event("MODIFIED", "a", 12)).unwrap();
    watch.unbounded_send(event("DELETED", "b", 13)).unwrap();
    cache.wait_for_revision(13, LIMIT).await.unwrap();
    assert_eq!(names(&cache), ["ns/a", "ns/c"]);
    assert_eq!(old.len(), 2, "a snapshot never changes");
    let a = cache.get(&ObjectKey::namespaced("ns", "a")).unwrap();
    assert_eq!(
        (a.metadata.resource_version.as_deref(), &a.metadata.managed_fields),
        (Some("12"), &None)
    );

    let asked = server.script().asked.clone();
    assert_eq!(asked[0], "/api/v1/namespaces/ns/configmaps?&labelSelector=app%3Dweb");
    assert!(
        asked[1].contains("watch=true") && asked[1].contains("resourceVersion=10"),
        "{}",
        asked[1]
    );
    assert!(
        asked[1].contains("allowWatchBookmarks=true") && asked[1].contains("labelSelector=app%3Dweb"),
        "{}",
        asked[1]
    );
}

#[tokio::test]
async fn a_bookmark_moves_the_revision_on() {
    let server = Server::new();
    server.list(10, &[]);
    let watch = server.watch();
    let cache = server.start();
    watch.unbounded_send(bookmark(25)).unwrap();
    cache.wait_for_revision(25, LIMIT).await.unwrap();
    assert_eq!(cache.revision(), 25);
}

#[tokio::test]
async fn an_interrupted_watch_goes_on_where_it_was() {
    let server = Server::new();
    server.list(10, &[("a", 3)]);
    let first = server.watch();
    let second = server.watch();
    let cache = server.start();
    first.unbounded_send(event("MODIFIED", "a", 12)).unwrap();
    drop(first);
    second.unbounded_send(event("ADDED", "b", 13)).unwrap();
    cache.wait_for_revision(13, LIMIT).await.unwrap();
    assert_eq!(names(&cache), ["ns/a", "ns/b"]);
    let asked = server.script().asked.clone();
    assert_eq!(asked.len(), 3);
    assert!(asked[2].contains("resourceVersion=12"), "{}", asked[2]);
}

#[tokio::test]
async fn an_expired_watch_lists_again_and_tells_what_differs() {
    for as_event in [true, false] {
        let server = Server::new();
        server.list(10, &[("gone", 3), ("same", 4), ("changed", 5)]);
        let first = if as_event { Some(server.watch()) } else { None };
        if !as_event {
            server.answer(410, expired().to_owned());
        }
        let cache = server.start();
        cache.synced().await;
        let mut changes = cache.changes();
        assert_eq!(next(&mut changes).await, ["changed", "gone", "same"]);
        server.list(30, &[("same", 4), ("changed", 28), ("new", 29)]);
        let _second = server.watch();
        if let Some(first) = first {
            first
                .unbounded_send(format!(r#"{{"type":"ERROR","object":{}}}"#, expired()))
                .unwrap();
        }
        cache.wait_for_revision(30, LIMIT).await.unwrap();
        assert_eq!(names(&cache), ["ns/changed", "ns/new", "ns/same"]);
        assert_eq!(next(&mut changes).await, ["changed", "gone", "new"]);
    }
}

#[tokio::test]
async fn a_list_that_fails_is_tried_again() {
    let server = Server::new();
    server.answer(500, "broken".to_owned());
    server.list(10, &[("a", 3)]);
    let _watch = server.watch();
    let cache = server.start();
    tokio::time::timeout(LIMIT, cache.synced()).await.unwrap();
    assert_eq!(names(&cache), ["ns/a"]);
}

#[tokio::test]
async fn changes_of_one_object_are_told_once_until_they_are_taken() {
    let server = Server::new();
    server.list(10, &[]);
    let watch = server.watch();
    let cache = server.start();
    cache.synced().await;
    let (mut quick, mut slow) = (cache.changes(), cache.changes());
    watch.unbounded_send(event("ADDED", "a", 11)).unwrap();
    cache.wait_for_revision(11, LIMIT).await.unwrap();
    assert_eq!(next(&mut quick).await, ["a"]);
    watch.unbounded_send(event("MODIFIED", "a", 12)).unwrap();
    watch.unbounded_send(event("ADDED", "b", 13)).unwrap();
    cache.wait_for_revision(13, LIMIT).await.unwrap();
    assert_eq!(next(&mut quick).await, ["a", "b"]);
    assert_eq!(next(&mut slow).await, ["a", "b"]);
    assert!(quick.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_revision_that_does_not_come_is_named() {
    let server = Server::new();
    server.list(10, &[]);
    let _watch = server.watch();
    let cache = server.start();
    cache.synced().await;
    let error = cache.wait_for_revision(11, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the cache of ConfigMap did not reach revision 11 within 1ms, it is at 10"
    );
}
