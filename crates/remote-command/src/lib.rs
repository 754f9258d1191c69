//! The streaming protocols of exec, attach and port-forward: WebSocket channels and SPDY frames.
//!
//! **Invariant:** knows streams, not containers.
#![forbid(unsafe_code)]

mod streams;

pub use streams::{
    CommandIo, CommandTarget, Duplex, ExitOutcome, PortTarget, Size, StreamReader, StreamSelection, StreamWriter,
};
