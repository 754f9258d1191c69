//! Services, endpoints and the VPC in; desired packet rules, DNS answers, addresses and load balancer routes out.
//!
//! **Invariant:** knows no kernel: it says which rules, never how they are set.
#![forbid(unsafe_code)]

pub mod endpoints;
pub mod host_ports;
pub mod load_balancer_name;
pub mod names;
pub mod network_balancers;
pub mod ruleset;
pub mod security_groups;
pub mod service_rules;
pub mod subnets;
pub mod vpc_rules;

pub use load_balancer_name::{LOAD_BALANCER_DOMAIN, load_balancer_hostname, load_balancer_name};
