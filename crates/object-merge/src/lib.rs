//! How one object becomes another: JSON patch, merge patch, strategic merge patch.
//!
//! **Invariant:** never reads what a kind means, only its merge keys.
#![forbid(unsafe_code)]
