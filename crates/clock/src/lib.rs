//! Time, randomness and identifiers as things that are handed in.
//!
//! **Invariant:** the only crate that reads the wall clock or the system's randomness.
#![forbid(unsafe_code)]

mod random;
mod time;

pub use random::{Random, SeededRandom, SystemRandom};
pub use time::{Clock, ManualClock, SystemClock};
