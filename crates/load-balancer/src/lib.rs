//! The data path of network and HTTP load balancers on the host.
//!
//! **Invariant:** sends new traffic to ready endpoints only.
//!
//! A `type: LoadBalancer` service of any cluster gets a balancer: a loopback address of its own with a listener for each TCP port, and, by the name in the
//! Host header, a share of one HTTP port on 127.0.0.1, so that `http://<name>.elb.localhost` works in a browser. Connections are dialled to
//! pod addresses inside the cluster's VPC, as AWS's target type `ip` does. A UDP port has a socket at the same address.
//!
//! Network load balancers of the ELBv2 API are served in the same way; their targets get traffic when checks find them well.
#![forbid(unsafe_code)]

mod address;
mod balancer;
mod balancers;
mod check;
mod datagram;
mod discover;
mod forward;
mod http_port;
mod network;
mod pool;
mod stream;

pub use balancer::{BalancerStatus, Dialer, ListenerStatus, TargetStream};
pub use balancers::{ClusterOptions, LoadBalancerError, LoadBalancers, Options};
pub use network::{NetworkBalancers, NetworkOptions};
