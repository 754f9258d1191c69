//! The scheduler against an API server that keeps a few objects and remembers what was asked of it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use clock::{ManualClock, SeededRandom};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{Binding, Event, Node, Pod};
use kube::client::Body;
use serde_json::{from_slice, to_string};
use supervision::wait_until;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// What the server holds and has been asked.
#[derive(Default)]
struct Held {
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    /// Open watches by plural.
    watches: Vec<(String, UnboundedSender<String>)>,
    bindings: Vec<(String, String)>,
    events: Vec<String>,
    patches: Vec<Pod>,
    deleted: Vec<String>,
    /// Bindings still to be refused.
    refusals: usize,
    revision: u64,
}

#[derive(Clone, Default)]
struct Server {
    held: Arc<Mutex<Held>>,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn text(code: u16, body: String) -> Answer {
    Response::builder()
        .status(code)
        .body(Full::new(Bytes::from(body)).boxed_unsync())
        .unwrap()
}

impl Held {
    fn send(&mut self, plural: &str, kind: &str, object: &str) {
        let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        self.watches
            .retain(|(watched, sender)| watched != plural || sender.send(line.clone()).is_ok());
    }

    fn list(&self, path: &str) -> String {
        let (kind, items) = match path {
            "/api/v1/pods" => ("PodList", self.pods.iter().map(|pod| to_string(pod).unwrap()).collect()),
            "/api/v1/nodes" => (
                "NodeList",
                self.nodes.iter().map(|node| to_string(node).unwrap()).collect(),
            ),
            _ => ("List", Vec::<String>::new()),
        };
        let revision = self.revision;
        format!(
            r#"{{"apiVersion":"v1","kind":"{kind}","metadata":{{"resourceVersion":"{revision}"}},"items":[{}]}}"#,
            items.join(",")
        )
    }

    fn bind(&mut self, body: &[u8]) -> Answer {
        if self.refusals > 0 {
            self.refusals -= 1;
            return text(500, "{}".to_owned());
        }
        let binding: Binding = from_slice(body).unwrap();
        let (name, node) = (binding.metadata.name.unwrap(), binding.target.name.unwrap());
        self.bindings.push((name.clone(), node.clone()));
        self.revision += 1;
        let revision = self.revision;
        let pod = self
            .pods
            .iter_mut()
            .find(|pod| pod.metadata.name.as_ref() == Some(&name))
            .unwrap();
        pod.spec.get_or_insert_default().node_name = Some(node);
        pod.metadata.resource_version = Some(revision.to_string());
        let object = to_string(pod).unwrap();
        self.send("pods", "MODIFIED", &object);
        text(
            201,
            r#"{"apiVersion":"v1","kind":"Status","status":"Success"}"#.to_owned(),
        )
    }

    fn delete(&mut self, name: &str) -> Answer {
        self.deleted.push(name.to_owned());
        self.revision += 1;
        let place = self
            .pods
            .iter()
            .position(|pod| pod.metadata.name.as_deref() == Some(name))
            .unwrap();
        let mut pod = self.pods.remove(place);
        pod.metadata.resource_version = Some(self.revision.to_string());
        let object = to_string(&pod).unwrap();
        self.send("pods", "DELETED", &object);
        text(200, object)
    }
}

impl Server {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    async fn answer(self, request: Request<Body>) -> Result<Answer, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let path = parts.uri.path().to_owned();
        let last = path.rsplit('/').next().unwrap().to_owned();
        let mut held = self.held();
        let watching = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
        Ok(match parts.method {
            Method::GET if watching => {
                let (sender, receiver) = unbounded_channel();
                held.watches.push((last, sender));
                Response::new(StreamBody::new(frames(receiver)).boxed_unsync())
            }
            Method::GET => text(200, held.list(&path)),
            Method::POST if last == "binding" => held.bind(&body),
            Method::POST => {
                let event: Event = from_slice(&body).unwrap();
                held.events
                    .push(format!("{} {}", event.reason.unwrap(), event.message.unwrap()));
                text(201, String::from_utf8(body.to_vec()).unwrap())
            }
            Method::PATCH if last == "status" => {
                let patch: Pod = from_slice(&body).unwrap();
                let answer = to_string(&patch).unwrap();
                held.patches.push(patch);
                text(200, answer)
            }
            Method::DELETE => held.delete(&last),
            _ => text(200, "{}".to_owned()),
        })
    }

