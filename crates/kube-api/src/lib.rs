//! The HTTP face of `registry`: TLS, authentication, routes from the table, discovery, watch, logs, exec and proxy.
//!
//! **Invariant:** no route is written for a kind.
#![forbid(unsafe_code)]

pub mod pki;
pub mod request_info;

pub use pki::{CertificatePair, ClusterPki, PkiError, ServerNames};
