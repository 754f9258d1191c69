//! Service rules and cluster DNS on a node, pod address hand-out.
//!
//! **Invariant:** sets what `service-routing` says, and nothing else.
#![forbid(unsafe_code)]
