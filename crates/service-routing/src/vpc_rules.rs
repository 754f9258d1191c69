//! The packet rules of a VPC's fabric: what leaves the VPC goes to the NAT gateway.
//!
//! All traffic between machines passes the fabric's forward hook, also within a subnet: the place of security groups
//! and network ACLs.
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use crate::ruleset::{ChainKind, Hook, HookPoint, Protocol, Statement, Table};

/// Name of the table in a fabric.
pub const TABLE: &str = "vpc";

/// The table of a VPC with these address ranges, whose NAT gateway listens at `nat_gateway`.
///
/// Only TCP is carried outside; the fabric has no route for anything else, so that a sender is told.
#[must_use]
pub fn vpc_table(cidrs: &[Ipv4Net], nat_gateway: SocketAddrV4) -> Table {
    let mut table = Table::new(TABLE);
    let inside = cidrs.iter().copied().chain([link_local()]);
    let outside: Vec<Statement> = inside
        .map(|range| Statement::DestinationIn { range, negated: true })
        .collect();
    let rules = cidrs.iter().map(|range| {
        let mut rule = vec![Statement::SourceIn(*range)];
        rule.extend(outside.iter().cloned());
        rule.extend([
            Statement::ProtocolIs(Protocol::Tcp),
            Statement::Count,
            Statement::RedirectTo(nat_gateway),
        ]);
        rule
    });
    let hook = Hook {
        kind: ChainKind::Nat,
        point: HookPoint::Prerouting,
        priority: -100,
    };
    table.chain("nat-gateway", Some(hook), rules.collect());
    table
}

/// Where the metadata service, the gateway and the fabric's own helpers live.
fn link_local() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_that_leaves_every_range_goes_to_the_gateway() {
        let cidrs = ["10.0.0.0/16", "100.64.0.0/16"].map(|text| text.parse().unwrap());
        insta::assert_snapshot!(vpc_table(&cidrs, "169.254.1.3:15001".parse().unwrap()).to_string());
    }
}
