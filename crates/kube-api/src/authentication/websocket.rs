//! Bearer tokens of browsers, which can set no header on a WebSocket but its subprotocols.
//!
//! Source: `apiserver/pkg/authentication/request/websocket/protocol.go`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use registry::StatusError;

const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// Takes the token out of the subprotocols of a request that asks for a WebSocket.
///
/// # Errors
/// 401 when there is a token that cannot be used.
pub(crate) fn take_token(headers: &mut HeaderMap) -> Result<Option<String>, StatusError> {
    let upgrades = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    if !upgrades.is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Ok(None);
    }
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let protocols: Vec<String> = texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(|protocol| protocol.trim().to_owned())
        .collect();
    let (tokens, others): (Vec<String>, Vec<String>) =
        protocols.into_iter().partition(|protocol| protocol.starts_with(PREFIX));
    let [token] = tokens.as_slice() else {
        return if tokens.is_empty() {
            Ok(None)
        } else {
            Err(refused("multiple base64.bearer.authorization tokens specified"))
        };
    };
    // The server must choose a protocol, and a token is none.
    if others.is_empty() {
        return Err(refused("missing additional subprotocol"));
    }
    let decoded = URL_SAFE_NO_PAD.decode(&token[PREFIX.len()..]);
    let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let token = text.ok_or_else(|| refused("invalid base64.bearer.authorization token encoding"))?;
    if let Ok(rest) = HeaderValue::from_str(&others.join(",")) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, rest);
    }
    Ok(Some(token))
}

fn refused(problem: &str) -> StatusError {
    tracing::info!(problem, "WebSocket token refused");
    StatusError::unauthorized()
}
