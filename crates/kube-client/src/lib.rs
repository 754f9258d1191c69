//! `kube::Client` over HTTPS or over a service in this process; shared watch caches.
//!
//! **Invariant:** the only way a component reaches the API server.
#![forbid(unsafe_code)]

mod cache;
mod connector;
mod credentials;
mod https;
mod in_process;

pub use cache::{Cache, Cached, Changes, NotReached, Selection, Snapshot};
pub use credentials::Credentials;
pub use https::{ClientError, https};
pub use in_process::in_process;
pub use kube;
