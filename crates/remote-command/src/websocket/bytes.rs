//! A WebSocket as a plain byte stream: SPDY frames travel in binary messages that may cut them anywhere.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::channel::normal_close;

/// Longest message written.
const LONGEST: usize = 32 * 1024;

/// See the module.
pub(crate) struct ByteStream<T> {
    socket: WebSocketStream<T>,
    rest: Bytes,
    closing: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> ByteStream<T> {
    /// Wraps an upgraded connection.
    pub(crate) async fn new(io: T) -> Self {
        Self::of(super::accept(io).await)
    }

    /// Wraps a socket.
    pub(crate) fn of(socket: WebSocketStream<T>) -> Self {
        Self {
            socket,
            rest: Bytes::new(),
            closing: false,
        }
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::BrokenPipe, other),
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for ByteStream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let count = out.remaining().min(self.rest.len());
        out.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ByteStream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
        let count = data.len().min(LONGEST);
        let message = Message::Binary(Bytes::copy_from_slice(&data[..count]));
        Pin::new(&mut self.socket).start_send(message).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
            self.closing = true;
            Pin::new(&mut self.socket).start_send(normal_close()).map_err(broken)?;
        }
        match ready!(Pin::new(&mut self.socket).poll_flush(cx)) {
            Ok(()) | Err(Error::ConnectionClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(broken(error))),
        }
    }
}
