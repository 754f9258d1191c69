//! The rtnetlink messages that a fabric, a machine and a pod are made of.
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::netlink::{Answer, Message, NetlinkError, RouteSocket};
use crate::{GATEWAY, GATEWAY_MAC, MTU};

/// Index of the loopback interface in every network namespace.
pub(crate) const LOOPBACK: u32 = 1;

const IFINFO: usize = 16;
const RTMSG: usize = 12;
const VETH_INFO_PEER: u16 = 1;
const RTNH_F_ONLINK: u32 = 4;
const OPERSTATE_UP: u8 = 6;
/// Index of `eth0` in machines and pods. Both ends of a pair must not have the same index by chance: the kernel would
/// take such a link for one without a peer and put off its activation by up to a second, dropping what is sent.
const INSIDE_INDEX: u32 = 1 << 20;
/// How long a link may take to carry packets before its maker goes on without waiting.
const ACTIVATION: Duration = Duration::from_millis(200);
/// `NLM_F_CREATE | NLM_F_EXCL`.
const MAKE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
/// `NLM_F_CREATE | NLM_F_REPLACE`: the second time changes nothing.
const PUT: i32 = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    /// Index of the other end of a veth, in its own namespace.
    pub peer: u32,
    pub mac: Vec<u8>,
    pub alias: Option<String>,
    /// Whether packets pass: later than set up, when the kernel has taken note of the other end.
    pub operational: bool,
}

/// One end of a veth pair to be made.
pub(crate) struct VethEnd<'a> {
    pub name: &'a str,
    pub mac: [u8; 6],
    /// Whether it is the end inside a machine or pod, which has a fixed index.
    pub inside: bool,
}

impl VethEnd<'_> {
    fn header(&self) -> [u8; IFINFO] {
        let mut header = [0; IFINFO];
        let index = if self.inside { INSIDE_INDEX } else { 0 };
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        header
    }
}

/// Makes a veth pair: `here` in the socket's namespace, `there` in another.
pub(crate) fn create_veth(here: &VethEnd<'_>, there: &VethEnd<'_>, namespace: BorrowedFd<'_>) -> Message {
    let end = |message: Message, end: &VethEnd<'_>| {
        // One queue: the default of one per CPU costs memory and brings nothing to a pod.
        let message = message
            .text(libc::IFLA_IFNAME, end.name)
            .attribute(libc::IFLA_ADDRESS, &end.mac);
        message
            .number(libc::IFLA_MTU, MTU)
            .number(libc::IFLA_NUM_TX_QUEUES, 1)
            .number(libc::IFLA_NUM_RX_QUEUES, 1)
    };
    let what = format!("create link {} with its peer {}", here.name, there.name);
    let message = end(Message::new(what, libc::RTM_NEWLINK, MAKE, &here.header()), here);
    message.nested(libc::IFLA_LINKINFO, |info| {
        info.text(libc::IFLA_INFO_KIND, "veth")
            .nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| {
                    let peer = end(peer.raw(&there.header()), there);
                    peer.number(libc::IFLA_NET_NS_FD, namespace.as_raw_fd() as u32)
                })
            })
    })
}

/// Brings an interface up. Veth ends come up by messages of their own: in the create message the kernel refuses it.
pub(crate) fn up(index: u32) -> Message {
    let mut fixed = [0; IFINFO];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    fixed[12..16].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    Message::new(format!("bring link {index} up"), libc::RTM_NEWLINK, 0, &fixed)
}

/// Gives an interface an alias, which holds a name longer than the fifteen characters of an interface name.
pub(crate) fn set_alias(index: u32, alias: &str) -> Message {
    let mut fixed = [0; IFINFO];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    let what = format!("name link {index} {alias}");
    Message::new(what, libc::RTM_NEWLINK, 0, &fixed).attribute(libc::IFLA_IFALIAS, alias.as_bytes())
}

/// Deletes an interface by name; a missing one is no error.
pub(crate) fn delete_link(name: &str) -> Message {
    Message::new(format!("delete link {name}"), libc::RTM_DELLINK, 0, &[0; IFINFO])
        .text(libc::IFLA_IFNAME, name)
        .tolerate(&[libc::ENODEV])
}

/// Puts a `/32` address on an interface.
pub(crate) fn put_address(index: u32, address: Ipv4Addr) -> Message {
    let what = format!("add address {address} to link {index}");
    address_message(what, libc::RTM_NEWADDR, PUT, index, address)
}

/// Removes a `/32` address from an interface; a missing one is no error.
pub(crate) fn delete_address(index: u32, address: Ipv4Addr) -> Message {
    let what = format!("remove address {address} from link {index}");
    address_message(what, libc::RTM_DELADDR, 0, index, address).tolerate(&[libc::EADDRNOTAVAIL])
}

