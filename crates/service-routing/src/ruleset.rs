//! Packet rules as data: tables, sets, maps, chains and rules, in nftables' terms and without its wire format.
//!
//! Only what the rules of this project need. Everything that varies with the cluster lies in set elements; chains and
//! rules are nearly constant, so that a change of one Service is a change of a few elements.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

mod text;

/// A table of the `ip` family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its name; whoever applies it owns every table of this name.
    pub name: String,
    /// Sets and maps by name.
    pub sets: BTreeMap<String, Set>,
    /// Chains by name.
    pub chains: BTreeMap<String, Chain>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Adds an empty set or map.
    pub fn define(&mut self, name: &str, key: &[DataType], kind: SetKind) {
        self.sets.insert(
            name.to_owned(),
            Set {
                key: key.to_vec(),
                kind,
                elements: BTreeMap::new(),
            },
        );
    }

    /// Adds an element to a set or map that was defined; the first of two with equal keys stays.
    ///
    /// # Panics
    /// When the set was not defined: a mistake in the code that makes the rules.
    pub fn insert(&mut self, set: &str, key: Vec<Value>, data: Data) {
        let set = self
            .sets
            .get_mut(set)
            .expect("elements are added to sets that were defined before");
        set.elements.entry(key).or_insert(data);
    }

    /// Adds a chain; one of the same name stays as it is.
    pub fn chain(&mut self, name: &str, hook: Option<Hook>, rules: Vec<Rule>) {
        self.chains.entry(name.to_owned()).or_insert(Chain { hook, rules });
    }
}

/// The type of one part of a key or of map data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// IPv4 address.
    Address,
    /// Transport protocol.
    Protocol,
    /// Transport port.
    Port,
    /// A small number, such as which endpoint of a Service.
    Index,
}

/// One part of a key or of map data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// IPv4 address.
    Address(Ipv4Addr),
    /// Transport protocol.
    Protocol(Protocol),
    /// Transport port.
    Port(u16),
    /// A small number.
    Index(u32),
}

/// A transport protocol of Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol of a Service's or slice's port; `None` for an unknown one.
    #[must_use]
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("TCP" | "") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }

    /// The number in the IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The label in SRV names: `_tcp`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Tcp => "_tcp",
            Self::Udp => "_udp",
            Self::Sctp => "_sctp",
        }
    }
}

/// What a set holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetKind {
    /// Keys only.
    Set,
    /// Keys with values.
    Map(Vec<DataType>),
    /// Keys with verdicts.
    VerdictMap,
    /// Keys with values that packets add, and that time out.
    Learned(Vec<DataType>),
}

/// A named set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Parts of the key.
    pub key: Vec<DataType>,
    /// What it holds.
    pub kind: SetKind,
    /// Elements; those of a learned map are the kernel's own affair.
    pub elements: BTreeMap<Vec<Value>, Data>,
}

/// What belongs to a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// Nothing: the key is a member.
    Member,
    /// Values.
    Values(Vec<Value>),
    /// A verdict.
    Verdict(Verdict),
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Passes this hook.
    Accept,
    /// Vanishes.
    Drop,
    /// Back to the calling chain.
    Return,
    /// On in another chain, then back.
    Jump(String),
    /// On in another chain.
    Goto(String),
}

/// Where a base chain sees packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What the chain may do.
    pub kind: ChainKind,
    /// When.
    pub point: HookPoint,
    /// Order among the chains of a point, lower first. Destination NAT is at -100, source NAT at 100.
    pub priority: i32,
}

/// What a base chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Let pass or not.
    Filter,
    /// Translate addresses; sees only the first packet of a connection.
    Nat,
}

/// A packet's way through the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPoint {
    /// Before the routing decision.
    Prerouting,
    /// To the namespace itself.
    Input,
    /// Through the namespace.
    Forward,
    /// From the namespace itself.
    Output,
    /// After the routing decision.
    Postrouting,
}

/// A chain of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Where it begins, unless it is only jumped to. The policy of base chains is to accept.
    pub hook: Option<Hook>,
    /// Rules in order.
    pub rules: Vec<Rule>,
}

/// A rule: conditions, then what to do when all hold.
pub type Rule = Vec<Statement>;

/// A part of a packet, or a number drawn for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Source address.
    SourceAddress,
    /// Destination address.
    DestinationAddress,
    /// Transport protocol.
    Protocol,
    /// Destination port.
    DestinationPort,
    /// A random number below this one.
    Random(u32),
}

/// One condition or action of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Only if the key is a member of the set.
    Member {
        /// Parts of the key.
        key: Vec<Field>,
        /// Name of the set.
        set: String,
    },
    /// Only if the destination lies in the range, or (negated) does not.
    DestinationIn {
        /// The range.
        range: Ipv4Net,
        /// Whether it must not.
        negated: bool,
    },
    /// Only if the source lies in the range.
    SourceIn(Ipv4Net),
    /// Only this protocol.
    ProtocolIs(Protocol),
    /// Only the protocol of this number.
    ProtocolNumberIs(u8),
    /// Only if the destination port lies in the range.
    DestinationPortIn {
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// Only ICMP messages of this type; the protocol is not looked at.
    IcmpIs {
        /// The type.
        kind: u8,
        /// The code, if it matters.
        code: Option<u8>,
    },
    /// Only if the packet came in by an interface whose name begins so.
    CameInBy(String),
    /// Only if the destination is an address of this namespace.
    DestinationIsLocal,
    /// Only if the source is an address of this namespace.
    SourceIsLocal,
    /// Only the first packet of a connection.
    NewConnection,
    /// Only packets of connections that exist, or belong to one.
    EstablishedConnection,
    /// Only if all these bits of the packet's mark are set.
    Marked(u32),
    /// Sets these bits of the packet's mark.
    Mark(u32),
    /// Counts packets and bytes.
    Count,
    /// Goes where the map says; without such a key, on to the next rule.
    VerdictOf {
        /// Parts of the key.
        key: Vec<Field>,
        /// Name of the verdict map.
        map: String,
    },
    /// Sends the connection where the map says (address and port); without such a key, on to the next rule.
    RedirectByMap {
        /// Parts of the key.
        key: Vec<Field>,
        /// Name of the map.
        map: String,
    },
    /// Sends the connection to one place.
    RedirectTo(SocketAddrV4),
    /// Hands the packet, its destination unchanged, to the transparent socket at this address (or to the connected one
    /// that took this flow over); without such a socket, on to the next rule.
    DeliverTo(SocketAddrV4),
    /// Sends the connection where the client's earlier ones went, if that endpoint is still one, and remembers it
    /// anew; else, on to the next rule.
    RedirectAsBefore(Affinity),
    /// Draws an endpoint, remembers it for the client, and sends the connection there.
    RedirectAndRemember {
        /// The memory.
        affinity: Affinity,
        /// Map from service key and index to the endpoint's number.
        numbers: String,
        /// How many endpoints there are.
        count: u32,
    },
    /// Gives the connection this namespace's own source address.
    Masquerade,
    /// Answers that there is nothing at this port.
    Reject,
    /// Decides.
    Verdict(Verdict),
}

/// The memory of which client was sent to which endpoint. The endpoint's number passes through the connection's mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// Parts of the packet that name the service.
    pub service: Vec<Field>,
    /// Learned map from source address and service key to the endpoint's number.
    pub learned: String,
    /// Map from service key and endpoint number to address and port, of the endpoints that are still valid.
    pub valid: String,
    /// How long a client is remembered after its last connection, in seconds.
    pub seconds: u32,
}
