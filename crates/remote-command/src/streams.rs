//! What a streaming protocol needs from whoever runs the command or owns the port, and what it gives in return.

use std::io;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// A terminal size in character cells, as `kubectl exec -t` sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Bytes that come from the client.
pub type StreamReader = Box<dyn AsyncRead + Send + Unpin>;
/// Bytes that go to the client; shutting it down ends that stream only.
pub type StreamWriter = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection in both directions, as a port-forward needs.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Which streams the client asked for (`PodExecOptions`, `PodAttachOptions`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamSelection {
    /// The client sends standard input.
    pub stdin: bool,
    /// The client wants standard output.
    pub stdout: bool,
    /// The client wants standard error; never together with `tty`.
    pub stderr: bool,
    /// The command has a terminal; resize messages may come.
    pub tty: bool,
}

/// The streams of one exec or attach. A field is `None` when the client did not ask for that stream.
pub struct CommandIo {
    /// Ends (reads 0 bytes) when the client closes its input or goes away.
    pub stdin: Option<StreamReader>,
    /// Writes fail with `BrokenPipe` once the client has gone.
    pub stdout: Option<StreamWriter>,
    /// As `stdout`.
    pub stderr: Option<StreamWriter>,
    /// Terminal sizes, newest last; closed when the client goes away or no terminal was asked for.
    pub resize: mpsc::Receiver<Size>,
}

/// How a command ended, as the error channel tells the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitOutcome {
    /// The process exited with this code (0 is success; 128 + n for signal n).
    Exited(i32),
    /// It could not be run or its end could not be learnt; the text is shown to the user.
    Failed(String),
}

/// Runs or attaches to one command.
pub trait CommandTarget: Send + Sync + 'static {
    /// Called once for each streaming connection, after every stream that was asked for is open. The session ends
    /// when the future does: write everything before returning. Dropping the future means the client has gone.
    fn run(&self, io: CommandIo) -> BoxFuture<'_, ExitOutcome>;
}

/// Opens ports of one pod.
pub trait PortTarget: Send + Sync + 'static {
    /// Connects to `port` on the pod's loopback.
    ///
    /// # Errors
    /// The connection's own error; its text is shown to the user.
    fn connect(&self, port: u16) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>>;
}
