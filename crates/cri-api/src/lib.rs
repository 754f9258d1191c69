//! The container runtime interface: client and server stubs of the CRI's own protocol.
//!
//! **Invariant:** wire definitions only, written from the published field numbers.
#![forbid(unsafe_code)]

mod socket;

pub use socket::{SocketError, bind, connect, serve};

/// Messages, clients and servers of package `runtime.v1`; the meaning of each field is Kubernetes' own.
pub mod v1 {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::too_many_lines,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "generated from proto/runtime/v1/api.proto"
    )]
    tonic::include_proto!("runtime.v1");
}
