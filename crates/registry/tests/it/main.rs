//! The registry on the embedded store, driven as kube-api drives it.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails where it must, and tables are long"
)]

mod apply;
mod certificates;
mod classes;
mod conversion;
mod custom_resources;
mod custom_versions;
mod deletion;
mod encryption;
mod escalation;
mod every_kind;
mod kms;
mod lifecycle;
mod lists;
mod minimal;
mod node_restriction;
mod plugins;
mod pod_security;
mod pods;
mod policies;
mod reviews;
mod servers;
mod services;
mod tables;
mod watches;
mod webhooks;
mod world;
mod writes;
