//! Services, endpoints and the VPC in; desired packet rules, DNS answers, addresses and load balancer routes out.
//!
//! **Invariant:** knows no kernel: it says which rules, never how they are set.
#![forbid(unsafe_code)]

pub mod load_balancer_name;
pub mod subnets;

pub use load_balancer_name::{LOAD_BALANCER_DOMAIN, load_balancer_hostname, load_balancer_name};
