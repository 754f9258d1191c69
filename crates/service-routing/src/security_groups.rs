//! The packet rules of security groups: who in a VPC may speak to whom.
//!
//! Rules look at the first packet of a connection only; the rest of it is tracked, so that a rule that goes takes no
//! connection along. What leaves an address is looked at before the NAT gateway takes it, what reaches one behind the
//! routing decision. Groups are chains; who is in which lies in set elements, so that an instance that comes or goes
//! changes elements only. Traffic within a machine never reaches the fabric, as on EC2 none within an instance does.
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::ruleset::{ChainKind, Data, DataType, Field, Hook, HookPoint, Protocol, Rule, SetKind, Statement, Table};
use crate::ruleset::{Value, Verdict};
use crate::vpc_rules::link_local;

mod traffic;

pub use traffic::Traffic;

/// Name of the table in a fabric.
pub const TABLE: &str = "security-groups";

/// Verdicts by the address that a packet goes to, and by the one it comes from.
const INGRESS: &str = "ingress";
const EGRESS: &str = "egress";
/// Addresses of the clusters' own interfaces.
const CONTROL_PLANE: &str = "control-plane";
/// Nodes with the interfaces of their cluster, if its endpoint is public.
const PUBLIC_ENDPOINTS: &str = "public-endpoints";

/// The port of API servers.
const API_PORT: u16 = 443;

/// The groups of a VPC and who is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityGroups {
    /// The VPC's resolver, which no group keeps anybody from.
    pub resolver: Option<Ipv4Addr>,
    /// Groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Addresses with the groups of their interface.
    pub members: BTreeMap<Ipv4Addr, BTreeSet<String>>,
    /// Those of them that are clusters' own interfaces, from which the region itself speaks.
    pub control_plane: BTreeSet<Ipv4Addr>,
    /// Nodes that reach their API server by its public endpoint, with the address at which it is found here: on EKS that
    /// way passes no group of the cluster's interfaces.
    pub public_endpoints: BTreeSet<(Ipv4Addr, Ipv4Addr)>,
}

/// The rules of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// What may come in.
    pub ingress: BTreeSet<Permission>,
    /// What may leave.
    pub egress: BTreeSet<Permission>,
}

/// One rule of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Who is at the other end.
    pub peer: Peer,
    /// What may pass.
    pub traffic: Traffic,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Whoever has an address of this range.
    Range(Ipv4Net),
    /// Members of this group.
    Group(String),
}

/// A direction of traffic, as seen from a group's members.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

impl Direction {
    /// The part of the packet that says who is at the other end.
    fn peer(self) -> Field {
        match self {
            Self::In => Field::SourceAddress,
            Self::Out => Field::DestinationAddress,
        }
    }

    fn chain_of_group(self, group: &str) -> String {
        match self {
            Self::In => format!("in-{group}"),
            Self::Out => format!("out-{group}"),
        }
    }

    fn chain_of_set(self, groups: &BTreeSet<String>) -> String {
        match self {
            Self::In => format!("to-{}", name_of(groups)),
            Self::Out => format!("from-{}", name_of(groups)),
        }
    }
}

/// The table of a VPC's security groups.
#[must_use]
pub fn security_group_table(all: &SecurityGroups) -> Table {
    let mut table = Table::new(TABLE);
    table.define(INGRESS, &[DataType::Address], SetKind::VerdictMap);
    table.define(EGRESS, &[DataType::Address], SetKind::VerdictMap);
    table.define(CONTROL_PLANE, &[DataType::Address], SetKind::Set);
    table.define(PUBLIC_ENDPOINTS, &[DataType::Address, DataType::Address], SetKind::Set);
    for address in &all.control_plane {
        table.insert(CONTROL_PLANE, vec![Value::Address(*address)], Data::Member);
    }
    for (node, endpoint) in &all.public_endpoints {
        let key = vec![Value::Address(*node), Value::Address(*endpoint)];
        table.insert(PUBLIC_ENDPOINTS, key, Data::Member);
    }
    hooks(&mut table, all.resolver);
    let in_use: BTreeSet<&String> = all.members.values().flatten().collect();
    for id in in_use {
        let group = all.groups.get(id).cloned().unwrap_or_default();
        for (direction, permissions) in [(Direction::In, &group.ingress), (Direction::Out, &group.egress)] {
            let rules = permissions
                .iter()
                .map(|one| permission(&mut table, direction, one))
                .collect();
            table.chain(&direction.chain_of_group(id), None, rules);
        }
    }
    for (address, groups) in &all.members {
        for (direction, map) in [(Direction::In, INGRESS), (Direction::Out, EGRESS)] {
            let chain = direction.chain_of_set(groups);
            let to_each = groups.iter().map(|id| jump(direction.chain_of_group(id)));
            let nothing_allowed = vec![Statement::Count, Statement::Verdict(Verdict::Drop)];
            table.chain(&chain, None, to_each.chain([nothing_allowed]).collect());
            table.insert(map, vec![Value::Address(*address)], Data::Verdict(Verdict::Goto(chain)));
        }
        for id in groups
            .iter()
            .filter(|id| table.sets.contains_key(&members_of(id)))
            .cloned()
            .collect::<Vec<_>>()
        {
            table.insert(&members_of(&id), vec![Value::Address(*address)], Data::Member);
        }
    }
    table
}

