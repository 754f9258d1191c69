//! The one control loop: watch, queue, plan, apply, retry.
//!
//! **Invariant:** the only code that watches, queues, applies or retries on behalf of a controller; it decides nothing.
#![forbid(unsafe_code)]

mod apply;
mod correlate;
mod log;
mod metrics;
mod observer;
mod queue;
mod reconciler;
mod recorder;
mod remarks;
mod workers;

pub use apply::{Applier, ApplyError, Mark};
pub use log::{ComponentLog, LogKeeper, LogLine, Severity};
pub use metrics::Metrics;
pub use observer::{Listener, NotReached, Observer};
pub use queue::WorkQueue;
pub use reconciler::{Explained, Options, ReconcileLoop};
pub use recorder::Recorder;
pub use workers::{Looks, start_workers};
