//! A connection whose answers leave together. HTTP/2 hands over each frame by itself, and TLS makes of each a record and
//! a system call; what is ready at the same time costs one of each when it is gathered first.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// What is gathered at most; the largest record of TLS.
const GATHERED: usize = 16 << 10;

/// A stream that gathers what is written until it is flushed, and lets others write before it is.
pub(super) struct Gathered<S> {
    inner: BufWriter<S>,
    /// The flush that was asked for has given way once.
    waited: bool,
}

impl<S: AsyncWrite> Gathered<S> {
    /// What is written to a stream that is not `multiplexed` leaves at once: it has one answer at a time, and may become
    /// another protocol's whose writers do not flush.
    pub fn new(stream: S, multiplexed: bool) -> Self {
        let capacity = if multiplexed { GATHERED } else { 0 };
        Self {
            inner: BufWriter::with_capacity(capacity, stream),
            waited: false,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// Requests that are answered by other tasks which can go on now are answered before the flush.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.waited && !self.inner.buffer().is_empty() {
            self.waited = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(context));
        self.waited = false;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_written_leaves_when_it_is_flushed() {
        let (here, mut there) = tokio::io::duplex(1 << 10);
        let mut gathered = Gathered::new(here, true);
        gathered.write_all(b"one ").await.unwrap();
        gathered.write_all(b"two").await.unwrap();
        let mut read = [0; 16];
        let early = futures::poll!(std::pin::pin!(there.read(&mut read)));
        assert!(early.is_pending(), "nothing has left yet");
        gathered.flush().await.unwrap();
        let length = there.read(&mut read).await.unwrap();
        assert_eq!(&read[..length], b"one two");
        gathered.shutdown().await.unwrap();
        assert_eq!(there.read(&mut read).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_is_written_to_a_stream_of_one_protocol_leaves_at_once() {
        let (here, mut there) = tokio::io::duplex(1 << 10);
        let mut single = Gathered::new(here, false);
        single.write_all(b"one").await.unwrap();
        let mut read = [0; 16];
        let length = there.read(&mut read).await.unwrap();
        assert_eq!(&read[..length], b"one");
    }
}
