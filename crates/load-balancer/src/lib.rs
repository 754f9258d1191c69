//! The data path of network and HTTP load balancers on the host.
//!
//! **Invariant:** sends traffic to ready endpoints only.
#![forbid(unsafe_code)]
