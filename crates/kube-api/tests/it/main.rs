//! The API over TLS and in process, against an embedded store in a directory of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test may end at the first surprise, in its helpers too, and tables are long"
)]

mod access;
mod aggregation;
mod audit;
mod certificates;
mod connect;
mod custom_resources;
mod every_kind;
mod fairness;
mod filled;
mod forms;
mod identity_providers;
mod kube_rs;
mod kubectl;
mod lifecycle;
#[path = "../../../registry/tests/it/minimal.rs"]
mod minimal;
mod protocol;
mod server_side;
mod streams;
mod traffic;
mod webhooks;
mod world;
