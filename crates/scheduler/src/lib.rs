//! The queue of unscheduled pods, and binding.
//!
//! **Invariant:** decides nothing itself: `scheduling` does.
#![forbid(unsafe_code)]
