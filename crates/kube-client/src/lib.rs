//! `kube::Client` over HTTPS or over a service in this process; shared watch caches.
//!
//! **Invariant:** the only way a component reaches the API server.
#![forbid(unsafe_code)]
