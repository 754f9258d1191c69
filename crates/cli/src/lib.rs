//! Commands, kubeconfig and output.
//!
//! **Invariant:** asks the region by its public interfaces; decides nothing.
#![forbid(unsafe_code)]