fn address_message(what: String, kind: u16, flags: i32, index: u32, address: Ipv4Addr) -> Message {
    let mut fixed = [libc::AF_INET as u8, 32, 0, 0, 0, 0, 0, 0];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    let octets = address.octets();
    Message::new(what, kind, flags, &fixed)
        .attribute(libc::IFA_LOCAL, &octets)
        .attribute(libc::IFA_ADDRESS, &octets)
}

/// A permanent neighbour, so that no address is ever asked for by ARP.
pub(crate) fn put_neighbour(index: u32, address: Ipv4Addr, mac: [u8; 6]) -> Message {
    const NUD_PERMANENT: u16 = 0x80;
    let mut fixed = [0; 12];
    fixed[0] = libc::AF_INET as u8;
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    Message::new(
        format!("add neighbour {address} on link {index}"),
        libc::RTM_NEWNEIGH,
        PUT,
        &fixed,
    )
    .attribute(libc::NDA_DST, &address.octets())
    .attribute(libc::NDA_LLADDR, &mac)
}

/// The default route through the gateway that every ENI and pod has, and the gateway's neighbour entry.
pub(crate) fn default_gateway(index: u32) -> Vec<Message> {
    let route = route_message(
        "add the default route",
        libc::RTM_NEWROUTE,
        PUT,
        None,
        libc::RT_SCOPE_UNIVERSE,
    );
    let route = route
        .attribute(libc::RTA_GATEWAY, &GATEWAY.octets())
        .number(libc::RTA_OIF, index);
    vec![put_neighbour(index, GATEWAY, GATEWAY_MAC), route]
}

/// A `/32` route to what hangs on an interface.
pub(crate) fn put_link_route(index: u32, address: Ipv4Addr) -> Message {
    let what = format!("add route {address}/32 to link {index}");
    route_message(&what, libc::RTM_NEWROUTE, PUT, Some(address), libc::RT_SCOPE_LINK).number(libc::RTA_OIF, index)
}

/// A `/32` route through another address on an interface: what EC2 calls assigning a private address.
pub(crate) fn put_route_via(index: u32, address: Ipv4Addr, via: Ipv4Addr) -> Message {
    let what = format!("add route {address}/32 via {via}");
    route_message(&what, libc::RTM_NEWROUTE, PUT, Some(address), libc::RT_SCOPE_UNIVERSE)
        .attribute(libc::RTA_GATEWAY, &via.octets())
        .number(libc::RTA_OIF, index)
}

/// Removes a `/32` route; a missing one is no error.
pub(crate) fn delete_route(address: Ipv4Addr) -> Message {
    let what = format!("remove route {address}/32");
    let message = route_message(&what, libc::RTM_DELROUTE, 0, Some(address), libc::RT_SCOPE_NOWHERE);
    message.tolerate(&[libc::ESRCH])
}

/// The routing table for packets that are delivered here whatever their destination.
const TABLE_OF_DELIVERED: u8 = 100;

/// Routes every packet that carries a mark to this namespace itself; its own sockets decide what they take.
pub(crate) fn deliver_marked(mark: u32) -> Vec<Message> {
    const TO_TABLE: u8 = 1;
    const FWMARK: u16 = 10;
    const FWMASK: u16 = 16;
    let mut rule = [0; RTMSG];
    rule[0] = libc::AF_INET as u8;
    rule[4] = TABLE_OF_DELIVERED;
    rule[7] = TO_TABLE;
    let rule = Message::new("add the rule of marked packets", libc::RTM_NEWRULE, MAKE, &rule)
        .number(FWMARK, mark)
        .number(FWMASK, mark)
        .tolerate(&[libc::EEXIST]);
    let mut route = [0; RTMSG];
    route[0] = libc::AF_INET as u8;
    route[4] = TABLE_OF_DELIVERED;
    route[5] = libc::RTPROT_STATIC;
    route[6] = libc::RT_SCOPE_HOST;
    route[7] = libc::RTN_LOCAL;
    let route = Message::new("add the route of marked packets", libc::RTM_NEWROUTE, PUT, &route)
        .number(libc::RTA_OIF, LOOPBACK);
    vec![route, rule]
}

