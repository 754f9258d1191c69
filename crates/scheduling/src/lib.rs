//! Which node for this pod: filter and score plugins over a snapshot.
//!
//! **Invariant:** a plugin sees a snapshot and a pod, nothing else.
#![forbid(unsafe_code)]
