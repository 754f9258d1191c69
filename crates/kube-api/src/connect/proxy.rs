//! One HTTP exchange over a connection that is already open, with the upgrade passed through untouched.

use std::net::SocketAddr;

use axum::body::Body;
use http::header::{AUTHORIZATION, CONNECTION, HOST, UPGRADE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use registry::{StatusError, Subject};
use supervision::Supervisor;
use tokio::io::AsyncWriteExt;

use super::AsyncReadWrite;
use crate::resources::header;
use crate::respond::Answer;
use crate::serve::is_of_the_connection;

/// How much of an agent's error text is repeated. Source: `GenericHttpResponseChecker`.
const LONGEST_ERROR: usize = 50_000;

/// Sends `request` to `uri` over `stream`. When the other side switches protocols, so does the client's connection, and
/// a task copies bytes in both directions until one side ends.
pub(crate) async fn send(
    tasks: &Supervisor,
    stream: Box<dyn AsyncReadWrite>,
    mut request: Request<Body>,
    uri: Uri,
    address: SocketAddr,
) -> Result<Answer, StatusError> {
    let client = hyper::upgrade::on(&mut request);
    let upgrades = request.headers().contains_key(UPGRADE);
    let outgoing = outgoing(request, uri, address, upgrades);
    let failed = |error: hyper::Error| StatusError::unavailable(format!("error trying to reach {address}: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tasks.spawn_until_cancelled(format!("proxy to {address}"), async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "proxied connection ended");
        }
    });
    let mut response = sender.send_request(outgoing).await.map_err(failed)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(incoming(response));
    }
    let server = hyper::upgrade::on(&mut response);
    tasks.spawn_until_cancelled(format!("stream to {address}"), async move {
        if let Err(error) = copy(client, server).await {
            tracing::debug!(%address, error = %supervision::error_chain(error.as_ref()), "stream ended");
        }
    });
    let (mut parts, _) = response.into_parts();
    parts.extensions.clear();
    Ok(Response::from_parts(parts, Body::empty()))
}

/// Copies in both directions until one side ends, as upstream's proxy does: neither protocol half-closes a connection.
async fn copy(client: OnUpgrade, server: OnUpgrade) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (client, server) = tokio::try_join!(client, server)?;
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_server, mut to_server) = tokio::io::split(TokioIo::new(server));
    tokio::select! {
        up = tokio::io::copy(&mut from_client, &mut to_server) => up?,
        down = tokio::io::copy(&mut from_server, &mut to_client) => down?,
    };
    to_client.shutdown().await?;
    to_server.shutdown().await?;
    Ok(())
}

/// Credentials stay here: the other side knows the API server by its own.
pub(crate) fn outgoing(request: Request<Body>, uri: Uri, address: SocketAddr, upgrades: bool) -> Request<Body> {
    let (parts, body) = request.into_parts();
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = uri;
    for (name, value) in &parts.headers {
        let of_upgrade = *name == CONNECTION || *name == UPGRADE;
        let private = *name == AUTHORIZATION || name.as_str().starts_with("impersonate-");
        if private || is_of_the_connection(name) || (of_upgrade && !upgrades) {
            continue;
        }
        outgoing.headers_mut().append(name.clone(), value.clone());
    }
    outgoing.headers_mut().insert(HOST, header(&address.to_string()));
    outgoing
}

/// An answer without what concerns only the connection it came by.
pub(crate) fn incoming(response: Response<hyper::body::Incoming>) -> Answer {
    let (mut parts, body) = response.into_parts();
    let of_connection: Vec<_> = parts
        .headers
        .keys()
        .filter(|name| **name == CONNECTION || is_of_the_connection(name))
        .cloned()
        .collect();
    for name in of_connection {
        parts.headers.remove(name);
    }
    parts.version = http::Version::default();
    parts.extensions.clear();
    Response::from_parts(parts, Body::new(body))
}

/// An agent's refusal as a `Status`, by upstream's rules.
pub(super) async fn status_of(answer: Answer, subject: &Subject, name: &str) -> StatusError {
    let code = answer.status().as_u16();
    let text = match Limited::new(answer.into_body(), LONGEST_ERROR).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => error.to_string(),
    };
    match code {
        400 => StatusError::bad_request(text),
        404 => {
            let message = format!(
                "the server could not find the requested resource ( {} {name})",
                subject.kind
            );
            StatusError::new(404, "NotFound", message).with_cause("UnexpectedServerResponse", text, "")
        }
        500 => StatusError::internal(text),
        _ => StatusError::new(i32::from(code), "", text),
    }
}
