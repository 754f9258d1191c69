//! Named tasks: start, restart, drain, error-chain logging, metrics.
//!
//! **Invariant:** the only crate that spawns a task.
//!
//! A task that dies is reported by name; a failing one that is meant to live is restarted with back-off; at the end
//! all are told, waited for and, past the limit, aborted and named.
#![forbid(unsafe_code)]

mod chain;
pub mod exposition;
mod logging;
mod restart;
mod supervisor;
mod wait;

pub use chain::error_chain;
pub use logging::{LogFormat, LogOptions, LoggingError, init_logging};
pub use restart::Restart;
pub use supervisor::{DrainReport, Metrics, Supervisor, TaskHandle};
pub use tokio_util::sync::CancellationToken;
pub use wait::{BlockingFailed, TimedOut, blocking, sleep, wait_until};
