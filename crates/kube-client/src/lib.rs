//! `kube::Client` over HTTPS or over a service in this process; shared watch caches.
//!
//! **Invariant:** the only way a component reaches the API server.
#![forbid(unsafe_code)]

mod cache;
mod connector;
mod credentials;
mod https;
mod in_process;
mod metrics;

pub use cache::{Cache, Cached, Changes, NotReached, Selection, Snapshot};
pub use credentials::Credentials;
pub use https::{ClientError, https, https_counted};
pub use in_process::{in_process, in_process_counted};
pub use kube;
pub use metrics::Metrics;

/// A client whose requests are counted, and the numbers.
#[derive(Clone)]
pub struct Counted {
    /// The client.
    pub client: kube::Client,
    /// What it counts.
    pub metrics: Metrics,
}