fn route_message(what: &str, kind: u16, flags: i32, to: Option<Ipv4Addr>, scope: u8) -> Message {
    let mut fixed = [0; RTMSG];
    fixed[0] = libc::AF_INET as u8;
    fixed[1] = if to.is_some() { 32 } else { 0 };
    fixed[4] = libc::RT_TABLE_MAIN;
    if kind == libc::RTM_NEWROUTE {
        fixed[5] = libc::RTPROT_STATIC;
        fixed[7] = libc::RTN_UNICAST;
    }
    fixed[6] = scope;
    if kind == libc::RTM_NEWROUTE && scope == libc::RT_SCOPE_UNIVERSE {
        // The gateway lies in no subnet of the interface, which has only its own /32.
        fixed[8..12].copy_from_slice(&RTNH_F_ONLINK.to_ne_bytes());
    }
    let message = Message::new(what, kind, flags, &fixed);
    match to {
        Some(address) => message.attribute(libc::RTA_DST, &address.octets()),
        None => message,
    }
}

/// The interface of this name, if there is one.
pub(crate) fn find_link(socket: &mut RouteSocket, name: &str) -> Result<Option<Link>, NetlinkError> {
    let message = Message::new(format!("look up link {name}"), libc::RTM_GETLINK, 0, &[0; IFINFO])
        .text(libc::IFLA_IFNAME, name)
        .tolerate(&[libc::ENODEV]);
    Ok(socket.query(message)?.first().map(read_link))
}

/// Waits until the end of a pair that was brought up first carries packets: what is sent before is dropped.
pub(crate) fn wait_until_operational(socket: &mut RouteSocket, name: &str) -> Result<(), NetlinkError> {
    let begun = Instant::now();
    // Asking for one link makes newer kernels activate it; on older ones it is a matter of a few rounds.
    while find_link(socket, name)?.is_some_and(|link| !link.operational) && begun.elapsed() < ACTIVATION {
        std::thread::yield_now();
    }
    Ok(())
}

/// All interfaces of the namespace.
pub(crate) fn list_links(socket: &mut RouteSocket) -> Result<Vec<Link>, NetlinkError> {
    let message = Message::new("list links", libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; IFINFO]);
    Ok(socket.query(message)?.iter().map(read_link).collect())
}

fn read_link(answer: &Answer) -> Link {
    let [_, _, _, _, a, b, c, d] = answer.fixed::<8>();
    let text = |kind| {
        let value = answer.attribute(IFINFO, kind)?;
        Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned())
    };
    Link {
        index: u32::from_ne_bytes([a, b, c, d]),
        name: text(libc::IFLA_IFNAME).unwrap_or_default(),
        peer: answer.number(IFINFO, libc::IFLA_LINK).unwrap_or_default(),
        mac: answer
            .attribute(IFINFO, libc::IFLA_ADDRESS)
            .unwrap_or_default()
            .to_vec(),
        alias: text(libc::IFLA_IFALIAS),
        operational: answer.attribute(IFINFO, libc::IFLA_OPERSTATE) == Some(&[OPERSTATE_UP]),
    }
}

/// The `/32` addresses of an interface.
pub(crate) fn list_addresses(socket: &mut RouteSocket, index: u32) -> Result<Vec<Ipv4Addr>, NetlinkError> {
    let fixed = [libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0];
    let answers = socket.query(Message::new(
        "list addresses",
        libc::RTM_GETADDR,
        libc::NLM_F_DUMP,
        &fixed,
    ))?;
    let of_link = answers.iter().filter(|answer| {
        let [_, prefix, _, _, a, b, c, d] = answer.fixed::<8>();
        u32::from_ne_bytes([a, b, c, d]) == index && prefix == 32
    });
    Ok(of_link
        .filter_map(|answer| read_address(answer.attribute(8, libc::IFA_LOCAL)))
        .collect())
}

/// The `/32` destinations that are routed to an interface.
pub(crate) fn list_routes(socket: &mut RouteSocket, index: u32) -> Result<Vec<Ipv4Addr>, NetlinkError> {
    let mut fixed = [0; RTMSG];
    fixed[0] = libc::AF_INET as u8;
    let answers = socket.query(Message::new(
        "list routes",
        libc::RTM_GETROUTE,
        libc::NLM_F_DUMP,
        &fixed,
    ))?;
    let of_link = answers.iter().filter(|answer| {
        let [_, prefix, _, _, table, ..] = answer.fixed::<8>();
        prefix == 32 && table == libc::RT_TABLE_MAIN && answer.number(RTMSG, libc::RTA_OIF) == Some(index)
    });
    Ok(of_link
        .filter_map(|answer| read_address(answer.attribute(RTMSG, libc::RTA_DST)))
        .collect())
}

fn read_address(value: Option<&[u8]>) -> Option<Ipv4Addr> {
    value
        .and_then(|value| <[u8; 4]>::try_from(value).ok())
        .map(Ipv4Addr::from)
}

/// A hardware address that follows from the address: unicast, locally administered, unique within a VPC.
pub(crate) fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}
