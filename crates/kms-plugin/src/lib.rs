//! Key services behind a socket: the client of Kubernetes' KMS plugins, version 2.
//!
//! **Invariant:** holds no key and keeps nothing of what it passes on; a plugin that does not answer holds nobody up longer than its
//! timeout.
#![forbid(unsafe_code)]

mod health;
mod plugin;
mod socket;

pub use plugin::{Encrypted, Plugin, PluginError, StartError};

/// Messages, client and server of package `v2`; the meaning of each field is Kubernetes' own.
pub mod v2 {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::too_many_lines,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "generated from proto/v2/api.proto"
    )]
    tonic::include_proto!("v2");
}
