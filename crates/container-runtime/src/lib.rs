//! Pod sandboxes, containers, exec, logs and stats, as a CRI server; and the shim that holds a pod's containers.
//!
//! **Invariant:** knows no Kubernetes object: what it is told comes by CRI.
