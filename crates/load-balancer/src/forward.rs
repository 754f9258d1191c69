//! One HTTP request on its way to a target and its answer on the way back.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use supervision::Supervisor;
use thiserror::Error;

use crate::balancer::{Balancer, NoConnection};

/// Headers that concern one connection only (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Why a request got no answer from a target.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Unreachable(#[from] NoConnection),
    #[error("{target} has not answered within {} s", limit.as_secs())]
    Slow {
        target: SocketAddrV4,
        limit: std::time::Duration,
    },
    #[error("{target} answered with what is no HTTP")]
    Broken {
        target: SocketAddrV4,
        #[source]
        source: hyper::Error,
    },
}

impl Failure {
    /// The code by which AWS's load balancers say it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(NoConnection::NoTarget) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable(NoConnection::TooSlow(_)) | Self::Slow { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Unreachable(NoConnection::Refused(..)) | Self::Broken { .. } => StatusCode::BAD_GATEWAY,
        }
    }
}

/// Sends a request to a target of `port` and answers what it answered.
pub(crate) async fn forward(
    mut request: Request<Incoming>,
    from: SocketAddr,
    balancer: &Arc<Balancer>,
    port: u16,
    tasks: &Supervisor,
) -> Result<Response<Incoming>, Failure> {
    let targets = balancer.targets(port, from.ip());
    let first = targets.first().copied().ok_or(NoConnection::NoTarget)?;
    let upgrade = take_upgrade(&mut request);
    prepare(&mut request, from, upgrade.as_ref().map(|(protocol, _)| protocol));
    if let (Some(mut sender), None) = (balancer.pool.take(first), &upgrade) {
        let sent = tokio::time::timeout(balancer.limits.answer, sender.try_send_request(request)).await;
        match sent.map_err(|_elapsed| slow(balancer, first))? {
            Ok(answer) => return Ok(finish(answer, sender, balancer, port, first, tasks)),
            // The target had closed it before it heard of this request: a new connection is as good.
            Err(mut unsent) => match unsent.take_message() {
                Some(again) => request = again,
                None => {
                    return Err(Failure::Broken {
                        target: first,
                        source: unsent.into_error(),
                    });
                }
            },
        }
    }
    let (target, stream) = balancer.connect(&targets).await?;
    let broken = |source| Failure::Broken { target, source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let (draining, limit) = (Arc::clone(balancer), (port, target));
    tasks.spawn_until_cancelled("connection to a target", async move {
        tokio::select! {
            ended = connection.with_upgrades() => if let Err(error) = ended {
                tracing::debug!(%error, "connection to a target ended");
            },
            () = draining.drained(limit.0, limit.1) => {}
        }
    });
    let sent = tokio::time::timeout(balancer.limits.answer, sender.send_request(request)).await;
    let mut answer = sent.map_err(|_elapsed| slow(balancer, target))?.map_err(broken)?;
    if let (StatusCode::SWITCHING_PROTOCOLS, Some((_, client))) = (answer.status(), upgrade) {
        tasks.spawn_until_cancelled("upgraded connection", join(client, hyper::upgrade::on(&mut answer)));
        return Ok(answer);
    }
    Ok(finish(answer, sender, balancer, port, target, tasks))
}

fn slow(balancer: &Balancer, target: SocketAddrV4) -> Failure {
    Failure::Slow {
        target,
        limit: balancer.limits.answer,
    }
}

/// The protocol that the client wants to go on with, and its connection once it does.
fn take_upgrade(request: &mut Request<Incoming>) -> Option<(HeaderValue, hyper::upgrade::OnUpgrade)> {
    let protocol = request.headers().get(UPGRADE)?.clone();
    Some((protocol, hyper::upgrade::on(request)))
}

/// Makes it a request to the target: HTTP/1.1 with a path, the headers by which an application learns who asked as AWS's
/// load balancers add them, and nothing that concerned the client's connection.
fn prepare(request: &mut Request<Incoming>, from: SocketAddr, upgrade: Option<&HeaderValue>) {
    let authority = request.uri().authority().map(ToString::to_string);
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    remove_of_the_connection(headers);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    let before = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let chain = before.map_or_else(|| from.ip().to_string(), |before| format!("{before}, {}", from.ip()));
    let mut added = vec![
        (HeaderName::from_static("x-forwarded-for"), chain),
        (HeaderName::from_static("x-forwarded-proto"), "http".to_owned()),
        (HeaderName::from_static("x-forwarded-port"), "80".to_owned()),
    ];
    // HTTP/2 names the host in the request line only.
    if !headers.contains_key(HOST)
        && let Some(authority) = authority
    {
        added.push((HOST, authority));
    }
    for (name, value) in added {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

fn remove_of_the_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_THE_CONNECTION) {
        headers.remove(name);
    }
}

/// Lets the connection wait for the next request as soon as this answer has been read.
fn finish(
    mut answer: Response<Incoming>,
    mut sender: SendRequest<Incoming>,
    balancer: &Arc<Balancer>,
    port: u16,
    target: SocketAddrV4,
    tasks: &Supervisor,
) -> Response<Incoming> {
    remove_of_the_connection(answer.headers_mut());
    let balancer = Arc::clone(balancer);
    tasks.spawn_until_cancelled("answer of a target", async move {
        if sender.ready().await.is_ok() && balancer.has(port, target) {
            balancer.pool.put(target, sender);
        }
    });
    answer
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
