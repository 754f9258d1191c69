//! Requests on their way to an aggregated API server: who asks is said in headers, streams and upgrades pass through.
//!
//! Source: `kube-aggregator/pkg/apiserver/handler_proxy.go`, `client-go/transport/round_trippers.go`.

use std::net::SocketAddr;

use access_rules::User;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use kube_types::ObjectKey;
use registry::Context;

use super::{GROUP, PLURAL, Route, connection, judge};
use crate::api::KubeApi;
use crate::connect::{proxy, service_endpoint};
use crate::resources::header;
use crate::respond::{self, Answer};

/// Documents longer than this are refused.
const LONGEST_DOCUMENT: usize = 16 << 20;

/// Passes a request on.
pub(crate) async fn answer(api: &KubeApi, request: Request<Body>, context: &Context, route: &Route) -> Answer {
    let outcome = if route.available || is_available(api, route) {
        forward(api, request, context, route).await
    } else {
        Err("service unavailable".to_owned())
    };
    // Upstream's proxy answers in plain text, which clients word as "currently unable to handle the request".
    outcome.unwrap_or_else(|problem| respond::text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")))
}

/// Whether the APIService says so by now: whoever has read that may ask at once.
fn is_available(api: &KubeApi, route: &Route) -> bool {
    let key = ObjectKey::cluster(route.name.as_str());
    let service = api.0.registry.object(GROUP, PLURAL, &key);
    service.is_some_and(|service| judge::is_available(&service))
}

async fn forward(api: &KubeApi, request: Request<Body>, context: &Context, route: &Route) -> Result<Answer, String> {
    let address = address(api, route).await?;
    let path: Uri = path_of(request.uri())?;
    let (mut parts, body) = request.into_parts();
    identify(&mut parts.headers, &context.user);
    parts.headers.insert("audit-id", header(&context.request_id));
    let request = Request::from_parts(parts, body);
    if request.headers().contains_key(UPGRADE) {
        let backend = &route.backend;
        let stream = connection::open(api, backend, &backend.trust, address, &[b"http/1.1"]).await?;
        let sent = proxy::send(&api.0.supervisor, Box::new(stream), request, path, address).await;
        return sent.map_err(|error| error.message().to_owned());
    }
    let outgoing = proxy::outgoing(request, path, address, false);
    let pool = &api.0.aggregation.connections;
    let response = pool.send(api, &route.backend, address, outgoing).await?;
    Ok(proxy::incoming(response))
}

/// Where the server is; why there is none concerns only whoever runs the cluster.
async fn address(api: &KubeApi, route: &Route) -> Result<SocketAddr, String> {
    let backend = &route.backend;
    let found = service_endpoint(api, &backend.namespace, &backend.service, backend.port).await;
    found.map_err(|error| {
        tracing::debug!(api_service = route.name, %error, "an aggregated API server cannot be found");
        "service unavailable".to_owned()
    })
}

fn path_of(uri: &Uri) -> Result<Uri, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    path.parse().map_err(|error| format!("{path}: {error}"))
}

/// What a server answered to a question of this one's own.
pub(crate) struct Fetched {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Asks the server behind a route for a document, as somebody who may do everything.
pub(crate) async fn fetch(
    api: &KubeApi,
    route: &Route,
    path: &str,
    accept: &str,
    known_tag: Option<&str>,
) -> Result<Fetched, String> {
    let address = address(api, route).await?;
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().map_err(|error| format!("{path}: {error}"))?;
    identify(request.headers_mut(), &checker());
    request.headers_mut().insert(ACCEPT, header(accept));
    if let Some(tag) = known_tag {
        request.headers_mut().insert(http::header::IF_NONE_MATCH, header(tag));
    }
    let pool = &api.0.aggregation.connections;
    let response = pool.send(api, &route.backend, address, request).await?;
    let (parts, body) = response.into_parts();
    let read = Limited::new(body, LONGEST_DOCUMENT).collect().await;
    Ok(Fetched {
        status: parts.status,
        headers: parts.headers,
        body: read.map_err(|error| error.to_string())?.to_bytes(),
    })
}

/// As whom this server asks for documents and checks whether a server is there.
pub(super) fn checker() -> User {
    User {
        name: "system:kube-aggregator".to_owned(),
        groups: vec!["system:masters".to_owned()],
        ..User::default()
    }
}

/// Says who asks. What the client itself says of that is dropped.
pub(super) fn identify(headers: &mut HeaderMap, user: &User) {
    let said: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-remote-"))
        .cloned()
        .collect();
    for name in said {
        headers.remove(name);
    }
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).ok();
    if let Some(name) = value(&user.name) {
        headers.insert("x-remote-user", name);
    }
    if let Some(uid) = user.uid.as_deref().and_then(value) {
        headers.insert("x-remote-uid", uid);
    }
    for group in user.groups.iter().filter_map(|group| value(group)) {
        headers.append("x-remote-group", group);
    }
    for (key, values) in &user.extra {
        let Ok(name) = HeaderName::try_from(format!("x-remote-extra-{}", escaped(key))) else {
            continue;
        };
        for value in values.iter().filter_map(|text| value(text)) {
            headers.append(name.clone(), value);
        }
    }
}

/// Bytes that no header name may have are written as in URLs, and so is the sign that begins them.
fn escaped(key: &str) -> String {
    let mut text = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
