//! The container runtime interface: client and server stubs of the CRI's own protocol.
//!
//! **Invariant:** wire definitions only, written from the published field numbers.
#![forbid(unsafe_code)]
