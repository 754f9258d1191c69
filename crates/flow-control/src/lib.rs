//! API priority and fairness as upstream's: which flow a request belongs to, how wide it is, and when it may run.
//!
//! **Invariant:** decides from what it is given, time included; nothing here waits.
#![forbid(unsafe_code)]

pub mod bootstrap;
pub mod classify;
pub mod levels;
pub mod queues;
pub mod shuffle;
pub mod width;

pub use classify::{Flow, Request, Schemas};
pub use levels::{Level, Limits, Response};
pub use queues::{Arrival, QueueSet};
