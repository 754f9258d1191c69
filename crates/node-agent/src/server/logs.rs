//! `/containerLogs`: a container's log file, cut and decorated as asked, followed while the container runs.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use pod_lifecycle::observed::{Container, ContainerState};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::query::Query;
use super::{Answer, BoxError, Refusal, streaming};
use crate::agent::Agent;
use crate::log_lines::{self, Line};

/// What of a log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    follow: bool,
    timestamps: bool,
    tail: Option<usize>,
    since: Option<Timestamp>,
    limit: Option<usize>,
    /// Only standard error (`Some(true)`) or only standard output.
    stderr: Option<bool>,
}

impl Options {
    fn parse(query: &Query, now: Timestamp) -> Result<Self, Refusal> {
        let number = |name: &str| -> Result<Option<usize>, Refusal> {
            let Some(text) = query.get(name) else { return Ok(None) };
            text.parse()
                .map(Some)
                .map_err(|error| Refusal::bad_request(format!("{name}: {text:?}: {error}")))
        };
        let seconds = number("sinceSeconds")?.and_then(|seconds| i64::try_from(seconds).ok());
        let mut since = seconds.map(|seconds| now - SignedDuration::from_secs(seconds));
        if let Some(text) = query.get("sinceTime") {
            let time: Timestamp = text
                .parse()
                .map_err(|error| Refusal::bad_request(format!("sinceTime: {error}")))?;
            since = Some(time);
        }
        let stderr = match query.get("stream") {
            Some("Stdout") => Some(false),
            Some("Stderr") => Some(true),
            _ => None,
        };
        Ok(Self {
            follow: query.flag(&["follow"]),
            timestamps: query.flag(&["timestamps"]),
            tail: number("tailLines")?,
            since,
            limit: number("limitBytes")?,
            stderr,
        })
    }
}

pub(super) async fn serve(agent: &Arc<Agent>, pod: Arc<Pod>, name: &str, query: &Query) -> Answer {
    let options = Options::parse(query, agent.now())?;
    let observed = streaming::observe(agent, &pod).await?;
    let attempts = observed.attempts(name);
    let container = choose(&pod, name, &attempts, query.flag(&["previous"]))?;
    if agent.config.simulated {
        return Err(Refusal::internal(
            "a simulated node runs no containers and so has no logs of them",
        ));
    }
    let paths = crate::container_config::PodPaths::of(&agent.config, &pod);
    let path = paths.logs.join(name).join(format!("{}.log", container.attempt));
    let running = container.state == ContainerState::Running;
    let options = Options {
        follow: options.follow && running,
        ..options
    };
    let (chunks, receiver) = mpsc::channel(8);
    let job = Job {
        agent: Arc::clone(agent),
        path,
        container_id: container.id.clone(),
        options,
        chunks,
    };
    agent.tasks.spawn_until_cancelled(format!("logs of {name}"), job.run());
    let stream = tokio_stream(receiver).map(|bytes| Ok::<_, BoxError>(Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(stream).boxed_unsync());
    let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    Ok(response)
}

fn tokio_stream(mut receiver: mpsc::Receiver<Bytes>) -> impl futures::Stream<Item = Bytes> + Send {
    futures::stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// The attempt whose log is meant, or upstream's words for why there is none.
fn choose<'a>(pod: &Pod, name: &str, attempts: &[&'a Container], previous: bool) -> Result<&'a Container, Refusal> {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let started = |container: &&&Container| container.state != ContainerState::Created;
    if previous {
        let mut ended = attempts
            .iter()
            .filter(started)
            .filter(|container| container.state == ContainerState::Exited);
        let newest_runs = attempts
            .first()
            .is_some_and(|newest| newest.state == ContainerState::Running);
        // While the newest attempt waits in back-off it is the previous one itself.
        let waits = waiting_reason(pod, name).is_some();
        let found = if newest_runs || waits {
            ended.next()
        } else {
            ended.nth(1)
        };
        return found.copied().ok_or_else(|| {
            Refusal::bad_request(format!(
                "previous terminated container {name:?} in pod {pod_name:?} not found"
            ))
        });
    }
    if let Some(found) = attempts.iter().find(started) {
        return Ok(found);
    }
    match waiting_reason(pod, name) {
        Some(reason) => {
            let message = format!("container {name:?} in pod {pod_name:?} is waiting to start: {reason}");
            Err(Refusal::bad_request(message))
        }
        None => Err(Refusal::bad_request(format!(
            "container {name:?} in pod {pod_name:?} is not available"
        ))),
    }
}

