//! Requests that end in a node or a pod: logs, exec, attach, port-forward and the proxies.
//!
//! The streams themselves are not understood here: an upgraded connection is copied byte by byte to the node's agent.

mod locate;
mod pages;
pub(crate) mod proxy;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use futures::future::BoxFuture;
use http::header::{HOST, LOCATION};
use http::uri::Authority;
use http::{Request, StatusCode, Uri};
use kube_types::api::core::v1::{Node, Pod};
use registry::{StatusError, Subject};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use self::pages::Way;
use crate::api::{Call, KubeApi, ServeError};
use crate::pki::ClusterPki;
use crate::resources::header;
use crate::respond::{self, Answer};
use crate::trust::{Trust, client_config};

/// A connection in both directions.
pub trait AsyncReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> AsyncReadWrite for T {}

/// Opens connections to addresses of the cluster's VPC: nodes and pods.
pub trait NodeDialer: Send + Sync {
    /// Connects to `to` from inside the VPC.
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn AsyncReadWrite>>>;
}

/// TLS to the nodes' agents: as the API server's kubelet client, trusting the cluster's CA.
pub(crate) struct NodeTls(TlsConnector);

impl NodeTls {
    pub(crate) fn new(pki: &ClusterPki) -> Result<Self, ServeError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(crate::serve::certificate(pki.ca_pem())?)?;
        let (chain, key) = ClusterPki::rustls_pair(pki.kubelet_client())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// A ready endpoint of a Service's port.
pub(crate) async fn service_endpoint(
    api: &KubeApi,
    namespace: &str,
    name: &str,
    port: u16,
) -> Result<SocketAddr, StatusError> {
    let port = port.to_string();
    let wanted = locate::ProxyName {
        scheme: "",
        name,
        port: &port,
    };
    locate::service_address(api, namespace, &wanted).await
}

/// Where a request goes on to.
enum Destination {
    /// A node's agent, over TLS.
    Agent { address: SocketAddr, path: String },
    /// A port of a pod, a service or a node.
    Port {
        address: SocketAddr,
        path: String,
        speaks: Speaks,
    },
}

/// What a port that is proxied to speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Plain,
    /// TLS, with whatever certificate: as upstream, nobody says which one it should be.
    Tls,
}

/// Answers a request for a connect subresource.
pub(crate) async fn answer(api: &KubeApi, request: Request<Body>, call: &Call) -> Result<Answer, StatusError> {
    let info = &call.info;
    match (info.resource.as_str(), info.subresource.as_str()) {
        ("pods", "log") => log(api, request, call).await,
        ("pods", "exec" | "attach") => {
            let (pod, node) = pod_and_node(api, call).await?;
            let container = locate::running_container(&pod, parameter(call, "container"))?;
            let (namespace, name) = (&info.namespace, &info.name);
            let query = locate::stream_query(&call.query);
            let path = format!("/{}/{namespace}/{name}/{container}?{query}", info.subresource);
            let address = agent_address(&node)?;
            forward(api, request, Destination::Agent { address, path }).await
        }
        ("pods", "portforward") => {
            let (_, node) = pod_and_node(api, call).await?;
            let query = locate::port_query(&call.query);
            let path = format!("/portForward/{}/{}?{query}", info.namespace, info.name);
            let address = agent_address(&node)?;
            forward(api, request, Destination::Agent { address, path }).await
        }
        (_, "proxy") => proxied(api, request, call).await,
        (resource, subresource) => Err(StatusError::new(
            501,
            "NotImplemented",
            format!("{resource}/{subresource} is not served"),
        )),
    }
}

/// The output of a container, whole or followed.
async fn log(api: &KubeApi, request: Request<Body>, call: &Call) -> Result<Answer, StatusError> {
    locate::check_log_options(&call.query, &call.info.name)?;
    let pod = pod(api, call).await?;
    let container = locate::container(&pod, parameter(call, "container"))?;
    let Some(node_name) = locate::node_name(&pod) else {
        return Ok(respond::text(StatusCode::OK, ""));
    };
    let address = agent_address(&node(api, node_name).await?)?;
    let query = locate::log_query(&call.query);
    let path = format!(
        "/containerLogs/{}/{}/{container}?{query}",
        call.info.namespace, call.info.name
    );
    let mut answer = forward(api, request, Destination::Agent { address, path }).await?;
    if answer.status() != StatusCode::OK {
        let subject = Subject::new("", "pods");
        return Err(proxy::status_of(answer, &subject, &call.info.name).await);
    }
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, header("text/plain"));
    Ok(answer)
}

