//! The API over TLS and in process, against an embedded store in a directory of the test's own.

mod access;
mod connect;
mod kubectl;
mod protocol;
mod world;