/// Where packets are looked at.
///
/// The fabric's own sockets (load balancers, names, metadata) pass, but for those of the clusters' interfaces.
fn hooks(table: &mut Table, resolver: Option<Ipv4Addr>) {
    let tracked = || vec![Statement::EstablishedConnection, Statement::Verdict(Verdict::Accept)];
    let by = |field, map: &str| {
        let map = map.to_owned();
        vec![Statement::VerdictOf { key: vec![field], map }]
    };
    let pass_to = |range| {
        let condition = Statement::DestinationIn { range, negated: false };
        vec![condition, Statement::Verdict(Verdict::Accept)]
    };
    let hook = |point, priority| {
        Some(Hook {
            kind: ChainKind::Filter,
            point,
            priority,
        })
    };
    // Before the NAT gateway (-100) changes where connections go.
    let mut leaving = vec![tracked(), pass_to(link_local())];
    leaving.extend(resolver.map(|address| pass_to(address.into())));
    leaving.push(by(Field::SourceAddress, EGRESS));
    table.chain("leaving", hook(HookPoint::Prerouting, -120), leaving);
    let arriving = vec![tracked(), by(Field::DestinationAddress, INGRESS)];
    table.chain("arriving", hook(HookPoint::Forward, 0), arriving);
    let public_endpoint = vec![
        Statement::Member {
            key: vec![Field::SourceAddress, Field::DestinationAddress],
            set: PUBLIC_ENDPOINTS.to_owned(),
        },
        Statement::ProtocolIs(Protocol::Tcp),
        Statement::DestinationPortIn {
            first: API_PORT,
            last: API_PORT,
        },
        Statement::Verdict(Verdict::Accept),
    ];
    let at_control_plane = vec![tracked(), public_endpoint, by(Field::DestinationAddress, INGRESS)];
    table.chain("arriving-at-control-plane", hook(HookPoint::Input, 0), at_control_plane);
    let from_control_plane = vec![tracked(), by(Field::SourceAddress, EGRESS)];
    table.chain("leaving-control-plane", hook(HookPoint::Output, 0), from_control_plane);
    let mut reaching = vec![Statement::Member {
        key: vec![Field::SourceAddress],
        set: CONTROL_PLANE.to_owned(),
    }];
    reaching.extend(by(Field::DestinationAddress, INGRESS));
    table.chain(
        "arriving-from-control-plane",
        hook(HookPoint::Output, 10),
        vec![tracked(), reaching],
    );
}

fn jump(chain: String) -> Rule {
    vec![Statement::Verdict(Verdict::Jump(chain))]
}

/// The rule of a permission; the set of a group that it names is defined with it.
fn permission(table: &mut Table, direction: Direction, one: &Permission) -> Rule {
    let mut rule = Vec::new();
    match &one.peer {
        Peer::Range(range) if range.prefix_len() == 0 => {}
        Peer::Range(range) => rule.push(match direction {
            Direction::In => Statement::SourceIn(*range),
            Direction::Out => Statement::DestinationIn {
                range: *range,
                negated: false,
            },
        }),
        Peer::Group(id) => {
            let set = members_of(id);
            if !table.sets.contains_key(&set) {
                table.define(&set, &[DataType::Address], SetKind::Set);
            }
            let key = vec![direction.peer()];
            rule.push(Statement::Member { key, set });
        }
    }
    rule.extend(one.traffic.conditions());
    rule.push(Statement::Verdict(Verdict::Accept));
    rule
}

/// The set of a group's members.
fn members_of(group: &str) -> String {
    format!("members-{group}")
}

/// A name for groups together: the only one's id, or the first one's with a hash of all.
fn name_of(groups: &BTreeSet<String>) -> String {
    let Some(first) = groups.first() else {
        return "nothing".to_owned();
    };
    if groups.len() == 1 {
        return first.clone();
    }
    // FNV-1a: the same in every build, so that a restarted region finds the chains that are there.
    let bytes = groups.iter().flat_map(|id| id.bytes().chain([b' ']));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{first}-and-{}-{hash:016x}", groups.len() - 1)
}

#[cfg(test)]
mod tests;
