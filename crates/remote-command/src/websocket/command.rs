//! Exec and attach over WebSocket: `v5.channel.k8s.io`, `v4`, their base64 form, and the two nameless older ones.

use std::pin::pin;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::channel::{Encoding, normal_close};
use crate::status::{status_json, status_text};
use crate::streams::{CommandIo, CommandTarget, Size, StreamSelection};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// v5 only: the next byte names the channel that the client has finished.
const CLOSE: u8 = 255;

/// How long a client may take to answer our close before the connection is cut.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Bytes buffered for each stream.
const PIPE: usize = 32 * 1024;

/// Serves one command over an accepted WebSocket connection.
pub(crate) async fn serve<T>(io: T, protocol: &str, selection: StreamSelection, target: &dyn CommandTarget)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let encoding = Encoding::of(protocol);
    let json_status = protocol.starts_with("v4.") || protocol.starts_with("v5.");
    let (mut sink, source) = super::accept(io).await.split();
    let (messages, mut queue) = mpsc::channel::<Message>(8);
    let (stdin_writer, stdin) = pipe(selection.stdin);
    let (stdout, stdout_reader) = pipe(selection.stdout);
    let (stderr, stderr_reader) = pipe(selection.stderr && !selection.tty);
    let (sizes, resize) = mpsc::channel(4);
    let command = CommandIo {
        stdin: stdin.map(|io| Box::new(io) as _),
        stdout: stdout.map(|io| Box::new(io) as _),
        stderr: stderr.map(|io| Box::new(io) as _),
        resize,
    };
    let input = Input {
        encoding,
        close_allowed: protocol.starts_with("v5."),
        stdin: stdin_writer,
        sizes,
    };
    let work = async move {
        // An empty message tells clients that wait for a first one that the streams are open.
        let first = if selection.stdout { STDOUT } else { ERROR };
        send(&messages, encoding.encode(first, &[])).await;
        let (outcome, (), ()) = tokio::join!(
            target.run(command),
            forward(STDOUT, encoding, stdout_reader, &messages),
            forward(STDERR, encoding, stderr_reader, &messages),
        );
        let report = if json_status {
            status_json(&outcome)
        } else {
            status_text(&outcome)
        };
        if !report.is_empty() {
            send(&messages, encoding.encode(ERROR, &report)).await;
        }
        send(&messages, normal_close()).await;
    };
    let writing = async move {
        while let Some(message) = queue.recv().await {
            if let Err(error) = sink.send(message).await {
                tracing::debug!(%error, "streaming client went away");
                return;
            }
        }
    };
    let both = async { tokio::join!(work, writing) };
    let mut reading = pin!(input.run(source));
    tokio::select! {
        ((), ()) = both => {}
        () = &mut reading => return,
    }
    if let Err(limit) = tokio::time::timeout(CLOSE_LIMIT, reading).await {
        tracing::debug!(%limit, "streaming client did not answer the close");
    }
}

fn pipe(wanted: bool) -> (Option<DuplexStream>, Option<DuplexStream>) {
    if wanted {
        Some(tokio::io::duplex(PIPE)).unzip()
    } else {
        (None, None)
    }
}

async fn forward(channel: u8, encoding: Encoding, from: Option<DuplexStream>, messages: &mpsc::Sender<Message>) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; PIPE];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        send(messages, encoding.encode(channel, &buffer[..count])).await;
    }
}

async fn send(messages: &mpsc::Sender<Message>, message: Message) {
    if messages.send(message).await.is_err() {
        tracing::trace!("client is gone");
    }
}

/// What the client sends.
struct Input {
    encoding: Encoding,
    close_allowed: bool,
    stdin: Option<DuplexStream>,
    sizes: mpsc::Sender<Size>,
}

impl Input {
    /// Returns when the client closes the connection or is gone.
    async fn run<T>(mut self, mut source: futures::stream::SplitStream<WebSocketStream<T>>)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(Ok(message)) = source.next().await {
            if let Some((channel, payload)) = self.encoding.decode(&message) {
                self.take(channel, &payload).await;
            }
        }
    }

    async fn take(&mut self, channel: u8, payload: &[u8]) {
        match channel {
            STDIN => {
                // A command that closed its input goes on without it.
                if let Some(stdin) = &mut self.stdin
                    && stdin.write_all(payload).await.is_err()
                {
                    self.stdin = None;
                }
            }
            RESIZE => match serde_json::from_slice(payload) {
                Ok(size) => {
                    if self.sizes.send(size).await.is_err() {
                        tracing::trace!("command does not want terminal sizes");
                    }
                }
                Err(error) => tracing::debug!(%error, "terminal size is not as expected"),
            },
            CLOSE if self.close_allowed => {
                if payload.first() == Some(&STDIN) {
                    self.stdin = None;
                }
            }
            other => tracing::debug!(channel = other, "message on a channel that clients do not write"),
        }
    }
}
