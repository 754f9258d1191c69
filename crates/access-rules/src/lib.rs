//! May this identity do this? RBAC and its bootstrap roles, bearer and AWS tokens, request signatures.
//!
//! **Invariant:** decides from what it is given; fetches nothing.
#![forbid(unsafe_code)]
