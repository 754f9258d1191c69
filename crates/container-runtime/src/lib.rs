//! Pod sandboxes, containers, exec, logs and stats, as a CRI server; and the shim that holds a pod's containers.
//!
//! **Invariant:** knows no Kubernetes object: what it is told comes by CRI.

mod cgroup;
mod config;
mod descriptor;
mod launch;
mod layout;
mod namespaces;
mod record;
mod request;
mod runtime;
mod server;
mod service;
mod shim;
mod shim_client;
mod signal;
mod streaming;
mod terminal;
mod user;
mod wire;

pub use config::{Config, ImageRootfs, Images, NeighbourError, Parts, PodAddresses, PodNetwork, PodNetworkRequest};
pub use runtime::{RuntimeError, check_state_directory};
pub use server::{ServeError, serve};
pub use shim::shim_main;
