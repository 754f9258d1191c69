//! What the node does next for a pod, and the status that follows.
//!
//! **Invariant:** decides from a pod, what runs, and `now`; never calls a runtime.
//!
//! The agent observes (CRI statuses, probe results, start failures), asks [`plan::next`] what to do and
//! [`status::generate`] what to report, and does it. Everything a container is given (environment, files, resolv.conf,
//! limits) is computed here too, from objects that the agent has fetched.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod dns;
pub mod downward;
pub mod environment;
pub mod expansion;
pub mod image_name;
pub mod observed;
pub mod plan;
pub mod probe;
pub mod projection;
pub mod resources;
pub mod service_links;
pub mod spec;
pub mod status;
pub mod volumes;