    fn start(&self) -> (Scheduler, Supervisor) {
        let server = self.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        let supervisor = Supervisor::new("test");
        let client = kube_client::in_process(service, "default");
        let observer = Observer::new(client.clone());
        let options = Options {
            client,
            observer: observer.clone(),
            clock: Arc::new(ManualClock::default()),
            random: Arc::new(SeededRandom::new(1)),
            supervisor: supervisor.clone(),
            log: ComponentLog::default(),
        };
        let scheduler = start(options);
        observer.start(&KINDS.into(), &supervisor);
        (scheduler, supervisor)
    }

    fn add_pod(&self, name: &str, priority: i32, cpu: &str) {
        let mut held = self.held();
        held.revision += 1;
        let pod: Pod = parsed(&format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"default","uid":"{name}","resourceVersion":"{}"}},
              "spec":{{"priority":{priority},"containers":[{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]}}}}"#,
            held.revision
        ));
        let object = to_string(&pod).unwrap();
        held.pods.push(pod);
        held.send(Pod::URL_PATH_SEGMENT, "ADDED", &object);
    }

    fn add_node(&self, name: &str) {
        let mut held = self.held();
        held.revision += 1;
        let node: Node = parsed(&format!(
            r#"{{"metadata":{{"name":"{name}","uid":"{name}","resourceVersion":"{}"}},
              "status":{{"allocatable":{{"cpu":"2","memory":"4Gi","pods":"17"}}}}}}"#,
            held.revision
        ));
        let object = to_string(&node).unwrap();
        held.nodes.push(node);
        held.send(Node::URL_PATH_SEGMENT, "ADDED", &object);
    }

    /// Waits until the answer of `look` is `expected`.
    async fn until<T: PartialEq + std::fmt::Debug>(&self, expected: T, look: impl Fn(&Held) -> T) {
        wait_until("the expected state", LIMIT, || async {
            let seen = look(&self.held());
            if seen == expected {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        })
        .await
        .unwrap();
    }

    async fn until_bound(&self, expected: &[(&str, &str)]) {
        let expected = expected
            .iter()
            .map(|(pod, node)| ((*pod).to_owned(), (*node).to_owned()))
            .collect();
        self.until(expected, |held| held.bindings.iter().cloned().collect::<BTreeSet<_>>())
            .await;
    }
}

