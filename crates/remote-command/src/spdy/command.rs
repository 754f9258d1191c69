//! Exec and attach over SPDY streams named by their `streamtype` header.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;

use super::session::{self, ClientStream};
use crate::status::{status_json, status_text};
use crate::streams::{CommandIo, CommandTarget, Size, StreamSelection};

/// Upstream's StreamCreationTimeout.
const CREATION_LIMIT: Duration = Duration::from_secs(30);

/// Serves one command over `transport`; `protocol` is the negotiated `X-Stream-Protocol-Version`.
pub(crate) async fn serve<T>(transport: T, protocol: &str, selection: StreamSelection, target: &dyn CommandTarget)
where
    T: AsyncRead + AsyncWrite + Send,
{
    let version = version(protocol);
    session::run(transport, |incoming| async move {
        match tokio::time::timeout(CREATION_LIMIT, collect(incoming, selection, version)).await {
            Ok(Some((streams, _later))) => run(streams, version, selection, target).await,
            Ok(None) => tracing::debug!("client went away before it opened the streams of its command"),
            Err(limit) => tracing::debug!(%limit, "timed out waiting for client to create streams"),
        }
    })
    .await;
}

fn version(protocol: &str) -> u8 {
    match protocol.as_bytes() {
        [b'v', digit @ b'2'..=b'9', b'.', ..] => digit - b'0',
        _ => 1,
    }
}

#[derive(Default)]
struct Streams {
    error: Option<DuplexStream>,
    stdin: Option<DuplexStream>,
    stdout: Option<DuplexStream>,
    stderr: Option<DuplexStream>,
    resize: Option<DuplexStream>,
}

impl Streams {
    fn complete(&self, selection: StreamSelection, version: u8) -> bool {
        self.error.is_some()
            && (!selection.stdin || self.stdin.is_some())
            && (!selection.stdout || self.stdout.is_some())
            && (!selection.stderr || selection.tty || self.stderr.is_some())
            && (!selection.tty || version < 3 || self.resize.is_some())
    }
}

/// Waits for every stream that was asked for. The queue is handed back so that it stays open: what comes later is ignored.
async fn collect(
    mut incoming: mpsc::Receiver<ClientStream>,
    selection: StreamSelection,
    version: u8,
) -> Option<(Streams, mpsc::Receiver<ClientStream>)> {
    let mut streams = Streams::default();
    while !streams.complete(selection, version) {
        let stream = incoming.recv().await?;
        match stream.headers.get("streamtype").map(String::as_str) {
            Some("error") => streams.error = Some(stream.io),
            Some("stdin") => streams.stdin = Some(stream.io),
            Some("stdout") => streams.stdout = Some(stream.io),
            Some("stderr") => streams.stderr = Some(stream.io),
            Some("resize") => streams.resize = Some(stream.io),
            other => tracing::debug!(?other, "unexpected stream type"),
        }
    }
    Some((streams, incoming))
}

async fn run(streams: Streams, version: u8, selection: StreamSelection, target: &dyn CommandTarget) {
    let (sizes, resize) = mpsc::channel(4);
    let io = CommandIo {
        stdin: streams.stdin.filter(|_| selection.stdin).map(|io| Box::new(io) as _),
        stdout: streams.stdout.filter(|_| selection.stdout).map(|io| Box::new(io) as _),
        stderr: streams.stderr.filter(|_| selection.stderr).map(|io| Box::new(io) as _),
        resize,
    };
    let resizing = async move {
        if let Some(io) = streams.resize {
            read_sizes(io, sizes).await;
        }
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = target.run(io) => outcome,
        () = resizing => return,
    };
    let report = if version >= 4 {
        status_json(&outcome)
    } else {
        status_text(&outcome)
    };
    if let Some(mut error) = streams.error
        && let Err(gone) = error.write_all(&report).await
    {
        tracing::debug!(error = %gone, "client went away before it learnt the command's end");
    }
}

/// Terminal sizes come as JSON values, one a line.
async fn read_sizes(io: DuplexStream, sizes: mpsc::Sender<Size>) {
    let mut lines = BufReader::new(io).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(size) => {
                if sizes.send(size).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::debug!(%error, "terminal size is not as expected"),
        }
    }
}
