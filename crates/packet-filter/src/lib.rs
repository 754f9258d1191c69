//! Make the kernel's nftables rules equal a desired set.
//!
//! **Invariant:** one atomic batch per change, never a partial table.
//!
//! Speaks nf_tables' and conntrack's netlink itself; no nft program is needed. Tables come as data from
//! `service-routing`. Sockets belong to the network namespace of the thread that opens them.

pub mod conntrack;
pub mod filter;

mod encode;
mod expressions;
mod message;
mod socket;

pub use conntrack::{ConntrackError, forget_flows};
pub use filter::{PacketFilter, PacketFilterError};
pub use socket::SocketError;
