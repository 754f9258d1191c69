//! Watches on the wire: JSON objects one after another, length-delimited protobuf frames, or messages of a WebSocket.

use std::convert::Infallible;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{SinkExt, Stream, StreamExt, stream};
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use registry::{Encoding, StatusError, Target, WatchEvent, WatchOptions};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::api::{Call, KubeApi};
use crate::respond::{self, Answer};

/// A watch without a deadline of its own gets one between this and twice this.
const SHORTEST_SECONDS: u64 = 1800;
/// Events that are there together are sent together, up to so many bytes: each piece costs a frame and a wake-up, and
/// every watcher holds one until its client reads it.
const PIECE: usize = 8 << 10;

/// Starts a watch. Its stream is cut when the API drains, so that clients reconnect elsewhere.
pub(crate) async fn answer(
    api: &KubeApi,
    request: Request<Body>,
    call: &Call,
    target: &Target,
) -> Result<Answer, StatusError> {
    let mut options = WatchOptions::from_query(&call.query)?;
    if options.timeout.is_none() {
        let seconds = SHORTEST_SECONDS + api.0.random.below(SHORTEST_SECONDS);
        options.timeout = Some(Duration::from_secs(seconds));
    }
    let encoding = call.context.encoding;
    let reply = api.0.registry.watch(&call.context, target, options).await?;
    let events = reply.events.take_until(Box::pin(api.0.supervisor.cancelled()));
    if let Some(key) = websocket_key(request.headers()) {
        return Ok(over_websocket(api, request, &key, events, encoding));
    }
    let media_type = match encoding {
        Encoding::Json => "application/json",
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
    };
    let pieces = pieces(events, encoding).map(Ok::<Bytes, Infallible>);
    Ok(respond::with_type(
        StatusCode::OK,
        media_type,
        Body::from_stream(pieces),
    ))
}

/// The stream as it is sent: what is ready at the same time in one piece.
fn pieces(events: impl Stream<Item = WatchEvent>, encoding: Encoding) -> impl Stream<Item = Bytes> {
    let mut events = Box::pin(events.fuse());
    stream::poll_fn(move |context| {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            match events.as_mut().poll_next(context) {
                Poll::Ready(Some(event)) => write(&event, encoding, &mut piece),
                Poll::Pending if piece.is_empty() => return Poll::Pending,
                Poll::Ready(None) if piece.is_empty() => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(piece.into()))
    })
}

fn write(event: &WatchEvent, encoding: Encoding, into: &mut Vec<u8>) {
    match encoding {
        Encoding::Json => event.write_line(into),
        Encoding::Protobuf => event.write_frame(into),
    }
}

/// The key of a request that wants to become a WebSocket.
fn websocket_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrades = headers.get(UPGRADE)?.to_str().ok()?;
    let wanted = upgrades
        .split(',')
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"));
    headers.get(SEC_WEBSOCKET_KEY).filter(|_| wanted).cloned()
}

/// One message for each event: text for JSON, binary for protobuf. What the client sends is not looked at, but its
/// closing ends the watch.
fn over_websocket(
    api: &KubeApi,
    mut request: Request<Body>,
    key: &HeaderValue,
    events: impl Stream<Item = WatchEvent> + Send + 'static,
    encoding: Encoding,
) -> Answer {
    let upgraded = hyper::upgrade::on(&mut request);
    api.0.supervisor.spawn("watch over WebSocket", async move {
        let upgraded = match upgraded.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => return tracing::debug!(%error, "a watch has not become a WebSocket"),
        };
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        let (mut to_client, mut from_client) = socket.split();
        let messages = events.map(|event| Ok(message(&event, encoding)));
        let sent = async {
            to_client.send_all(&mut std::pin::pin!(messages)).await?;
            to_client.close().await
        };
        let closed = async { while let Some(Ok(_ignored)) = from_client.next().await {} };
        tokio::select! {
            sent = sent => if let Err(error) = sent {
                tracing::debug!(%error, "a watch over WebSocket ended");
            },
            () = closed => {}
        }
    });
    let mut answer = respond::with_type(StatusCode::SWITCHING_PROTOCOLS, "application/json", Body::empty());
    let headers = answer.headers_mut();
    headers.clear();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

fn message(event: &WatchEvent, encoding: Encoding) -> Message {
    let mut written = Vec::new();
    write(event, encoding, &mut written);
    match (encoding, std::str::from_utf8(&written)) {
        (Encoding::Json, Ok(text)) => Message::text(text.trim_end()),
        _ => Message::binary(written),
    }
}

#[cfg(test)]
mod tests {
    use registry::WatchEventKind;

    use super::*;

    #[tokio::test]
    async fn events_that_are_ready_together_leave_in_pieces_of_a_bounded_size() {
        let event = |size: usize| WatchEvent {
            kind: WatchEventKind::Added,
            object: Bytes::from(vec![b'1'; size]),
            revision: 1,
        };
        let events = [event(10), event(20), event(PIECE), event(30), event(40)];
        let whole: usize = events.iter().map(|event| event.object.len()).sum();
        let sent: Vec<Bytes> = pieces(stream::iter(events), Encoding::Json).collect().await;
        let lines: Vec<usize> = sent
            .iter()
            .map(|piece| piece.iter().filter(|byte| **byte == b'\n').count())
            .collect();
        assert_eq!(lines, [3, 2]);
        let frame = "{\"type\":\"ADDED\",\"object\":}\n".len();
        assert_eq!(sent.concat().len(), whole + 5 * frame);
    }
}
