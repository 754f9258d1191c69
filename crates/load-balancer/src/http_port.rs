//! The HTTP path: one port on 127.0.0.1 for all balancers, told apart by the Host header.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream};

use crate::balancer::Balancer;

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
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades()
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
    let Some(port) = balancer.http_port() else {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("service {} has no TCP port\n", balancer.service),
        );
    };
    match balancer.connect(port).await {
        Ok(Some(target)) => forward(request, from, target, tasks).await,
        Ok(None) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("service {} has no ready endpoint\n", balancer.service),
        ),
        Err(error) => plain(
            StatusCode::BAD_GATEWAY,
            format!("service {}: {error}\n", balancer.service),
        ),
    }
}

async fn forward(
    mut request: Request<Incoming>,
    from: SocketAddr,
    target: Box<dyn crate::TargetStream>,
    tasks: &Supervisor,
) -> Response<Body> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(target)).await;
    let (mut sender, connection) = match handshake {
        Ok(parts) => parts,
        Err(error) => return plain(StatusCode::BAD_GATEWAY, format!("{error}\n")),
    };
    tasks.spawn_until_cancelled("connection to a target", async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a target ended");
        }
    });
    let upgrade = request
        .headers()
        .contains_key(UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    add_forwarded(&mut request, from);
    match sender.send_request(request).await {
        Ok(mut answer) => {
            if let (StatusCode::SWITCHING_PROTOCOLS, Some(upgrade)) = (answer.status(), upgrade) {
                let upstream = hyper::upgrade::on(&mut answer);
                tasks.spawn_until_cancelled("upgraded connection", join(upgrade, upstream));
            }
            answer.map(|body| body.boxed())
        }
        Err(error) => plain(StatusCode::BAD_GATEWAY, format!("{error}\n")),
    }
}

/// Both sides speak another protocol from here on: bytes both ways.
async fn join(client: hyper::upgrade::OnUpgrade, target: hyper::upgrade::OnUpgrade) {
    match futures::future::try_join(client, target).await {
        Ok((client, target)) => {
            let copied = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(target)).await;
            if let Err(error) = copied {
                tracing::debug!(%error, "upgraded connection ended");
            }
        }
        Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
    }
}

/// The headers by which an application learns who asked, as AWS's load balancers add them.
fn add_forwarded(request: &mut Request<Incoming>, from: SocketAddr) {
    let before = request
        .headers()
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok());
    let chain = before.map_or_else(|| from.ip().to_string(), |before| format!("{before}, {}", from.ip()));
    let added = [
        ("x-forwarded-for", chain),
        ("x-forwarded-proto", "http".to_owned()),
        ("x-forwarded-port", "80".to_owned()),
    ];
    for (name, value) in added {
        if let Ok(value) = HeaderValue::from_str(&value) {
            request.headers_mut().insert(HeaderName::from_static(name), value);
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
