//! Port-forward sessions: pairs of SPDY streams (data and error), or pairs of WebSocket channels for the oldest clients.

use std::collections::BTreeMap;

use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, SinkExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::spdy::session::{self, ClientStream};
use crate::streams::PortTarget;
use crate::websocket::channel::{Encoding, normal_close};

/// Bytes buffered for each direction of a channel.
const PIPE: usize = 32 * 1024;

/// Serves a session of SPDY streams: each `requestid` brings an error and a data stream for one connection.
pub(crate) async fn serve_spdy<T>(transport: T, target: &dyn PortTarget)
where
    T: AsyncRead + AsyncWrite + Send,
{
    session::run(transport, |mut incoming| async move {
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                stream = incoming.recv() => {
                    let Some(stream) = stream else { return };
                    if let Some((port, pair)) = pair_up(&mut pairs, stream) {
                        running.push(forward(port, pair, target));
                    }
                }
                Some(()) = running.next(), if !running.is_empty() => {}
            }
        }
    })
    .await;
}

#[derive(Default)]
struct Pair {
    data: Option<DuplexStream>,
    error: Option<DuplexStream>,
}

/// Keeps `stream` until its twin has come. A stream without a usable port or type is dropped, which closes it.
fn pair_up(pairs: &mut BTreeMap<String, Pair>, stream: ClientStream) -> Option<(u16, Pair)> {
    let port = stream
        .headers
        .get("port")
        .and_then(|port| port.parse().ok())
        .filter(|port| *port != 0);
    let Some(port) = port else {
        tracing::debug!(headers = ?stream.headers, "port-forward stream without a valid port");
        return None;
    };
    // Clients before 1.2 send no request id; then the port itself pairs the two.
    let request = stream
        .headers
        .get("requestid")
        .cloned()
        .unwrap_or_else(|| format!("port {port}"));
    let pair = pairs.entry(request.clone()).or_default();
    match stream.headers.get("streamtype").map(String::as_str) {
        Some("data") => pair.data = Some(stream.io),
        Some("error") => pair.error = Some(stream.io),
        other => {
            tracing::debug!(?other, "unexpected stream type");
            return None;
        }
    }
    if pair.data.is_some() && pair.error.is_some() {
        return pairs.remove(&request).map(|pair| (port, pair));
    }
    None
}

/// Copies one connection; both streams end (FIN) when it does.
async fn forward(port: u16, pair: Pair, target: &dyn PortTarget) {
    let (Some(mut data), Some(mut error)) = (pair.data, pair.error) else {
        return;
    };
    if let Some(message) = copy(port, &mut data, target).await
        && let Err(gone) = error.write_all(message.as_bytes()).await
    {
        tracing::debug!(error = %gone, "client went away before it learnt of a failed connection");
    }
}

async fn copy(port: u16, data: &mut DuplexStream, target: &dyn PortTarget) -> Option<String> {
    let mut connection = match target.connect(port).await {
        Ok(connection) => connection,
        Err(error) => return Some(error.to_string()),
    };
    match tokio::io::copy_bidirectional(data, &mut connection).await {
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(port, %error, "forwarded connection broke");
            None
        }
    }
}

/// Serves `v4.channel.k8s.io`: channels 2i (data) and 2i+1 (error) for the i-th port, one connection each. Each channel
/// starts with its port as two little-endian bytes.
pub(crate) async fn serve_channels<T>(io: T, protocol: &str, ports: &[u16], target: &dyn PortTarget)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let encoding = Encoding::of(protocol);
    let (mut sink, mut source) = crate::websocket::accept(io).await.split();
    let (messages, mut queue) = mpsc::channel::<Message>(8);
    let mut inputs = Vec::new();
    let connections = FuturesUnordered::new();
    for (index, port) in ports.iter().enumerate().take(64) {
        let (theirs, ours) = tokio::io::duplex(PIPE);
        let (from, to) = tokio::io::split(ours);
        inputs.push(to);
        let channel = (index * 2) as u8;
        connections.push(channel_connection(channel, *port, theirs, from, encoding, messages.clone(), target).boxed());
    }
    drop(messages);
    let reading = async {
        while let Some(Ok(message)) = source.next().await {
            let Some((channel, payload)) = encoding.decode(&message) else {
                continue;
            };
            let input = inputs.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
            if let Some(input) = input
                && let Err(error) = input.write_all(&payload).await
            {
                tracing::debug!(%error, "forwarded connection no longer reads");
            }
        }
    };
    let writing = async {
        while let Some(message) = queue.recv().await {
            sink.send(message).await?;
        }
        sink.send(normal_close()).await
    };
    let work = async { tokio::join!(connections.collect::<()>(), writing) };
    tokio::select! {
        () = reading => {}
        ((), result) = work => if let Err(error) = result {
            tracing::debug!(%error, "streaming client went away");
        },
    }
}

async fn channel_connection(
    channel: u8,
    port: u16,
    mut theirs: DuplexStream,
    mut from: tokio::io::ReadHalf<DuplexStream>,
    encoding: Encoding,
    messages: mpsc::Sender<Message>,
    target: &dyn PortTarget,
) {
    let send = async |channel: u8, payload: &[u8]| messages.send(encoding.encode(channel, payload)).await.is_ok();
    if !(send(channel, &port.to_le_bytes()).await && send(channel + 1, &port.to_le_bytes()).await) {
        return;
    }
    let outgoing = async {
        let mut buffer = vec![0; PIPE];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if !send(channel, &buffer[..count]).await {
                return;
            }
        }
    };
    let connection = async move { copy(port, &mut theirs, target).await };
    let mut outgoing = std::pin::pin!(outgoing);
    let failure = tokio::select! {
        failure = connection => {
            outgoing.await;
            failure
        }
        // A channel cannot tell that it is at its end, only the session can: what the port has closed is over in both directions.
        () = &mut outgoing => None,
    };
    if let Some(message) = failure
        && !send(channel + 1, message.as_bytes()).await
    {
        tracing::debug!("client went away before it learnt of a failed connection");
    }
}
