//! The vocabulary of decisions: what is observed (`World`), what should change (`Plan`, `Change`) and who decides (`Controller`).
//!
//! **Invariant:** holds no rule of its own.
#![forbid(unsafe_code)]
