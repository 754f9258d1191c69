//! Streams multiplexed over WebSocket messages: the first byte (or character) of a message is its channel.

pub(crate) mod bytes;
pub(crate) mod channel;
pub(crate) mod command;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// A server-side WebSocket on a connection whose upgrade has been answered; buffers sized for many idle sessions.
pub(crate) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(io: T) -> WebSocketStream<T> {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0);
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}