async fn proxied(api: &KubeApi, request: Request<Body>, call: &Call) -> Result<Answer, StatusError> {
    let info = &call.info;
    if info.rest.is_empty() && matches!(*request.method(), http::Method::GET | http::Method::HEAD) {
        let query = request
            .uri()
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let mut answer = respond::text(StatusCode::MOVED_PERMANENTLY, "");
        answer
            .headers_mut()
            .insert(LOCATION, header(&format!("{}/{query}", info.path)));
        return Ok(answer);
    }
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let path = if info.rest.is_empty() {
        format!("/{query}")
    } else {
        format!("{}{query}", info.rest)
    };
    let wanted = locate::ProxyName::parse(&info.name, &info.resource)?;
    let speaks = if wanted.scheme == "https" {
        Speaks::Tls
    } else {
        Speaks::Plain
    };
    let destination = match info.resource.as_str() {
        "nodes" => {
            let agent = agent_address(&node(api, wanted.name).await?)?;
            match locate::other_port(agent, wanted.port)? {
                None => Destination::Agent { address: agent, path },
                Some(address) => Destination::Port { address, path, speaks },
            }
        }
        "pods" => {
            let pod: Pod = locate::object(api, "pods", Some(&info.namespace), wanted.name).await?;
            let address = locate::pod_address(&pod, &wanted)?;
            Destination::Port { address, path, speaks }
        }
        "services" => {
            let address = locate::service_address(api, &info.namespace, &wanted).await?;
            Destination::Port { address, path, speaks }
        }
        other => {
            return Err(StatusError::new(
                501,
                "NotImplemented",
                format!("{other}/proxy is not served"),
            ));
        }
    };
    through(api, request, destination, &info.path, &info.rest).await
}

/// A page by a proxy: what it says about its own host becomes what leads through here.
async fn through(
    api: &KubeApi,
    mut request: Request<Body>,
    to: Destination,
    path: &str,
    rest: &str,
) -> Result<Answer, StatusError> {
    let target = match &to {
        Destination::Agent { address, .. } | Destination::Port { address, .. } => *address,
    };
    let asked = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let asked = asked.or_else(|| request.uri().authority().map(Authority::as_str));
    let way = Way {
        prefix: path.strip_suffix(rest).unwrap_or(path).trim_end_matches('/').to_owned(),
        target: target.to_string(),
        asked: asked.unwrap_or_default().to_owned(),
    };
    let forwarded = header(&way.path(rest));
    request.headers_mut().insert(pages::FORWARDED_URI, forwarded);
    let answer = forward(api, request, to).await?;
    way.answer(answer).await
}

async fn forward(api: &KubeApi, request: Request<Body>, to: Destination) -> Result<Answer, StatusError> {
    let (address, path, speaks) = match &to {
        Destination::Agent { address, path } => (*address, path, None),
        Destination::Port { address, path, speaks } => (*address, path, Some(*speaks)),
    };
    let failed = |error: &dyn std::fmt::Display| {
        if speaks.is_some() {
            StatusError::unavailable(format!("error trying to reach service: dial tcp {address}: {error}"))
        } else {
            StatusError::internal(format!("error dialing backend: dial tcp {address}: {error}"))
        }
    };
    let uri: Uri = path
        .parse()
        .map_err(|error| StatusError::bad_request(format!("path {path:?}: {error}")))?;
    let stream = api.0.dialer.dial(address).await.map_err(|error| failed(&error))?;
    let connector = match speaks {
        Some(Speaks::Plain) => return proxy::send(&api.0.supervisor, stream, request, uri, address).await,
        Some(Speaks::Tls) => {
            let config = client_config(&Trust::Anybody, None, &[b"http/1.1"]).map_err(StatusError::internal)?;
            TlsConnector::from(Arc::new(config))
        }
        None => api.0.node_tls.0.clone(),
    };
    let name = ServerName::IpAddress(address.ip().into());
    let stream = connector.connect(name, stream).await.map_err(|error| failed(&error))?;
    proxy::send(&api.0.supervisor, Box::new(stream), request, uri, address).await
}

async fn pod(api: &KubeApi, call: &Call) -> Result<Pod, StatusError> {
    locate::object(api, "pods", Some(&call.info.namespace), &call.info.name).await
}

async fn node(api: &KubeApi, name: &str) -> Result<Node, StatusError> {
    locate::object(api, "nodes", None, name).await
}

async fn pod_and_node(api: &KubeApi, call: &Call) -> Result<(Pod, Node), StatusError> {
    let pod = pod(api, call).await?;
    let name = locate::node_name(&pod)
        .ok_or_else(|| StatusError::bad_request(format!("pod {} does not have a host assigned", call.info.name)))?;
    let node = node(api, name).await?;
    Ok((pod, node))
}

fn agent_address(node: &Node) -> Result<SocketAddr, StatusError> {
    locate::agent_address(node)
}

fn parameter<'a>(call: &'a Call, name: &str) -> &'a str {
    call.query
        .iter()
        .find(|(key, _)| key == name)
        .map_or("", |(_, value)| value.as_str())
}
