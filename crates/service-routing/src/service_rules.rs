//! The packet rules of Services on one node: what kube-proxy sets.
//!
//! All Services live in elements of a few maps. A chain exists per number of endpoints, not per Service: it draws an
//! index and looks up the endpoint of (service, index). Session affinity is one learned map, checked against the set
//! of valid endpoints, so that no rule names a Service.
//!
//! Order matters in two places: connections to a Service without endpoints are refused before destination NAT (-110),
//! connections to an unknown port of a cluster address after it (-90 on output), when whatever is still addressed to
//! a cluster address belongs to no Service.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::Service;

use crate::endpoints::{NodeView, SliceIndex};
use crate::ruleset::{Data, DataType, Protocol, SetKind, Table, Value, Verdict};

mod chains;
mod services;

use chains::{Family, Picker};
use services::{ServiceRoute, routes_of};

/// Name of the table on a node.
pub const TABLE: &str = "kube-proxy";

/// The bit of the packet mark that asks for masquerading on the way out, kube-proxy's default.
const MASQUERADE_MARK: u32 = 0x4000;

/// Interfaces of local pods begin so.
const POD_INTERFACES: &str = "eni";

/// The table of Service rules for a node.
#[must_use]
pub fn service_table<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    slices: &SliceIndex<'_>,
    node: &NodeView,
) -> Table {
    let mut table = empty_table();
    // Sorted by creation and name: two Services that claim the same node port do so in a stable order.
    let mut services: Vec<&Service> = services.into_iter().collect();
    services.sort_by_key(|service| {
        let metadata = &service.metadata;
        (
            metadata.creation_timestamp.clone(),
            metadata.namespace.clone(),
            metadata.name.clone(),
        )
    });
    for service in services {
        for route in routes_of(service, slices, node) {
            add_route(&mut table, &route);
        }
    }
    table
}

/// The sets and chains that every node has.
fn empty_table() -> Table {
    use DataType::{Address, Port, Protocol};
    let mut table = Table::new(TABLE);
    table.define("cluster-ips", &[Address], SetKind::Set);
    table.define("hairpin", &[Address, Address], SetKind::Set);
    table.define("services", &[Address, Protocol, Port], SetKind::VerdictMap);
    table.define("node-ports", &[Protocol, Port], SetKind::VerdictMap);
    table.define("node-ports-inside", &[Protocol, Port], SetKind::VerdictMap);
    table.define("no-endpoint-services", &[Address, Protocol, Port], SetKind::VerdictMap);
    table.define("no-endpoint-node-ports", &[Protocol, Port], SetKind::VerdictMap);
    for family in Family::ALL {
        family.define_sets(&mut table);
    }
    chains::base_chains(&mut table);
    table
}

fn add_route(table: &mut Table, route: &ServiceRoute) {
    for address in &route.cluster_ips {
        table.insert("cluster-ips", vec![Value::Address(*address)], Data::Member);
    }
    for (address, external) in route
        .cluster_ips
        .iter()
        .map(|ip| (ip, false))
        .chain(route.external_ips.iter().map(|ip| (ip, true)))
    {
        let key = vec![
            Value::Address(*address),
            Value::Protocol(route.protocol),
            Value::Port(route.port),
        ];
        let endpoints = if external {
            route.external_endpoints()
        } else {
            route.internal_endpoints()
        };
        let masquerade = external && !route.external_local;
        match Picker::new(Family::Service, endpoints.len(), route.affinity_seconds, masquerade) {
            Some(picker) => {
                picker.add(table, &key, endpoints);
                table.insert("services", key, Data::Verdict(Verdict::Goto(picker.chain_name())));
            }
            None => {
                let verdict = chains::without_endpoints(route.has_endpoints_elsewhere());
                table.insert("no-endpoint-services", key, Data::Verdict(verdict));
            }
        }
    }
    if let Some(node_port) = route.node_port {
        add_node_port(table, route, node_port);
    }
    for endpoint in route.endpoints.local.iter() {
        let address = Value::Address(*endpoint.ip());
        table.insert("hairpin", vec![address, address], Data::Member);
    }
}