fn frames(
    receiver: UnboundedReceiver<String>,
) -> impl futures::Stream<Item = Result<hyper::body::Frame<Bytes>, Infallible>> {
    futures::stream::unfold(receiver, |mut receiver| async {
        let line = receiver.recv().await?;
        Some((Ok(hyper::body::Frame::data(Bytes::from(line))), receiver))
    })
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_pod_is_bound_to_a_node_and_an_event_says_so() {
    let server = Server::default();
    server.add_node("n1");
    server.add_pod("before", 0, "100m");
    let (scheduler, _supervisor) = server.start();
    server.until_bound(&[("before", "n1")]).await;
    server.add_pod("after", 0, "100m");
    server.until_bound(&[("before", "n1"), ("after", "n1")]).await;
    let expected = ["after", "before"].map(|name| format!("Scheduled Successfully assigned default/{name} to n1"));
    server
        .until(BTreeSet::from(expected), |held| held.events.iter().cloned().collect())
        .await;
    assert_eq!(
        scheduler
            .metrics
            .attempts
            .get_or_create(&metrics::Outcome { result: "scheduled" })
            .get(),
        2
    );
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_is_told_why_and_bound_when_a_node_comes() {
    let server = Server::default();
    let (_scheduler, _supervisor) = server.start();
    server.add_pod("web", 0, "1");
    let why = "no nodes available to schedule pods";
    server
        .until(vec![format!("FailedScheduling {why}")], |held| held.events.clone())
        .await;
    let condition = |held: &Held| {
        let conditions = held.patches.first()?.status.as_ref()?.conditions.clone()?;
        let condition = conditions.first()?;
        Some(format!(
            "{} {} {}: {}",
            condition.type_,
            condition.status,
            condition.reason.clone()?,
            condition.message.clone()?
        ))
    };
    server
        .until(Some(format!("PodScheduled False Unschedulable: {why}")), condition)
        .await;
    server.add_node("n1");
    server.until_bound(&[("web", "n1")]).await;
}

#[tokio::test]
async fn pods_that_wait_for_room_get_it_when_another_goes() {
    let server = Server::default();
    server.add_node("n1");
    let (_scheduler, _supervisor) = server.start();
    server.add_pod("first", 0, "1500m");
    server.until_bound(&[("first", "n1")]).await;
    server.add_pod("second", 0, "1500m");
    let why = "FailedScheduling 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    server
        .until(true, |held| held.events.iter().any(|event| event == why))
        .await;
    server.held().delete("first");
    server.until_bound(&[("first", "n1"), ("second", "n1")]).await;
}

#[tokio::test]
async fn decisions_count_before_they_are_confirmed() {
    let server = Server::default();
    server.add_node("n1");
    server.add_node("n2");
    let (_scheduler, _supervisor) = server.start();
    for name in ["a", "b", "c"] {
        server.add_pod(name, 0, "1500m");
    }
    server.until(2, |held| held.bindings.len()).await;
    server
        .until(true, |held| {
            held.events.iter().any(|event| event.contains("2 Insufficient cpu"))
        })
        .await;
    let nodes: BTreeSet<String> = server.held().bindings.iter().map(|(_, node)| node.clone()).collect();
    assert_eq!(nodes.len(), 2);
}

#[tokio::test]
async fn a_binding_that_fails_is_tried_again() {
    let server = Server::default();
    server.add_node("n1");
    server.held().refusals = 2;
    let (_scheduler, _supervisor) = server.start();
    server.add_pod("web", 0, "100m");
    server.until_bound(&[("web", "n1")]).await;
    assert!(
        server
            .held()
            .events
            .iter()
            .any(|event| event.starts_with("FailedScheduling binding rejected"))
    );
}

#[tokio::test]
async fn an_important_pod_takes_the_place_of_another() {
    let server = Server::default();
    server.add_node("n1");
    let (_scheduler, _supervisor) = server.start();
    server.add_pod("small", 0, "1500m");
    server.until_bound(&[("small", "n1")]).await;
    server.add_pod("large", 1000, "1500m");
    server.until_bound(&[("small", "n1"), ("large", "n1")]).await;
    assert_eq!(server.held().deleted, ["small"]);
    server
        .until(true, |held| {
            held.events
                .iter()
                .any(|event| event == "Preempted Preempted by pod large on node n1")
        })
        .await;
}

#[tokio::test]
async fn the_room_that_was_made_is_kept_for_whom_it_was_made() {
    let server = Server::default();
    server.add_node("n1");
    let (_scheduler, _supervisor) = server.start();
    server.add_pod("small", 0, "1500m");
    server.until_bound(&[("small", "n1")]).await;
    // It waits first, and longer pauses are behind the important pod than behind this one.
    server.add_pod("waiting", 0, "1500m");
    server
        .until(true, |held| {
            held.events.iter().any(|event| event.contains("Insufficient cpu"))
        })
        .await;
    server.add_pod("large", 1000, "1500m");
    server.until_bound(&[("small", "n1"), ("large", "n1")]).await;
    assert_eq!(server.held().deleted, ["small"]);
}
