//! The one control loop: watch, queue, plan, apply, retry.
//!
//! **Invariant:** the only place where a controller is run.
#![forbid(unsafe_code)]
