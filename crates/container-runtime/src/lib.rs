//! Pod sandboxes, containers, exec, logs and stats, as a CRI server; and the shim that holds a pod's containers.
//!
//! **Invariant:** knows no Kubernetes object: what it is told comes by CRI.

mod config;
mod launch;
mod layout;
mod record;
mod shim;
mod wire;

pub use config::{Config, ImageRootfs, Images, NeighbourError, Parts, PodAddresses, PodNetwork, PodNetworkRequest};
pub use shim::shim_main;
