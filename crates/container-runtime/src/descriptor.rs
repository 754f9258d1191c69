//! Descriptors that a task can wait for.
#![allow(unsafe_code, reason = "tokio wants a promise that a descriptor keeps its number")]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Registers a non-blocking descriptor with the current runtime.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` has one number for its whole life and is closed only when it is dropped, which the `AsyncFd` does.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}
