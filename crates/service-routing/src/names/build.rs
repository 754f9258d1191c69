//! Fills a zone from Services and slices.
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

use super::{BTreeMap, BTreeSet, ClusterNames, HashMap, Node, SliceIndex, Target, dashed, parents};
use crate::endpoints::is_ready;
use crate::ruleset::Protocol;

/// The version of the specification, which clients may ask for.
const SPECIFICATION: &str = "1.1.0";

pub(super) fn build<'a>(
    domain: &str,
    services: impl IntoIterator<Item = &'a Service>,
    slices: &SliceIndex<'_>,
    namespaces: impl IntoIterator<Item = String>,
) -> ClusterNames {
    let namespaces: BTreeSet<String> = namespaces.into_iter().collect();
    let mut names = ClusterNames {
        domain: domain.to_owned(),
        namespaces,
        ..ClusterNames::default()
    };
    for place in [domain.to_owned(), format!("svc.{domain}"), format!("pod.{domain}")] {
        names.nodes.insert(place, Node::default());
    }
    for namespace in &names.namespaces {
        for kind in ["svc", "pod"] {
            names
                .nodes
                .insert(format!("{namespace}.{kind}.{domain}"), Node::default());
        }
    }
    let version = Node {
        text: Some(SPECIFICATION.to_owned()),
        ..Node::default()
    };
    names.nodes.insert(format!("dns-version.{domain}"), version);
    for service in services {
        add_service(&mut names, service, slices.of_service(service));
    }
    names
}

fn add_service(names: &mut ClusterNames, service: &Service, slices: &[&EndpointSlice]) {
    let (Some(name), Some(namespace), Some(spec)) = (
        service.metadata.name.as_deref(),
        service.metadata.namespace.as_deref(),
        service.spec.as_ref(),
    ) else {
        return;
    };
    let full = format!("{name}.{namespace}.svc.{}", names.domain);
    if spec.type_.as_deref() == Some("ExternalName") {
        let target = spec.external_name.as_deref().unwrap_or_default();
        put(names, &full).alias = Some(target.trim_end_matches('.').to_ascii_lowercase());
        return;
    }
    let addresses = cluster_addresses(spec);
    if addresses.is_empty() {
        add_headless(names, &full, slices);
        return;
    }
    for address in &addresses {
        names.pointers.entry(*address).or_default().insert(full.clone());
    }
    put(names, &full).addresses = addresses;
    for port in spec.ports.iter().flatten() {
        let Some((label, number)) = srv_label(port) else {
            continue;
        };
        let target = Target {
            weight: 100,
            port: number,
            target: full.clone(),
        };
        put(names, &full).services.push(target.clone());
        if let Some(label) = label {
            put(names, &format!("{label}.{full}")).services.push(target);
        }
    }
    // Clients look up endpoints of any Service by address, as CoreDNS answers.
    for endpoint in ready(slices) {
        for address in addresses_of(endpoint) {
            let host = format!("{}.{full}", host_label(endpoint, address));
            names.pointers.entry(address).or_default().insert(host);
        }
    }
}

fn add_headless(names: &mut ClusterNames, full: &str, slices: &[&EndpointSlice]) {
    let mut all = BTreeSet::new();
    let mut targets: BTreeMap<Option<String>, BTreeSet<(u16, String)>> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint)) {
            for address in addresses_of(endpoint) {
                let host = format!("{}.{full}", host_label(endpoint, address));
                all.insert(address);
                names.pointers.entry(address).or_default().insert(host.clone());
                let node = put(names, &host);
                node.addresses.push(address);
                node.addresses.sort_unstable();
                node.addresses.dedup();
                for (label, number) in slice.ports.iter().flatten().filter_map(slice_label) {
                    targets.entry(label).or_default().insert((number, host.clone()));
                }
            }
        }
    }
    put(names, full).addresses = all.into_iter().collect();
    for (label, hosts) in targets {
        let weight = u16::try_from(100 / hosts.len().max(1)).unwrap_or(1).max(1);
        let services: Vec<Target> = hosts
            .into_iter()
            .map(|(port, target)| Target { weight, port, target })
            .collect();
        put(names, full).services.extend(services.iter().cloned());
        if let Some(label) = label {
            put(names, &format!("{label}.{full}")).services = services;
        }
    }
}

/// The node of a name; the names above it come into being with it.
fn put<'a>(names: &'a mut ClusterNames, name: &str) -> &'a mut Node {
    let nodes: &mut HashMap<String, Node> = &mut names.nodes;
    if !nodes.contains_key(name) {
        for parent in parents(name, &names.domain) {
            nodes.entry(parent).or_default();
        }
    }
    nodes.entry(name.to_owned()).or_default()
}

fn cluster_addresses(spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let all = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    all.filter_map(|address| address.parse().ok())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// `_http._tcp` and the number of a Service's port; ports without a name have no label.
fn srv_label(port: &ServicePort) -> Option<(Option<String>, u16)> {
    let protocol = Protocol::parse(port.protocol.as_deref())?;
    let label = label(port.name.as_deref(), protocol);
    u16::try_from(port.port).ok().map(|number| (label, number))
}

fn slice_label(port: &EndpointPort) -> Option<(Option<String>, u16)> {
    let protocol = Protocol::parse(port.protocol.as_deref())?;
    let label = label(port.name.as_deref(), protocol);
    port.port
        .and_then(|number| u16::try_from(number).ok())
        .map(|number| (label, number))
}

fn label(name: Option<&str>, protocol: Protocol) -> Option<String> {
    let name = name.filter(|name| !name.is_empty())?;
    Some(format!("_{}.{}", name.to_ascii_lowercase(), protocol.label()))
}

fn ready<'a>(slices: &[&'a EndpointSlice]) -> Vec<&'a Endpoint> {
    let ipv4 = slices.iter().filter(|slice| slice.address_type == "IPv4");
    ipv4.flat_map(|slice| slice.endpoints.iter().flatten())
        .filter(|endpoint| is_ready(endpoint))
        .collect()
}

fn addresses_of(endpoint: &Endpoint) -> Vec<Ipv4Addr> {
    endpoint
        .addresses
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect()
}

/// The pod's hostname when it has one and a subdomain, else its address with dashes.
fn host_label(endpoint: &Endpoint, address: Ipv4Addr) -> String {
    let hostname = endpoint.hostname.as_deref().filter(|hostname| !hostname.is_empty());
    hostname.map_or_else(|| dashed(address), str::to_ascii_lowercase)
}
