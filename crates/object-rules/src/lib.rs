//! What each kind defaults, validates, keeps immutable, resets and counts.
//!
//! **Invariant:** every rule is a function of the objects given to it.
#![forbid(unsafe_code)]
