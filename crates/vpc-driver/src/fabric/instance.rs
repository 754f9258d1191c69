//! Instances on a fabric: one veth pair per ENI, its other end `eth0` in the machine's namespace.
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::{Fabric, FabricError};
use crate::links::{self, LOOPBACK, Link, VethEnd};
use crate::namespace::{self, NamespaceError};
use crate::netlink::{NetlinkError, RouteSocket};
use crate::{GATEWAY_MAC, sysctl};

/// Name of the ENI's interface inside a machine.
const MACHINE_INTERFACE: &str = "eth0";

/// Where a machine's network namespace is.
#[derive(Debug)]
pub enum MachineNamespace {
    /// The namespace of a process.
    Process(i32),
    /// A file that leads to it.
    Path(PathBuf),
    /// An open namespace.
    File(OwnedFd),
}

impl MachineNamespace {
    fn open(self) -> Result<OwnedFd, NamespaceError> {
        match self {
            Self::Process(pid) => namespace::open(&PathBuf::from(format!("/proc/{pid}/ns/net"))),
            Self::Path(path) => namespace::open(&path),
            Self::File(file) => Ok(file),
        }
    }
}

/// An ENI that is to hang on the fabric, with its instance behind it.
#[derive(Debug)]
pub struct InstanceLink {
    /// The ENI's id, `eni-…`.
    pub eni_id: String,
    /// The ENI's primary private address, which is the node's.
    pub address: Ipv4Addr,
    /// The machine's network namespace.
    pub namespace: MachineNamespace,
    /// Secondary addresses, which its pods get.
    pub pod_addresses: Vec<Ipv4Addr>,
}

/// An ENI as found on the fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedInstance {
    /// The ENI's id.
    pub eni_id: String,
    /// All addresses routed to it, the primary one among them.
    pub addresses: Vec<Ipv4Addr>,
}

impl Fabric {
    /// Connects an instance, or puts right what differs when it is connected already. A link whose machine is
    /// another one by now is replaced.
    ///
    /// # Errors
    /// When the machine's namespace is gone or the kernel refuses something.
    pub async fn attach_instance(&self, link: InstanceLink) -> Result<(), FabricError> {
        let vpc_id = self.vpc_id().to_owned();
        let namespace_error = |source| FabricError::Namespace {
            vpc_id: vpc_id.clone(),
            source,
        };
        let machine = link.namespace.open().map_err(namespace_error)?;
        let copy = |fd: &OwnedFd| {
            let duplicate = fd.try_clone();
            duplicate.map_err(|source| {
                namespace_error(NamespaceError::Open {
                    path: link.eni_id.clone(),
                    source,
                })
            })
        };
        let name = interface_name(&link.eni_id);
        let outside = self.with_route(|route| links::find_link(route, &name))?;
        let (inside_machine, mac) = (copy(&machine)?, links::mac_of(link.address));
        let inside = namespace::run_in_async(inside_machine, move || keep_pair(outside, mac)).await;
        let kept = inside.map_err(namespace_error)?;
        let kept = kept.map_err(|source| FabricError::Netlink {
            subject: link.eni_id.clone(),
            source,
        })?;
        let (outside, peer) = match kept {
            Some(pair) => pair,
            None => self.create_link(&name, mac, &machine)?,
        };
        self.apply(vec![links::up(outside), links::set_alias(outside, &link.eni_id)])?;
        let (address, eni_id) = (link.address, link.eni_id.clone());
        let configured = namespace::run_in_async(machine, move || configure_machine(&eni_id, peer, address)).await;
        configured.map_err(namespace_error)??;
        self.put_routes(outside, link.address, &link.pod_addresses)?;
        self.with_route(|route| links::wait_until_operational(route, &name))
    }

