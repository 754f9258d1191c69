//! The list of every control loop, on one page.
//!
//! **Invariant:** no logic of a controller.
#![forbid(unsafe_code)]