fn waiting_reason(pod: &Pod, name: &str) -> Option<String> {
    let status = pod.status.as_ref()?;
    let lists = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let mut all = lists.into_iter().flatten().flatten();
    let found: &ContainerStatus = all.find(|status| status.name == name)?;
    found.state.as_ref()?.waiting.as_ref()?.reason.clone()
}

struct Job {
    agent: Arc<Agent>,
    path: PathBuf,
    container_id: String,
    options: Options,
    chunks: mpsc::Sender<Bytes>,
}

impl Job {
    async fn run(self) {
        if let Err(error) = self.copy().await {
            let message = format!(
                "failed to open log file {:?}: {error}\n",
                self.path.display().to_string()
            );
            if self.chunks.send(message.into()).await.is_err() {
                tracing::trace!("log reader is gone");
            }
        }
    }

    async fn copy(&self) -> std::io::Result<()> {
        let mut file = File::open(&self.path)?;
        let start = self.options.tail.map_or(Ok(0), |lines| tail_offset(&mut file, lines))?;
        file.seek(SeekFrom::Start(start))?;
        let mut cutter = Cutter {
            options: &self.options,
            left: self.options.limit,
        };
        let mut source = Source::new(file);
        // Watched before the first read, so that nothing is written unseen in between.
        let mut watch = if self.options.follow {
            Some(Watch::new(&self.path)?)
        } else {
            None
        };
        loop {
            // Asked before reading: what a container that has ended wrote is there, and is read below. The same holds for a file that was
            // put aside: the next one is there only once nothing more is written to this one.
            let ended = watch.is_none() || !self.is_running().await;
            let next = File::open(&self.path)
                .ok()
                .filter(|next| watch.is_some() && source.is_other(next));
            if !source.send(&mut cutter, &self.chunks).await? || cutter.is_done() {
                return Ok(());
            }
            if let Some(next) = next {
                watch = Some(Watch::new(&self.path)?);
                source = Source::new(next);
                continue;
            }
            match &watch {
                Some(watch) if !ended => {
                    tokio::select! {
                        result = watch.changed() => result?,
                        () = self.agent.runtime_changed.notified() => {}
                        () = self.chunks.closed() => return Ok(()),
                        // A change of the runtime may have been signalled before the wait began.
                        () = supervision::sleep(Duration::from_secs(1)) => {}
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    async fn is_running(&self) -> bool {
        use cri_api::v1::ContainerState as Cri;
        let status = self.agent.runtime.container_status(&self.container_id).await;
        status.is_ok_and(|status| status.state() == Cri::ContainerRunning)
    }
}

/// A log file that is read.
struct Source {
    reader: BufReader<File>,
    /// The beginning of a line whose end is not written yet.
    line: Vec<u8>,
}

impl Source {
    fn new(file: File) -> Self {
        Self {
            reader: BufReader::with_capacity(32 * 1024, file),
            line: Vec::new(),
        }
    }

    /// Is it another file, because this one was put aside?
    fn is_other(&self, file: &File) -> bool {
        let identity = |file: &File| file.metadata().map(|found| (found.dev(), found.ino())).ok();
        identity(file) != identity(self.reader.get_ref())
    }

    /// Sends what there is up to the end; answers whether anybody still listens.
    async fn send(&mut self, cutter: &mut Cutter<'_>, chunks: &mpsc::Sender<Bytes>) -> std::io::Result<bool> {
        let mut output = Vec::new();
        loop {
            let count = self.reader.read_until(b'\n', &mut self.line)?;
            if self.line.ends_with(b"\n") {
                cutter.take(&self.line, &mut output);
                self.line.clear();
            }
            if count == 0 || output.len() >= 32 * 1024 {
                if !output.is_empty() && chunks.send(std::mem::take(&mut output).into()).await.is_err() {
                    return Ok(false);
                }
                if count == 0 || cutter.is_done() {
                    return Ok(true);
                }
            }
        }
    }
}

/// Where the last `lines` program lines of a file begin.
fn tail_offset(file: &mut File, lines: usize) -> std::io::Result<u64> {
    const BLOCK: u64 = 16 * 1024;
    let end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(end);
    }
    let (mut position, mut newlines) = (end, 0);
    let mut block = Vec::new();
    while position > 0 {
        let start = position.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        file.take(position - start).read_to_end(&mut block)?;
        for (index, byte) in block.iter().enumerate().rev() {
            let at = start + index as u64;
            // The newline that ends the file ends its last line.
            if *byte == b'\n' && at + 1 != end {
                newlines += 1;
                if newlines == lines {
                    return Ok(at + 1);
                }
            }
        }
        position = start;
    }
    Ok(0)
}

/// Applies the options line by line.
struct Cutter<'a> {
    options: &'a Options,
    left: Option<usize>,
}

impl Cutter<'_> {
    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    fn take(&mut self, raw: &[u8], output: &mut Vec<u8>) {
        let Some(line) = log_lines::parse(raw) else { return };
        if self.is_done() || !self.wants(&line) {
            return;
        }
        let mut bytes = Vec::new();
        if self.options.timestamps {
            bytes.extend_from_slice(line.time.as_bytes());
            bytes.push(b' ');
        }
        bytes.extend(line.content());
        if let Some(left) = &mut self.left {
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        output.extend(bytes);
    }

    fn wants(&self, line: &Line<'_>) -> bool {
        let stream = self.options.stderr.is_none_or(|stderr| stderr == line.stderr);
        let time = self
            .options
            .since
            .is_none_or(|since| line.time.parse().is_ok_and(|time: Timestamp| time >= since));
        stream && time
    }
}

/// Tells when a file has been written to.
struct Watch(AsyncFd<Notices>);

/// The runtime wants a raw descriptor.
struct Notices(Inotify);

impl AsRawFd for Notices {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watch {
    #[expect(
        deprecated,
        reason = "the descriptor is owned by what is registered; the replacement is unsafe to call"
    )]
    fn new(path: &Path) -> std::io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(path, AddWatchFlags::IN_MODIFY)?;
        AsyncFd::new(Notices(inotify)).map(Self)
    }

    async fn changed(&self) -> std::io::Result<()> {
        let mut ready = self.0.readable().await?;
        match self.0.get_ref().0.read_events() {
            Ok(_) => Ok(()),
            Err(nix::errno::Errno::EAGAIN) => {
                ready.clear_ready();
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn log() -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (second, stream, text) in [(1, "stdout", "one"), (2, "stderr", "two"), (3, "stdout", "three")] {
            writeln!(file, "1970-01-01T00:00:0{second}.000000000Z {stream} F {text}").unwrap();
        }
        file
    }

    fn check(query: &str, expected: &str) {
        let options = Options::parse(&Query::parse(query), Timestamp::from_second(4).unwrap())
            .ok()
            .unwrap();
        let mut file = log().reopen().unwrap();
        let start = options.tail.map_or(0, |lines| tail_offset(&mut file, lines).unwrap());
        file.seek(SeekFrom::Start(start)).unwrap();
        let mut cutter = Cutter {
            options: &options,
            left: options.limit,
        };
        let mut output = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            cutter.take(&line.unwrap(), &mut output);
        }
        assert_eq!(String::from_utf8(output).unwrap(), expected, "{query}");
    }

    #[test]
    fn logs_are_cut_as_asked() {
        check("", "one\ntwo\nthree\n");
        check("tailLines=2", "two\nthree\n");
        check("tailLines=0", "");
        check("tailLines=9", "one\ntwo\nthree\n");
        check("sinceSeconds=2", "two\nthree\n");
        check("sinceTime=1970-01-01T00:00:03Z", "three\n");
        check("limitBytes=6", "one\ntw");
        check("timestamps=true&tailLines=1", "1970-01-01T00:00:03.000000000Z three\n");
        check("stream=Stderr", "two\n");
    }

    #[test]
    fn a_file_that_was_put_aside_is_another_than_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        std::fs::write(&path, "a").unwrap();
        let source = Source::new(File::open(&path).unwrap());
        assert!(!source.is_other(&File::open(&path).unwrap()));
        std::fs::rename(&path, directory.path().join("0.log.1")).unwrap();
        std::fs::write(&path, "b").unwrap();
        assert!(source.is_other(&File::open(&path).unwrap()));
    }

    #[test]
    fn bad_options_are_named() {
        let refusal = Options::parse(&Query::parse("tailLines=x"), Timestamp::UNIX_EPOCH)
            .err()
            .unwrap();
        assert_eq!(refusal.message, "tailLines: \"x\": invalid digit found in string");
    }
}
