//! VPC fabrics, ENIs, pod links and routes by netlink; `dial` and `listen` inside a VPC.
//!
//! **Invariant:** touches no interface, route or sysctl of the host's own namespace.
//!
//! A VPC is one network namespace (the fabric). An ENI is a point-to-point veth with a `/32`; a pod address is one more
//! `/32` route. Every router-side interface has the same fixed hardware address and answers for 169.254.1.1, so nothing
//! is ever resolved by ARP. Security groups have their place in the fabric's forward hook, which all traffic passes.
#![forbid(unsafe_code)]

pub mod fabric;
pub mod machine;
pub mod nat;

mod links;
mod namespace;
mod netlink;
mod sockets;
mod sysctl;

pub use fabric::{Fabric, FabricError, FabricSpec, InstanceLink, MachineNamespace};
pub use machine::{MachineNetwork, MachineNetworkError, MachineNetworkSpec, PodAddresses, PodAttachment, PodPort};
pub use namespace::NamespaceError;
pub use netlink::NetlinkError;

use std::net::Ipv4Addr;

/// The gateway of every ENI and pod: never an address of any interface, only a permanent neighbour (as in the VPC CNI).
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Hardware address of every router-side interface, so that the gateway's neighbour entry is the same everywhere.
pub const GATEWAY_MAC: [u8; 6] = [0xee; 6];
/// Where the instance metadata service answers inside a VPC.
pub const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Jumbo frames, as inside an Amazon VPC; nothing here is slower for being larger.
pub const MTU: u32 = 9001;
