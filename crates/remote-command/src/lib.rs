//! The streaming protocols of exec, attach and port-forward: WebSocket channels and SPDY frames.
//!
//! **Invariant:** knows streams, not containers.
//!
//! The server side only: `kubectl` since 1.30 speaks WebSocket (`v5.channel.k8s.io`, and for port-forward SPDY frames
//! inside WebSocket messages), older clients and client-go's fallback speak SPDY/3.1 after an HTTP upgrade. Whoever runs
//! the command or owns the port implements [`CommandTarget`] or [`PortTarget`] and sees plain byte streams.
#![forbid(unsafe_code)]

mod negotiate;
mod port_forward;
mod proxy;
mod serve;
mod spdy;
mod status;
mod streams;
mod websocket;

pub use proxy::{ProxyBody, ProxyError, proxy_upgrade};
pub use serve::{ResponseBody, serve_command, serve_port_forward};
pub use streams::{
    CommandIo, CommandTarget, Duplex, ExitOutcome, PortTarget, Size, StreamReader, StreamSelection, StreamWriter,
};

#[cfg(test)]
mod fuzzing;
#[cfg(test)]
mod tests;
