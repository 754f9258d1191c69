//! Revisioned key-value store with watch, leases and compaction.
//!
//! **Invariant:** acknowledged means on disk.
#![forbid(unsafe_code)]
