//! Make the kernel's nftables rules equal a desired set.
//!
//! **Invariant:** one atomic batch per change, never a partial table.
