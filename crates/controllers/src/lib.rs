//! Every controller: object and world in, plan out. One file per controller.
//!
//! **Invariant:** no async, no clock, no store in its dependency tree.
#![forbid(unsafe_code)]
