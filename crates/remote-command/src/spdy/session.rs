//! One SPDY/3.1 session: every stream that the client opens becomes a byte pipe, all in one future without tasks.

use std::collections::BTreeMap;
use std::pin::pin;

use bytes::Bytes;
use futures::future::{AbortHandle, Abortable, Aborted};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::codec::FramedRead;

use super::frame::{self, Frame, FrameDecoder, FrameError, HeaderCodec, Headers};

/// Bytes buffered for each direction of a stream.
const PIPE: usize = 32 * 1024;
/// Streams a client may hold open at once; each port-forwarded connection takes two.
const MOST_STREAMS: usize = 4096;

/// A stream the client opened; it has been accepted already.
pub(crate) struct ClientStream {
    pub(crate) headers: Headers,
    /// Reading ends with the client's FIN; dropping it sends ours.
    pub(crate) io: DuplexStream,
}

type Pump = (u32, ReadHalf<DuplexStream>, futures::future::AbortRegistration);

/// Runs a session until `handle` returns or the client goes away, in which case `handle` is dropped. When `handle`
/// returns, what it has written is sent before the session is closed.
pub(crate) async fn run<T, F, Fut>(transport: T, handle: F)
where
    T: AsyncRead + AsyncWrite + Send,
    F: FnOnce(mpsc::Receiver<ClientStream>) -> Fut,
    Fut: Future<Output = ()>,
{
    let (read_half, write_half) = tokio::io::split(transport);
    let (frames, frame_queue) = mpsc::channel::<Bytes>(16);
    let (opened, streams) = mpsc::channel(16);
    let (pumps, pump_queue) = mpsc::unbounded_channel();
    let reader = Reader {
        frames: frames.clone(),
        opened,
        pumps,
        pipes: BTreeMap::new(),
    };
    let mut reading = Box::pin(reader.run(read_half));
    let mut writing = pin!(write_frames(write_half, frame_queue));
    let mut pumping = pin!(pump_all(pump_queue, frames.clone()));
    tokio::select! {
        () = handle(streams) => {}
        result = &mut reading => {
            if let Err(error) = result {
                tracing::debug!(error = supervision::error_chain(&error), "streaming client misbehaved");
            }
            return;
        }
        () = &mut writing => return,
        () = &mut pumping => {}
    }
    drop(reading);
    let finish = async {
        pumping.await;
        // The writer is gone only when the client is, and then nobody is left to be told.
        if frames.send(frame::go_away(0)).await.is_ok() {
            drop(frames);
        }
    };
    tokio::join!(finish, writing);
}

async fn write_frames<T: AsyncWrite>(mut transport: WriteHalf<T>, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(frame) = queue.recv().await {
        if transport.write_all(&frame).await.is_err() {
            return;
        }
        if queue.is_empty() && transport.flush().await.is_err() {
            return;
        }
    }
    if let Err(error) = transport.shutdown().await {
        tracing::debug!(%error, "streaming client was gone before the session's end");
    }
}

async fn pump_all(mut queue: mpsc::UnboundedReceiver<Pump>, frames: mpsc::Sender<Bytes>) {
    let mut running = FuturesUnordered::new();
    let mut open = true;
    while open || !running.is_empty() {
        tokio::select! {
            next = queue.recv(), if open => match next {
                Some((id, pipe, registration)) => running.push(Abortable::new(pump(id, pipe, frames.clone()), registration)),
                None => open = false,
            },
            Some(end) = running.next(), if !running.is_empty() => {
                if let Err(Aborted) = end {
                    tracing::trace!("client reset a stream");
                }
            }
        }
    }
}

/// Sends what is written into one stream, then FIN.
async fn pump(id: u32, mut pipe: ReadHalf<DuplexStream>, frames: mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; PIPE];
    while let Ok(count) = pipe.read(&mut buffer).await {
        let sent = frames.send(frame::data(id, count == 0, &buffer[..count])).await;
        if sent.is_err() || count == 0 {
            return;
        }
    }
}

struct Reader {
    frames: mpsc::Sender<Bytes>,
    opened: mpsc::Sender<ClientStream>,
    pumps: mpsc::UnboundedSender<Pump>,
    pipes: BTreeMap<u32, (WriteHalf<DuplexStream>, AbortHandle)>,
}

impl Reader {
    async fn run<T: AsyncRead + Send>(mut self, transport: ReadHalf<T>) -> Result<(), FrameError> {
        let mut codec = HeaderCodec::new()?;
        let mut incoming = FramedRead::new(transport, FrameDecoder);
        while let Some(frame) = incoming.next().await {
            match frame? {
                Frame::SynStream { stream, fin, block } => {
                    let headers = codec.inflate(&block)?;
                    let reply = codec.deflate(&Headers::new())?;
                    self.open(stream, fin, headers, &reply).await;
                }
                Frame::Data { stream, fin, payload } => self.data(stream, fin, &payload).await,
                Frame::Headers { stream, fin, block } => {
                    codec.inflate(&block)?;
                    self.data(stream, fin, &[]).await;
                }
                Frame::Reset { stream } => {
                    if let Some((_, pump)) = self.pipes.remove(&stream) {
                        pump.abort();
                    }
                }
                Frame::Ping { id } => self.send(frame::ping(id)).await,
                Frame::GoAway => return Ok(()),
                Frame::Ignored => {}
            }
        }
        Ok(())
    }

    async fn open(&mut self, id: u32, fin: bool, headers: Headers, reply: &[u8]) {
        self.pipes.retain(|_, (_, pump)| !pump.is_aborted());
        if self.pipes.len() >= MOST_STREAMS {
            tracing::warn!(
                limit = MOST_STREAMS,
                "streaming client opens too many streams; one is ignored"
            );
            return;
        }
        self.send(frame::syn_reply(id, reply)).await;
        let (io, ours) = tokio::io::duplex(PIPE);
        let (read_half, write_half) = tokio::io::split(ours);
        let (abort, registration) = AbortHandle::new_pair();
        self.pipes.insert(id, (write_half, abort));
        // Both receivers live as long as the session's own future, which also owns this one.
        if self.pumps.send((id, read_half, registration)).is_ok() {
            let stream = ClientStream { headers, io };
            if self.opened.send(stream).await.is_err() {
                self.pipes.remove(&id);
            }
        }
        if fin {
            self.data(id, true, &[]).await;
        }
    }

    async fn data(&mut self, id: u32, fin: bool, payload: &[u8]) {
        let Some((pipe, _)) = self.pipes.get_mut(&id) else {
            return;
        };
        // A pipe whose other end was dropped no longer wants input; its output may still be on the way.
        let gone = !payload.is_empty() && pipe.write_all(payload).await.is_err();
        if gone || (fin && pipe.shutdown().await.is_ok()) {
            self.pipes.remove(&id);
        }
    }

    async fn send(&self, frame: Bytes) {
        if self.frames.send(frame).await.is_err() {
            tracing::trace!("client is gone");
        }
    }
}
