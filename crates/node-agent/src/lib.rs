//! The kubelet's work: pod workers, probes, volumes, node status, and the node's own HTTPS port.
//!
//! **Invariant:** reaches containers through CRI only.
#![forbid(unsafe_code)]

mod config;

pub use config::{Capacity, Config, Instance, Limits, Serving};