fn add_node_port(table: &mut Table, route: &ServiceRoute, node_port: u16) {
    let key = vec![Value::Protocol(route.protocol), Value::Port(node_port)];
    let picker = |family, endpoints: &[SocketAddrV4], masquerade| {
        Picker::new(family, endpoints.len(), route.affinity_seconds, masquerade)
    };
    let everywhere = &route.endpoints.cluster;
    if !route.external_local {
        match picker(Family::NodePort, everywhere, true) {
            Some(picker) => {
                picker.add(table, &key, everywhere);
                table.insert("node-ports", key, Data::Verdict(Verdict::Goto(picker.chain_name())));
            }
            None => {
                let verdict = chains::without_endpoints(false);
                table.insert("no-endpoint-node-ports", key, Data::Verdict(verdict));
            }
        }
        return;
    }
    // Clients inside the cluster are not external: whatever the policy, they reach all endpoints.
    let Some(inside) = picker(Family::NodePort, everywhere, false) else {
        let verdict = chains::without_endpoints(false);
        return table.insert("no-endpoint-node-ports", key, Data::Verdict(verdict));
    };
    inside.add(table, &key, everywhere);
    table.insert(
        "node-ports-inside",
        key.clone(),
        Data::Verdict(Verdict::Goto(inside.chain_name())),
    );
    let local = &route.endpoints.local;
    let chain = match picker(Family::NodePortLocal, local, false) {
        Some(picker) => {
            picker.add(table, &key, local);
            chains::local_policy_chain(table, Some(&picker))
        }
        None => {
            let verdict = Verdict::Goto(chains::DROP_EXTERNAL.to_owned());
            table.insert("no-endpoint-node-ports", key.clone(), Data::Verdict(verdict));
            chains::local_policy_chain(table, None)
        }
    };
    table.insert("node-ports", key, Data::Verdict(Verdict::Goto(chain)));
}

/// UDP flows whose connection-tracking entries must go because their endpoint did: a client that goes on using its
/// socket would be sent to a pod that is no more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaleFlow {
    /// The service's address; `None` for a node port, which is any address of the node.
    pub address: Option<Ipv4Addr>,
    /// The service's port or node port.
    pub port: u16,
    /// The endpoint that is gone; `None` when the service had none until now and its flows went nowhere.
    pub endpoint: Option<SocketAddrV4>,
}

/// The flows that became stale between two tables.
#[must_use]
pub fn stale_flows(before: &Table, after: &Table) -> Vec<StaleFlow> {
    let (before, after) = (udp_endpoints(before), udp_endpoints(after));
    let mut stale = BTreeSet::new();
    for (service, endpoints) in &before {
        let remaining = after.get(service);
        let gone = endpoints
            .iter()
            .filter(|endpoint| !remaining.is_some_and(|remaining| remaining.contains(endpoint)));
        let flow = |endpoint: &SocketAddrV4| StaleFlow {
            address: service.0,
            port: service.1,
            endpoint: Some(*endpoint),
        };
        stale.extend(gone.map(flow));
    }
    let fresh = after.keys().filter(|service| !before.contains_key(*service));
    stale.extend(fresh.map(|service| StaleFlow {
        address: service.0,
        port: service.1,
        endpoint: None,
    }));
    stale.into_iter().collect()
}

type UdpEndpoints = BTreeMap<(Option<Ipv4Addr>, u16), BTreeSet<SocketAddrV4>>;

fn udp_endpoints(table: &Table) -> UdpEndpoints {
    let mut found = UdpEndpoints::new();
    for family in Family::ALL {
        let elements = table
            .sets
            .get(&family.endpoints())
            .into_iter()
            .flat_map(|set| &set.elements);
        for (key, data) in elements {
            let service = match key.as_slice() {
                [
                    Value::Address(address),
                    Value::Protocol(Protocol::Udp),
                    Value::Port(port),
                    _,
                ] => (Some(*address), *port),
                [Value::Protocol(Protocol::Udp), Value::Port(port), _] => (None, *port),
                _ => continue,
            };
            if let Data::Values(values) = data
                && let [Value::Address(address), Value::Port(port)] = values.as_slice()
            {
                found
                    .entry(service)
                    .or_default()
                    .insert(SocketAddrV4::new(*address, *port));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