    /// Disconnects an ENI: its link, its addresses and its routes go; one that is not there is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn detach_instance(&self, eni_id: &str) -> Result<(), FabricError> {
        self.apply(vec![links::delete_link(&interface_name(eni_id))])
    }

    /// The ENIs on this fabric.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub async fn instances(&self) -> Result<Vec<AttachedInstance>, FabricError> {
        self.with_route(|route| {
            let found = links::list_links(route)?;
            let enis = found.into_iter().filter(|link| link.index != LOOPBACK);
            enis.filter_map(|link| link.alias.map(|eni_id| (eni_id, link.index)))
                .map(|(eni_id, index)| {
                    Ok(AttachedInstance {
                        eni_id,
                        addresses: links::list_routes(route, index)?,
                    })
                })
                .collect()
        })
    }

    /// Makes the ENI's pair anew: the indexes of the fabric's and of the machine's end.
    fn create_link(&self, name: &str, mac: [u8; 6], machine: &OwnedFd) -> Result<(u32, u32), FabricError> {
        let here = VethEnd {
            name,
            mac: GATEWAY_MAC,
            inside: false,
        };
        let there = VethEnd {
            name: MACHINE_INTERFACE,
            mac,
            inside: true,
        };
        self.with_route(|route| {
            route.apply(vec![links::delete_link(name)])?;
            route.apply(vec![links::create_veth(&here, &there, machine.as_fd())])?;
            let made = links::find_link(route, name)?.ok_or(NetlinkError::Malformed)?;
            Ok((made.index, made.peer))
        })
    }

    /// Routes exactly these addresses to the ENI.
    fn put_routes(&self, index: u32, address: Ipv4Addr, pods: &[Ipv4Addr]) -> Result<(), FabricError> {
        self.with_route(|route| {
            let wanted: BTreeSet<Ipv4Addr> = pods.iter().copied().chain([address]).collect();
            let present = links::list_routes(route, index)?;
            let stale = present.into_iter().filter(|present| !wanted.contains(present));
            let mut messages: Vec<_> = stale.map(links::delete_route).collect();
            messages.push(links::put_link_route(index, address));
            messages.push(links::put_neighbour(index, address, links::mac_of(address)));
            messages.extend(pods.iter().map(|pod| links::put_route_via(index, *pod, address)));
            route.apply(messages)
        })
    }
}

/// Interface name of an ENI in the fabric: fifteen characters, so the last fourteen of its id; the alias has it whole.
fn interface_name(eni_id: &str) -> String {
    let digits = eni_id.strip_prefix("eni-").unwrap_or(eni_id);
    let start = digits.char_indices().rev().nth(13).map_or(0, |(index, _)| index);
    format!("e{}", &digits[start..])
}

/// On a thread inside the machine: the two indexes when its `eth0` is the other end of `outside` and has the ENI's
/// hardware address, else nothing, and an `eth0` that leads elsewhere (a fabric that is gone, another ENI) is removed.
fn keep_pair(outside: Option<Link>, mac: [u8; 6]) -> Result<Option<(u32, u32)>, NetlinkError> {
    let mut route = RouteSocket::open()?;
    let Some(inside) = links::find_link(&mut route, MACHINE_INTERFACE)? else {
        return Ok(None);
    };
    match outside {
        Some(outside) if outside.peer == inside.index && inside.peer == outside.index && inside.mac == mac => {
            Ok(Some((outside.index, inside.index)))
        }
        _ => route.apply(vec![links::delete_link(MACHINE_INTERFACE)]).map(|()| None),
    }
}

/// Sets up the machine's side, on a thread inside the machine. Other addresses than the ENI's go away.
fn configure_machine(eni_id: &str, index: u32, address: Ipv4Addr) -> Result<(), FabricError> {
    sysctl::make_router().map_err(|source| FabricError::Sysctl {
        subject: eni_id.to_owned(),
        source,
    })?;
    let configure = || {
        let mut route = RouteSocket::open()?;
        let stale = links::list_addresses(&mut route, index)?
            .into_iter()
            .filter(|present| *present != address);
        let mut messages: Vec<_> = stale.map(|stale| links::delete_address(index, stale)).collect();
        messages.extend([
            links::up(LOOPBACK),
            links::up(index),
            links::put_address(index, address),
        ]);
        messages.extend(links::default_gateway(index));
        route.apply(messages)
    };
    configure().map_err(|source| FabricError::Netlink {
        subject: eni_id.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::interface_name;

    #[test]
    fn interface_names_fit_and_differ() {
        assert_eq!(interface_name("eni-0123456789abcdef0"), "e3456789abcdef0");
        assert_eq!(interface_name("eni-1"), "e1");
        assert!(interface_name("eni-0123456789abcdef0").len() <= 15);
    }
}
