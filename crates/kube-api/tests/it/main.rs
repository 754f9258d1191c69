//! The API over TLS and in process, against an embedded store in a directory of the test's own.
#![allow(
    clippy::unwrap_used,
    reason = "a test may end at the first surprise, in its helpers too"
)]

mod access;
mod aggregation;
mod connect;
mod custom_resources;
mod every_kind;
mod filled;
mod forms;
mod kubectl;
#[path = "../../../registry/tests/it/minimal.rs"]
mod minimal;
mod protocol;
mod server_side;
mod streams;
mod traffic;
mod webhooks;
mod world;
