//! Services, endpoints and the VPC in; desired packet rules, DNS answers, addresses and load balancer routes out.
//!
//! **Invariant:** knows no kernel: it says which rules, never how they are set.
#![forbid(unsafe_code)]
