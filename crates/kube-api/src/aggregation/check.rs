//! Keeps asking an aggregated API server whether it is there, and writes down what it finds: one task for each.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use http::header::{ACCEPT, HOST};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube_types::api::core::v1::Service;
use kube_types::api::discovery::v1::EndpointSlice;
use kube_types::dynamic::{Object, Value};
use kube_types::{GroupVersionResource, ObjectKey};
use registry::{RequestBody, StatusError, Target, WriteOptions};
use tokio::sync::watch;

use super::connection::{self, Stream};
use super::documents::{self, Documents};
use super::judge::{self, Verdict};
use super::proxy::{checker, identify};
use super::{GROUP, LOOK_AGAIN, PLURAL, Route, own_context};
use crate::api::KubeApi;
use crate::connect::service_endpoint;
use crate::resources::header;
use crate::trust::Trust;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Pauses after failed checks: this much, and twice as much each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_ANSWER: usize = 4 << 20;
const SLICES: (&str, &str) = ("discovery.k8s.io", "endpointslices");

/// What a check follows from; it is made again when this is another.
#[derive(PartialEq)]
struct Situation {
    route: Route,
    service: Option<Object>,
    slices: Vec<Object>,
}

/// Starts the task of an APIService, unless it runs.
pub(super) fn start(api: &KubeApi, name: &str) {
    let aggregation = &api.0.aggregation;
    let mut checked = aggregation.checked.lock().unwrap_or_else(PoisonError::into_inner);
    if !checked.insert(name.to_owned()) {
        return;
    }
    let (api, name) = (api.clone(), name.to_owned());
    let tasks = api.0.supervisor.clone();
    tasks.spawn_until_cancelled(format!("check of API service {name}"), async move {
        follow(&api, &name).await;
        let aggregation = &api.0.aggregation;
        let mut checked = aggregation.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.remove(&name);
        drop(checked);
        // It may have come again meanwhile.
        aggregation.check_ended.notify_one();
    });
}

/// Checks until the APIService is gone or has no Service any more.
async fn follow(api: &KubeApi, name: &str) {
    let registry = &api.0.registry;
    let sources = [(GROUP, PLURAL), ("", "services"), SLICES];
    let mut changes: Vec<watch::Receiver<u64>> = sources
        .iter()
        .filter_map(|(group, plural)| registry.changes(group, plural))
        .collect();
    let mut failures = 0;
    let mut known = None;
    loop {
        for change in &mut changes {
            change.borrow_and_update();
        }
        let Some(situation) = situation(api, name) else { return };
        // What failed before says nothing of where the server is now: it may begin to listen at any moment.
        if known.as_ref() != Some(&situation) {
            failures = 0;
        }
        let passed = check(api, &situation).await;
        failures = if passed { 0 } else { failures + 1 };
        let pause = if passed {
            LOOK_AGAIN
        } else {
            LOOK_AGAIN.min(FIRST_PAUSE * 2_u32.saturating_pow(failures))
        };
        if !wait(api, name, &situation, &mut changes, pause).await {
            return;
        }
        known = Some(situation);
    }
}

fn situation(api: &KubeApi, name: &str) -> Option<Situation> {
    let registry = &api.0.registry;
    let mut route = Route::read(&registry.object(GROUP, PLURAL, &ObjectKey::cluster(name))?)?;
    // What is found out here is no reason to look again.
    route.available = false;
    let backend = &route.backend;
    let key = ObjectKey::namespaced(backend.namespace.as_str(), backend.service.as_str());
    let service = registry.object("", "services", &key);
    let mut slices = registry.objects(SLICES.0, SLICES.1, Some(&backend.namespace));
    slices.retain(|slice| slice.labels().get("kubernetes.io/service-name") == Some(&backend.service));
    Some(Situation { route, service, slices })
}

/// Waits until the situation is another one or the pause is over; `false` when nothing comes any more.
async fn wait(
    api: &KubeApi,
    name: &str,
    known: &Situation,
    changes: &mut [watch::Receiver<u64>],
    pause: Duration,
) -> bool {
    let end = Instant::now() + pause;
    loop {
        let any = futures::future::select_all(changes.iter_mut().map(|change| Box::pin(change.changed())));
        match tokio::time::timeout(end.saturating_duration_since(Instant::now()), any).await {
            Err(_elapsed) => return true,
            Ok((Err(_closed), _, _)) => return false,
            Ok((Ok(()), _, _)) if situation(api, name).as_ref() != Some(known) => return true,
            Ok((Ok(()), _, _)) => {}
        }
    }
}

