//! Which of the streaming protocols a request asks for, and the 101 answer that accepts it.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::status::refusal_json;

/// How the bytes after the 101 are framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// RFC 6455 messages; the chosen subprotocol, empty when the client named none.
    WebSocket(String),
    /// SPDY/3.1 frames; the chosen `X-Stream-Protocol-Version`, empty when the client named none.
    Spdy(String),
}

/// Why a request cannot be streamed to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("Upgrade request required")]
    NotAnUpgrade,
    #[error("unable to upgrade: missing Sec-WebSocket-Key")]
    MissingKey,
    #[error("unable to upgrade: unsupported Sec-WebSocket-Version")]
    Version,
    #[error("unable to upgrade: unable to negotiate protocol: client supports {client:?}, server supports {server:?}")]
    NoCommonProtocol { client: Vec<String>, server: Vec<String> },
}

const STREAM_PROTOCOL: &str = "x-stream-protocol-version";
const ACCEPTED_STREAM_PROTOCOLS: &str = "x-accepted-stream-protocol-versions";

/// Chooses the framing. `websocket` and `spdy` are what the server offers, best first; an empty string in a list means
/// that a client which names no protocol is accepted.
pub(crate) fn choose(headers: &HeaderMap, websocket: &[&str], spdy: &[&str]) -> Result<Framing, Refusal> {
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(Refusal::NotAnUpgrade);
    }
    if has_token(headers, header::UPGRADE, "websocket") {
        if !headers.contains_key(header::SEC_WEBSOCKET_KEY) {
            return Err(Refusal::MissingKey);
        }
        if headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_none_or(|version| version.as_bytes() != b"13")
        {
            return Err(Refusal::Version);
        }
        return common(headers, header::SEC_WEBSOCKET_PROTOCOL.as_str(), websocket).map(Framing::WebSocket);
    }
    if has_token(headers, header::UPGRADE, "spdy/3.1") {
        return common(headers, STREAM_PROTOCOL, spdy).map(Framing::Spdy);
    }
    Err(Refusal::NotAnUpgrade)
}

/// The first protocol of the client's list that the server has, as client-go's handshake does.
fn common(headers: &HeaderMap, name: &str, server: &[&str]) -> Result<String, Refusal> {
    let client: Vec<String> = tokens(headers, name).collect();
    if client.is_empty() && server.contains(&"") {
        return Ok(String::new());
    }
    match client.iter().find(|asked| server.contains(&asked.as_str())) {
        Some(found) => Ok(found.clone()),
        None => Err(Refusal::NoCommonProtocol {
            client,
            server: server.iter().map(|s| (*s).to_owned()).collect(),
        }),
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = String> + 'a {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|token| token.trim().to_owned())
        .filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    tokens(headers, name.as_str()).any(|found| found.eq_ignore_ascii_case(token))
}

/// The 101 that accepts `framing` for `request`.
pub(crate) fn accept<B>(request: &Request<B>, framing: &Framing) -> Response<Full<bytes::Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let (protocol_header, protocol) = match framing {
        Framing::WebSocket(protocol) => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            if let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) {
                let accept = derive_accept_key(key.as_bytes());
                headers.insert(
                    header::SEC_WEBSOCKET_ACCEPT,
                    HeaderValue::from_str(&accept).expect("base64 is a valid header value"),
                );
            }
            (header::SEC_WEBSOCKET_PROTOCOL.as_str(), protocol)
        }
        Framing::Spdy(protocol) => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
            (STREAM_PROTOCOL, protocol)
        }
    };
    if !protocol.is_empty() {
        let value = HeaderValue::from_str(protocol).expect("it is one of the server's own names");
        headers.insert(protocol_header, value);
    }
    response
}

/// The answer to a request that cannot be upgraded.
pub(crate) fn refuse(refusal: &Refusal) -> Response<Full<bytes::Bytes>> {
    let (code, reason) = match refusal {
        Refusal::NoCommonProtocol { .. } => (StatusCode::FORBIDDEN, "Forbidden"),
        Refusal::NotAnUpgrade | Refusal::MissingKey | Refusal::Version => (StatusCode::BAD_REQUEST, "BadRequest"),
    };
    let body = refusal_json(code.as_u16(), reason, &refusal.to_string());
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Refusal::NoCommonProtocol { server, .. } = refusal {
        for protocol in server.iter().filter(|name| !name.is_empty()) {
            let value = HeaderValue::from_str(protocol).expect("it is one of the server's own names");
            response.headers_mut().append(ACCEPTED_STREAM_PROTOCOLS, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBSOCKET: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io", ""];
    const SPDY: &[&str] = &["v4.channel.k8s.io", "v3.channel.k8s.io"];

    fn check(pairs: &[(&'static str, &'static str)], expected: Result<Framing, &str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let found = choose(&headers, WEBSOCKET, SPDY).map_err(|refusal| refusal.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{pairs:?}");
    }

    #[test]
    fn protocols_are_negotiated_as_upstream() {
        let ws = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "x"),
        ];
        let with = |more: &[(&'static str, &'static str)]| [&ws[..], more].concat();
        let v13 = ("sec-websocket-version", "13");
        check(&with(&[v13]), Ok(Framing::WebSocket(String::new())));
        check(
            &with(&[v13, ("sec-websocket-protocol", "v9.channel.k8s.io, v5.channel.k8s.io")]),
            Ok(Framing::WebSocket("v5.channel.k8s.io".into())),
        );
        check(
            &with(&[("sec-websocket-version", "8")]),
            Err("unable to upgrade: unsupported Sec-WebSocket-Version"),
        );
        let spdy = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
        check(
            &[
                &spdy[..],
                &[
                    (STREAM_PROTOCOL, "v4.channel.k8s.io"),
                    (STREAM_PROTOCOL, "v3.channel.k8s.io"),
                ],
            ]
            .concat(),
            Ok(Framing::Spdy("v4.channel.k8s.io".into())),
        );
        check(
            &[&spdy[..], &[(STREAM_PROTOCOL, "v1")]].concat(),
            Err(
                r#"unable to upgrade: unable to negotiate protocol: client supports ["v1"], server supports ["v4.channel.k8s.io", "v3.channel.k8s.io"]"#,
            ),
        );
        check(&[], Err("Upgrade request required"));
    }
}
