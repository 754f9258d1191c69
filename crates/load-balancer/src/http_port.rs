//! The HTTP path: one port on 127.0.0.1 for all balancers, told apart by the Host header.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream};

use crate::balancer::Balancer;
use crate::forward::forward;

/// Balancers by host name. Read on every request, replaced when one comes or goes.
pub(crate) type ByName = Arc<ArcSwap<BTreeMap<String, Arc<Balancer>>>>;

type Body = BoxBody<Bytes, hyper::Error>;

/// Accepts HTTP connections until the supervisor is cancelled.
pub(crate) fn serve(listener: TcpListener, balancers: ByName, supervisor: &Supervisor) {
    let tasks = supervisor.clone();
    supervisor.spawn_until_cancelled("HTTP listener", async move {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let (balancers, inner) = (Arc::clone(&balancers), tasks.clone());
                    tasks.spawn_until_cancelled(format!("HTTP from {from}"), async move {
                        connection(stream, from, balancers, inner).await
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an HTTP connection could not be accepted");
                    supervision::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    });
}

async fn connection(stream: TcpStream, from: SocketAddr, balancers: ByName, tasks: Supervisor) {
    let answer = service_fn(move |request| {
        let (balancers, tasks) = (Arc::clone(&balancers), tasks.clone());
        async move { Ok::<_, Infallible>(route(request, from, &balancers, &tasks).await) }
    });
    // HTTP/1.1, or HTTP/2 for a client that begins with it.
    let served = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%from, %error, "HTTP connection ended");
    }
}

/// The name that was asked for: the Host header without its port, in lower case, as names compare.
fn asked_name(request: &Request<Incoming>) -> String {
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = header
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
        .unwrap_or_default();
    host.rsplit_once(':')
        .map_or(host, |(name, _)| name)
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

async fn route(request: Request<Incoming>, from: SocketAddr, balancers: &ByName, tasks: &Supervisor) -> Response<Body> {
    let name = asked_name(&request);
    let Some(balancer) = balancers.load().get(&name).cloned() else {
        return plain(StatusCode::NOT_FOUND, format!("no load balancer is called {name:?}\n"));
    };
    if !balancer.admits(from.ip()) {
        let text = format!("service {} admits no clients from {}\n", balancer.service, from.ip());
        return plain(StatusCode::FORBIDDEN, text);
    }
    let Some(port) = balancer.http_port() else {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("service {} has no TCP port\n", balancer.service),
        );
    };
    match forward(request, from, &balancer, port, tasks).await {
        Ok(answer) => answer.map(|body| body.boxed()),
        Err(failure) => {
            let said = supervision::error_chain(&failure);
            plain(failure.status(), format!("service {}: {said}\n", balancer.service))
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
