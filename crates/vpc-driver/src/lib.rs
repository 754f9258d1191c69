//! VPC fabrics, ENIs, pod links and routes by netlink; `dial` and `listen` inside a VPC.
//!
//! **Invariant:** touches no interface, route or sysctl of the host's own namespace.
