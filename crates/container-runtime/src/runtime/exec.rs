//! Further processes in a container, and following its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::{Runtime, RuntimeError};
use crate::shim_client::{Answer, ShimClient};
use crate::terminal::Terminal;
use crate::wire::{Action, Attach, DescriptorRole, Exec, KillExec};

/// Bytes of output that a synchronous exec keeps of each stream (containerd's limit); the rest is read and dropped.
const MOST_OUTPUT: usize = 16 << 20;
/// How long a process's children may hold its streams open after its own end.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// A process that runs beside a container's own. Dropping this kills it unless [`RunningExec::wait`] saw its end.
pub struct RunningExec {
    /// Absent when none was asked for, or with a terminal.
    pub stdin: Option<pipe::Sender>,
    /// Absent with a terminal.
    pub stdout: Option<pipe::Receiver>,
    /// Absent with a terminal.
    pub stderr: Option<pipe::Receiver>,
    /// Present when one was asked for.
    pub terminal: Option<Terminal>,
    exit: Option<oneshot::Receiver<i32>>,
    process: Killer,
}

impl RunningExec {
    /// Waits for its exit code; `None` when the shim was lost.
    pub async fn wait(&mut self) -> Option<i32> {
        let code = self.exit.as_mut()?.await.ok();
        self.exit = None;
        self.process.finished = true;
        code
    }
}

/// Kills a process when it is dropped early.
struct Killer {
    pid: i32,
    shim: Arc<ShimClient>,
    supervisor: supervision::Supervisor,
    finished: bool,
}

impl Drop for Killer {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let (shim, pid) = (Arc::clone(&self.shim), self.pid);
        self.supervisor.spawn("kill an abandoned exec", async move {
            if let Err(error) = shim.ask(Action::KillExec(KillExec { pid })).await {
                tracing::debug!(pid, error = %supervision::error_chain(&error), "the exec died with its shim");
            }
        });
    }
}

/// A container's own streams, followed.
pub struct AttachedStreams {
    /// The write end, when it was asked for and the container has one.
    pub stdin: Option<pipe::Sender>,
    /// From now on.
    pub stdout: Option<pipe::Receiver>,
    /// From now on; absent with a terminal.
    pub stderr: Option<pipe::Receiver>,
    /// For writing and for its size.
    pub terminal: Option<Terminal>,
}

impl Runtime {
    /// Starts a further process in a container.
    pub async fn exec(
        &self,
        id: &str,
        args: Vec<String>,
        terminal: bool,
        stdin: bool,
    ) -> Result<RunningExec, RuntimeError> {
        let what = args.first().cloned().unwrap_or_default();
        let (container_id, shim) = self.shim_of(id).await?;
        let mut answer = shim
            .ask(Action::Exec(Exec {
                container_id,
                args,
                terminal,
                stdin,
            }))
            .await?;
        let process = Killer {
            pid: answer.report.pid,
            shim,
            supervisor: self.parts.supervisor.clone(),
            finished: false,
        };
        let failed = |source| RuntimeError::Streams {
            what: what.clone(),
            source,
        };
        Ok(RunningExec {
            stdin: writer(&mut answer).map_err(failed)?,
            stdout: reader(&mut answer, DescriptorRole::Stdout).map_err(failed)?,
            stderr: reader(&mut answer, DescriptorRole::Stderr).map_err(failed)?,
            terminal: answer
                .take(DescriptorRole::Terminal)
                .map(Terminal::new)
                .transpose()
                .map_err(failed)?,
            exit: answer.exit.take(),
            process,
        })
    }

    /// Runs a process to its end and returns what it wrote and its exit code. `timeout` in seconds; 0 waits for ever.
    pub async fn exec_sync(
        &self,
        id: &str,
        args: Vec<String>,
        timeout: i64,
    ) -> Result<(Vec<u8>, Vec<u8>, i32), RuntimeError> {
        let what = args.first().cloned().unwrap_or_default();
        let mut running = self.exec(id, args, false, false).await?;
        let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
        let mut output = (Vec::new(), Vec::new());
        let work = async {
            let mut streams = Box::pin(async {
                let (out, err) = tokio::join!(collect(stdout, &mut output.0), collect(stderr, &mut output.1));
                out.and(err)
            });
            tokio::select! {
                biased;
                result = &mut streams => { result?; Ok(running.wait().await) }
                code = running.wait() => {
                    if let Ok(result) = tokio::time::timeout(DRAIN_LIMIT, streams).await {
                        result?;
                    }
                    Ok(code)
                }
            }
        };
        let finished = match u64::try_from(timeout) {
            Ok(seconds) if seconds > 0 => tokio::time::timeout(Duration::from_secs(seconds), work)
                .await
                .map_err(|_elapsed| RuntimeError::ExecTimeout { seconds: timeout })?,
            _ => work.await,
        };
        let code = finished.map_err(|source: io::Error| RuntimeError::Streams { what, source })?;
        let code = code.ok_or(crate::shim_client::ShimError::Gone)?;
        Ok((output.0, output.1, code))
    }

    /// Follows a container's own streams.
    pub async fn attach(&self, id: &str, stdin: bool) -> Result<AttachedStreams, RuntimeError> {
        let (container_id, shim) = self.shim_of(id).await?;
        let mut answer = shim
            .ask(Action::Attach(Attach {
                container_id: container_id.clone(),
                stdin,
            }))
            .await?;
        let failed = |source| RuntimeError::Streams {
            what: container_id.clone(),
            source,
        };
        Ok(AttachedStreams {
            stdin: writer(&mut answer).map_err(failed)?,
            stdout: reader(&mut answer, DescriptorRole::Stdout).map_err(failed)?,
            stderr: reader(&mut answer, DescriptorRole::Stderr).map_err(failed)?,
            terminal: answer
                .take(DescriptorRole::Terminal)
                .map(Terminal::new)
                .transpose()
                .map_err(failed)?,
        })
    }
}

fn writer(answer: &mut Answer) -> io::Result<Option<pipe::Sender>> {
    answer
        .take(DescriptorRole::Stdin)
        .map(pipe::Sender::from_owned_fd)
        .transpose()
}

fn reader(answer: &mut Answer, role: DescriptorRole) -> io::Result<Option<pipe::Receiver>> {
    answer.take(role).map(pipe::Receiver::from_owned_fd).transpose()
}

/// Reads to the end, and keeps the beginning.
async fn collect(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> io::Result<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = vec![0u8; 16 << 10];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let room = MOST_OUTPUT.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
}
