//! The packet rules by which a node's own ports lead to pods (`hostPort`).
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use crate::ruleset::{
    ChainKind, Data, DataType, Field, Hook, HookPoint, Protocol, Rule, SetKind, Statement, Table, Value,
};

/// Name of the table in a machine.
pub const TABLE: &str = "host-ports";

/// Pods by the node's port, of every address of the node and of one of them.
const ANY_ADDRESS: &str = "ports";
const ONE_ADDRESS: &str = "ports-of-addresses";
/// Pods that reach themselves by the node's port.
const HAIRPIN: &str = "hairpin";

/// A port of the node that leads to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// The protocol.
    pub protocol: Protocol,
    /// The node's address, if it is not every one.
    pub address: Option<Ipv4Addr>,
    /// The node's port.
    pub port: u16,
    /// The pod and its port.
    pub pod: SocketAddrV4,
}

/// The table of these ports. It is before that of Services, as the CNI's is; 127.0.0.1 leads nowhere.
#[must_use]
pub fn host_port_table(ports: &BTreeSet<HostPort>) -> Table {
    let mut table = Table::new(TABLE);
    let target = || SetKind::Map(vec![DataType::Address, DataType::Port]);
    table.define(ANY_ADDRESS, &[DataType::Protocol, DataType::Port], target());
    table.define(
        ONE_ADDRESS,
        &[DataType::Address, DataType::Protocol, DataType::Port],
        target(),
    );
    table.define(HAIRPIN, &[DataType::Address, DataType::Address], SetKind::Set);
    for one in ports {
        let pod = Value::Address(*one.pod.ip());
        let data = Data::Values(vec![pod, Value::Port(one.pod.port())]);
        let port = [Value::Protocol(one.protocol), Value::Port(one.port)];
        match one.address {
            None => table.insert(ANY_ADDRESS, port.to_vec(), data),
            Some(address) => {
                let key = [&[Value::Address(address)], &port[..]].concat();
                table.insert(ONE_ADDRESS, key, data);
            }
        }
        table.insert(HAIRPIN, vec![pod, pod], Data::Member);
    }
    let hook = |point, priority| {
        Some(Hook {
            kind: ChainKind::Nat,
            point,
            priority,
        })
    };
    table.chain("arriving", hook(HookPoint::Prerouting, -101), redirections());
    table.chain("own", hook(HookPoint::Output, -101), redirections());
    let own_port = Statement::Member {
        key: vec![Field::SourceAddress, Field::DestinationAddress],
        set: HAIRPIN.to_owned(),
    };
    let masquerade = vec![vec![own_port, Statement::Masquerade]];
    table.chain("leaving", hook(HookPoint::Postrouting, 99), masquerade);
    table
}

fn redirections() -> Vec<Rule> {
    let to = |key: &[Field], map: &str| {
        vec![
            Statement::DestinationIsLocal,
            Statement::DestinationIn {
                range: Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
                negated: true,
            },
            Statement::RedirectByMap {
                key: key.to_vec(),
                map: map.to_owned(),
            },
        ]
    };
    let (address, port) = (Field::DestinationAddress, Field::DestinationPort);
    vec![
        to(&[address, Field::Protocol, port], ONE_ADDRESS),
        to(&[Field::Protocol, port], ANY_ADDRESS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_every_address_and_of_one_lead_to_pods() {
        let port = |address: Option<&str>, port, pod: &str| HostPort {
            protocol: if port == 53 { Protocol::Udp } else { Protocol::Tcp },
            address: address.map(|address| address.parse().unwrap()),
            port,
            pod: pod.parse().unwrap(),
        };
        let ports = [
            port(None, 8080, "10.0.0.11:80"),
            port(None, 53, "10.0.0.12:5353"),
            port(Some("10.0.0.10"), 443, "10.0.0.11:8443"),
        ];
        insta::assert_snapshot!(host_port_table(&ports.into()).to_string());
    }
}
