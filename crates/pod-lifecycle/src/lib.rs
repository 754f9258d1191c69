//! What the node does next for a pod, and the status that follows.
//!
//! **Invariant:** decides from a pod, what runs, and `now`; never calls a runtime.
#![forbid(unsafe_code)]