/// One check: looks, asks, writes down. Says whether the server is there.
async fn check(api: &KubeApi, situation: &Situation) -> bool {
    let route = &situation.route;
    let service = situation
        .service
        .as_ref()
        .and_then(|one| one.to_typed::<Service>().ok());
    let slices: Vec<EndpointSlice> = situation
        .slices
        .iter()
        .filter_map(|slice| slice.to_typed().ok())
        .collect();
    let verdict = match judge::obstacle(&route.backend, service.as_ref(), &slices) {
        Some(obstacle) => obstacle,
        None => match ask(api, route).await {
            Ok(body) => {
                learn(api, route, &body);
                Verdict::passed()
            }
            Err(problem) => Verdict::failed("FailedDiscoveryCheck", problem),
        },
    };
    let passed = verdict.status == "True";
    match write_down(api, &route.name, &verdict).await {
        Ok(()) => {}
        // Changed or deleted meanwhile: then there is a reason to look again anyway.
        Err(error) if error.is_conflict() || error.is_not_found() => {}
        Err(error) => tracing::warn!(api_service = route.name, %error, "the status of an APIService is not written"),
    }
    if passed {
        let mut documents = known_documents(api, route);
        documents::complete(api, route, &mut documents).await;
        api.0.aggregation.set_documents(&route.name, Arc::new(documents));
    }
    passed
}

fn known_documents(api: &KubeApi, route: &Route) -> Documents {
    let state = api.0.aggregation.now();
    state
        .documents(route)
        .map(|known| Documents::clone(known))
        .unwrap_or_default()
}

fn learn(api: &KubeApi, route: &Route, body: &[u8]) {
    match documents::resources(body) {
        Ok(resources) => {
            let mut documents = known_documents(api, route);
            documents.resources = resources;
            api.0.aggregation.set_documents(&route.name, Arc::new(documents));
        }
        Err(error) => tracing::debug!(api_service = route.name, %error, "what it answers is no APIResourceList"),
    }
}

/// Asks for the resources of the group and version. The certificate is not looked at: a wrong one is found out by the
/// requests that are passed on, and who can put himself there gains nothing by this.
async fn ask(api: &KubeApi, route: &Route) -> Result<Vec<u8>, String> {
    let backend = &route.backend;
    let address = service_endpoint(api, &backend.namespace, &backend.service, backend.port).await;
    let address = address.map_err(|error| error.message().to_owned())?;
    let url = format!("https://{address}{}", route.path());
    let missing = |problem: String| format!("failing or missing response from {url}: {problem}");
    let exchange = async {
        let stream = connection::open(api, backend, &Trust::Anybody, address, &[b"http/1.1"]).await;
        let stream = stream.map_err(|problem| format!("Get \"{url}\": {problem}"))?;
        let answered = get(stream, route, address).await;
        answered.map_err(|error| format!("Get \"{url}\": {}", supervision::error_chain(error.as_ref())))
    };
    match tokio::time::timeout(LIMIT, exchange).await {
        Ok(Ok((status, body))) if (200..300).contains(&status) => Ok(body),
        Ok(Ok((status, _))) => Err(missing(format!("bad status from {url}: {status}"))),
        Ok(Err(problem)) => Err(missing(problem)),
        Err(_elapsed) => Err(missing(format!("Get \"{url}\": context deadline exceeded"))),
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn get(stream: Stream, route: &Route, address: SocketAddr) -> Result<(u16, Vec<u8>), Fault> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::get(route.path()).body(Body::empty())?;
    identify(request.headers_mut(), &checker());
    request.headers_mut().insert(HOST, header(&address.to_string()));
    request.headers_mut().insert(ACCEPT, header("application/json"));
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await?;
        Ok::<_, Fault>((status, body.to_bytes().to_vec()))
    };
    driven(connection, exchange).await
}

/// The exchange, with the connection at work beside it.
async fn driven<T>(
    connection: impl Future<Output = Result<(), hyper::Error>>,
    exchange: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answered = &mut exchange => answered,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    }
}

async fn write_down(api: &KubeApi, name: &str, verdict: &Verdict) -> Result<(), StatusError> {
    let registry = &api.0.registry;
    let Some(present) = registry.object(GROUP, PLURAL, &ObjectKey::cluster(name)) else {
        return Ok(());
    };
    let now = api.0.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let Some(changed) = judge::with_verdict(&present, verdict, &now) else {
        return Ok(());
    };
    let target = Target::object(GroupVersionResource::new(GROUP, "v1", PLURAL), None, name).with_subresource("status");
    let body = RequestBody::json(Value::Object(changed.0).to_string());
    registry
        .update(&own_context(), &target, body, WriteOptions::default())
        .await?;
    Ok(())
}
