//! The packet rules of a VPC's fabric: what leaves the VPC goes to the NAT gateway.
//!
//! All traffic between machines passes the fabric's forward hook, also within a subnet: the place of security groups
//! and network ACLs.
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use crate::ruleset::{ChainKind, Hook, HookPoint, Protocol, Rule, Statement, Table, Verdict};

/// Name of the table in a fabric.
pub const TABLE: &str = "vpc";

/// The table of a VPC with these address ranges, whose NAT gateway listens at `nat_gateway`, for TCP and, where the kernel
/// can hand over datagrams, UDP; the fabric routes packets with `datagram_mark` to itself.
///
/// A connection is redirected, since the kernel remembers where it wanted to go. A datagram keeps its destination and
/// is handed to the gateway's transparent socket. Nothing else is carried outside; the fabric has no route for it, so
/// that a sender is told.
#[must_use]
pub fn vpc_table(cidrs: &[Ipv4Net], nat_gateway: SocketAddrV4, datagram_mark: Option<u32>) -> Table {
    let mut table = Table::new(TABLE);
    let connections = leaving(cidrs, Protocol::Tcp, &[Statement::RedirectTo(nat_gateway)]);
    let hook = |kind, priority| Hook {
        kind,
        point: HookPoint::Prerouting,
        priority,
    };
    table.chain("nat-gateway", Some(hook(ChainKind::Nat, -100)), connections);
    if let Some(mark) = datagram_mark {
        let hand_over = [
            Statement::DeliverTo(nat_gateway),
            Statement::Mark(mark),
            Statement::Verdict(Verdict::Accept),
        ];
        let datagrams = leaving(cidrs, Protocol::Udp, &hand_over);
        table.chain("nat-gateway-udp", Some(hook(ChainKind::Filter, -150)), datagrams);
    }
    table
}

/// One rule for each range: what of this protocol comes from it and goes to none of them.
fn leaving(cidrs: &[Ipv4Net], protocol: Protocol, then: &[Statement]) -> Vec<Rule> {
    let inside = cidrs.iter().copied().chain([link_local()]);
    let outside: Vec<Statement> = inside
        .map(|range| Statement::DestinationIn { range, negated: true })
        .collect();
    let rule = |range: &Ipv4Net| {
        let mut rule = vec![Statement::SourceIn(*range)];
        rule.extend(outside.iter().cloned());
        rule.extend([Statement::ProtocolIs(protocol), Statement::Count]);
        rule.extend(then.iter().cloned());
        rule
    };
    cidrs.iter().map(rule).collect()
}

/// Where the metadata service, the gateway and the fabric's own helpers live.
pub(crate) fn link_local() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_and_udp_that_leave_every_range_go_to_the_gateway() {
        let cidrs = ["10.0.0.0/16", "100.64.0.0/16"].map(|text| text.parse().unwrap());
        insta::assert_snapshot!(vpc_table(&cidrs, "169.254.1.3:15001".parse().unwrap(), Some(1)).to_string());
    }
}
