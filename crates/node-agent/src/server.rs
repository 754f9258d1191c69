//! The kubelet's HTTPS port (10250): logs, exec, attach, port-forward, pods, statistics, for the API server's client
//! certificate, administrators, and whom the API server allows it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::agent::Agent;
use crate::config::Serving;

mod cadvisor;
pub(crate) mod delegated;
mod identity;
mod logs;
mod query;
mod statistics;
mod streaming;

use identity::Caller;
use query::Query;

/// The HTTPS port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Certificates or keys that cannot be used.
    #[error("kubelet serving certificate")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// As configured.
        address: std::net::SocketAddr,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Body of every answer.
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// An answer that is an error, as plain text.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

type Answer = Result<Response<Body>, Refusal>;

/// The TLS side of the port.
pub(crate) fn acceptor(serving: &Serving) -> Result<TlsAcceptor, ServerError> {
    let tls = identity::server_config(serving).map_err(ServerError::Tls)?;
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

/// Starts serving in the background.
pub(crate) async fn start(agent: &Arc<Agent>, serving: &Serving) -> Result<(), ServerError> {
    let acceptor = acceptor(serving)?;
    let listener = TcpListener::bind(serving.listen)
        .await
        .map_err(|source| ServerError::Listen {
            address: serving.listen,
            source,
        })?;
    let shared = Arc::clone(agent);
    agent.tasks.spawn_until_cancelled("kubelet port", async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = serve(Arc::clone(&shared), acceptor.clone(), stream);
                    shared.tasks.spawn_until_cancelled("kubelet connection", connection);
                }
                Err(error) => tracing::warn!(%error, "kubelet port"),
            }
        }
    });
    Ok(())
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    agent: Arc<Agent>,
    acceptor: TlsAcceptor,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) {
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "TLS handshake on the kubelet port");
            return;
        }
    };
    let caller = identity::caller(stream.get_ref().1.peer_certificates());
    let service = service_fn(move |request| {
        let (agent, caller) = (Arc::clone(&agent), caller.clone());
        async move { Ok::<_, Infallible>(answer(&agent, caller.as_ref(), request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.with_upgrades().await {
        tracing::debug!(%error, "kubelet connection");
    }
}

async fn answer(agent: &Arc<Agent>, caller: Option<&Caller>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let result = match authorize(agent, caller, &parts).await {
        Ok(()) => route(agent, Request::from_parts(parts, body)).await,
        Err(refusal) => Err(refusal),
    };
    result.unwrap_or_else(|refusal| {
        let mut response = text(refusal.message);
        *response.status_mut() = refusal.status;
        response
    })
}

/// Who may call: administrators, the API server by its kubelet client certificate, and whom the API server allows it. Health
/// is everybody's.
async fn authorize(agent: &Agent, caller: Option<&Caller>, request: &Parts) -> Result<(), Refusal> {
    let path = request.uri.path();
    if path == "/healthz" {
        return Ok(());
    }
    let caller = match caller {
        Some(caller) => Some(caller.clone()),
        None => delegated::bearer(agent, &request.headers).await,
    };
    let Some(caller) = caller else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized"));
    };
    if caller.may_use_kubelet() {
        return Ok(());
    }
    let (verb, subresources) = delegated::asked(&request.method, path);
    for subresource in subresources {
        if delegated::may(agent, &caller, verb, subresource).await {
            return Ok(());
        }
    }
    let message = format!(
        "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])",
        caller.name,
        subresources.join(" ")
    );
    Err(Refusal::new(StatusCode::FORBIDDEN, message))
}

async fn route(agent: &Arc<Agent>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["healthz"]) => Ok(text("ok".to_owned())),
        (&Method::GET, ["pods" | "runningpods"]) => pods(agent),
        (&Method::GET, ["containerLogs", namespace, pod, container]) => {
            logs::serve(agent, find(agent, namespace, pod, None)?, container, &query).await
        }
        (&Method::GET | &Method::POST, ["exec", namespace, pod, rest @ ..]) => {
            let (uid, container) = uid_and_container(rest)?;
            let found = find(agent, namespace, pod, uid)?;
            streaming::exec(agent, &found, container, &query, request).await
        }
        (&Method::GET | &Method::POST, ["attach", namespace, pod, rest @ ..]) => {
            let (uid, container) = uid_and_container(rest)?;
            let found = find(agent, namespace, pod, uid)?;
            streaming::attach(agent, &found, container, &query, request).await
        }
        (&Method::GET | &Method::POST, ["portForward", namespace, pod, rest @ ..]) => {
            let found = find(agent, namespace, pod, rest.first().copied())?;
            streaming::port_forward(agent, &found, &query, request).await
        }
        (&Method::GET, ["stats", "summary"]) => statistics::summary(agent).await,
        (&Method::GET, ["metrics"]) => statistics::own_metrics(agent).map(metrics),
        (&Method::GET, ["metrics", "cadvisor"]) => cadvisor::metrics(agent).await.map(metrics),
        (&Method::GET, ["metrics", "resource"]) => statistics::resource_metrics(agent).await.map(metrics),
        _ => Err(Refusal::not_found("404 page not found")),
    }
}

fn uid_and_container<'a>(rest: &[&'a str]) -> Result<(Option<&'a str>, &'a str), Refusal> {
    match rest {
        [container] => Ok((None, container)),
        [uid, container] => Ok((Some(uid), container)),
        _ => Err(Refusal::not_found("404 page not found")),
    }
}

/// A pod of this node; a UID that is given must be its.
fn find(agent: &Agent, namespace: &str, name: &str, uid: Option<&str>) -> Result<Arc<Pod>, Refusal> {
    let is_it = |pod: &&Arc<Pod>| {
        let meta = &pod.metadata;
        meta.namespace.as_deref() == Some(namespace)
            && meta.name.as_deref() == Some(name)
            && uid.is_none_or(|uid| meta.uid.as_deref() == Some(uid))
    };
    let pods = agent.pods();
    pods.iter()
        .find(is_it)
        .cloned()
        .ok_or_else(|| Refusal::not_found(format!("pod {name:?} not found")))
}

fn pods(agent: &Agent) -> Answer {
    #[derive(serde::Serialize)]
    struct PodList {
        kind: &'static str,
        #[serde(rename = "apiVersion")]
        api_version: &'static str,
        metadata: Empty,
        items: Vec<Pod>,
    }
    #[derive(serde::Serialize)]
    struct Empty {}
    let items = agent.pods().iter().map(|pod| Pod::clone(pod)).collect();
    json(&PodList {
        kind: "PodList",
        api_version: "v1",
        metadata: Empty {},
        items,
    })
}

fn json(value: &impl serde::Serialize) -> Answer {
    let bytes = serde_json::to_vec(value).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(with_type("application/json", Bytes::from(bytes)))
}

fn text(message: String) -> Response<Body> {
    with_type("text/plain; charset=utf-8", Bytes::from(message))
}

fn metrics(text: String) -> Response<Body> {
    with_type("text/plain; version=0.0.4; charset=utf-8", Bytes::from(text))
}

fn with_type(kind: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(
        Full::new(bytes)
            .map_err(|never: Infallible| match never {})
            .boxed_unsync(),
    );
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
