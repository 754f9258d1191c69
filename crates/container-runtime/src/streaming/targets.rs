//! What a streaming session acts on: a new process, a container's own streams, a pod's ports.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use remote_command::{
    CommandIo, CommandTarget, Duplex, ExitOutcome, PortTarget, Size, StreamReader, StreamSelection, StreamWriter,
};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::runtime::Runtime;
use crate::terminal::Terminal;

/// How long a connection to a pod's port may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a process's children may hold its streams open after its own end.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// Runs a command in a container.
pub struct ExecTarget {
    /// Where.
    pub runtime: Arc<Runtime>,
    /// In which container.
    pub container_id: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Which streams.
    pub selection: StreamSelection,
}

impl CommandTarget for ExecTarget {
    fn run(&self, io: CommandIo) -> BoxFuture<'_, ExitOutcome> {
        async move {
            let started = self
                .runtime
                .exec(
                    &self.container_id,
                    self.command.clone(),
                    self.selection.tty,
                    self.selection.stdin,
                )
                .await;
            let mut running = match started {
                Ok(running) => running,
                Err(error) => return ExitOutcome::Failed(supervision::error_chain(&error)),
            };
            let output: BoxFuture<'_, ()> = match running.terminal.clone() {
                Some(terminal) => copy_out(Some(terminal), io.stdout).boxed(),
                None => futures::future::join(
                    copy_out(running.stdout.take(), io.stdout),
                    copy_out(running.stderr.take(), io.stderr),
                )
                .map(drop)
                .boxed(),
            };
            let input = input(io.stdin, running.stdin.take(), running.terminal.clone(), io.resize);
            let work = async {
                let mut output = output;
                let code = tokio::select! {
                    () = &mut output => return running.wait().await,
                    code = running.wait() => code,
                };
                // A child that stays in the background may hold the streams; what the process wrote is there already.
                drop(tokio::time::timeout(DRAIN_LIMIT, output).await);
                code
            };
            let code = tokio::select! {
                code = work => code,
                () = input => None,
            };
            code.map_or_else(
                || ExitOutcome::Failed("the shim that ran the command has gone".to_owned()),
                ExitOutcome::Exited,
            )
        }
        .boxed()
    }
}

/// Follows a container's own streams.
pub struct AttachTarget {
    /// Where.
    pub runtime: Arc<Runtime>,
    /// Which container's.
    pub container_id: String,
    /// Which streams.
    pub selection: StreamSelection,
}

impl CommandTarget for AttachTarget {
    fn run(&self, io: CommandIo) -> BoxFuture<'_, ExitOutcome> {
        async move {
            let streams = match self.runtime.attach(&self.container_id, self.selection.stdin).await {
                Ok(streams) => streams,
                Err(error) => return ExitOutcome::Failed(supervision::error_chain(&error)),
            };
            let output =
                futures::future::join(copy_out(streams.stdout, io.stdout), copy_out(streams.stderr, io.stderr));
            tokio::select! {
                _ = output => {}
                () = input(io.stdin, streams.stdin, streams.terminal, io.resize) => {}
            }
            // As the kubelet answers: how the container ended is in its status.
            ExitOutcome::Exited(0)
        }
        .boxed()
    }
}

/// Copies to the client, and tells it that the stream has ended. A client that has gone is no fault.
async fn copy_out(from: Option<impl AsyncRead + Unpin>, to: Option<StreamWriter>) {
    let Some(mut from) = from else { return };
    let copied = match to {
        Some(mut to) => match tokio::io::copy(&mut from, &mut to).await {
            Ok(_) => to.shutdown().await,
            Err(error) => Err(error),
        },
        // Nobody wants it, and still the program must be able to write it.
        None => tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map(drop),
    };
    if let Err(error) = copied {
        tracing::debug!(%error, "a client went away");
    }
}

/// Copies from the client and follows its window. Never ends by itself: the session ends with the program.
async fn input(
    from: Option<StreamReader>,
    to: Option<pipe::Sender>,
    terminal: Option<Terminal>,
    mut resize: mpsc::Receiver<Size>,
) {
    let sizes = async {
        while let Some(size) = resize.recv().await {
            if let Some(Err(error)) = terminal
                .as_ref()
                .map(|terminal| terminal.resize(size.width, size.height))
            {
                tracing::debug!(%error, "cannot set the terminal's size");
            }
        }
    };
    let bytes = async {
        let Some(mut from) = from else { return };
        let copied = match (to, terminal.clone()) {
            // Dropping the pipe's end afterwards lets the program read the end of its input.
            (Some(mut to), _) => tokio::io::copy(&mut from, &mut to).await,
            (None, Some(mut terminal)) => tokio::io::copy(&mut from, &mut terminal).await,
            (None, None) => return,
        };
        if let Err(error) = copied {
            tracing::debug!(%error, "the program's input ended early");
        }
    };
    tokio::join!(sizes, bytes);
    std::future::pending().await
}

/// Connects to ports on a pod's loopback.
pub struct PodPorts {
    /// Where.
    pub runtime: Arc<Runtime>,
    /// Which pod's.
    pub sandbox_id: String,
}

impl PortTarget for PodPorts {
    fn connect(&self, port: u16) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        async move {
            let namespace = self
                .runtime
                .network_namespace(&self.sandbox_id)
                .map_err(io::Error::other)?;
            // A thread of its own enters the pod's network and ends there; the socket stays in it.
            let connected = tokio::task::spawn_blocking(move || {
                std::thread::scope(|scope| scope.spawn(|| connect_in(namespace.as_ref(), port)).join())
            });
            let stream = connected
                .await
                .map_err(io::Error::other)?
                .map_err(|_panic| io::Error::other("the connecting thread panicked"))??;
            stream.set_nonblocking(true)?;
            Ok(Box::new(tokio::net::TcpStream::from_std(stream)?) as Box<dyn Duplex>)
        }
        .boxed()
    }
}

/// `localhost`: version 4 first, as the kubelet's runtimes do it.
fn connect_in(namespace: Option<&File>, port: u16) -> io::Result<TcpStream> {
    if let Some(namespace) = namespace {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
    }
    let first = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), CONNECT_LIMIT);
    first.or_else(|error| {
        TcpStream::connect_timeout(&SocketAddr::from((Ipv6Addr::LOCALHOST, port)), CONNECT_LIMIT)
            .map_err(|_no_ipv6| error)
    })
}
