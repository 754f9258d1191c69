//! Which endpoints of a Service's port take traffic, seen from one node.
//!
//! Follows kube-proxy: ready endpoints; when there is none, those that still serve while terminating; hints only when
//! every usable endpoint has them.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointPort, EndpointSlice};

use crate::ruleset::Protocol;

/// The label by which a slice names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The node from which traffic is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its zone, by its topology label.
    pub zone: Option<String>,
}

/// The endpoints of one port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortEndpoints {
    /// Those that any node may use.
    pub cluster: Vec<SocketAddrV4>,
    /// Those on the node that looks.
    pub local: Vec<SocketAddrV4>,
}

/// Slices by namespace and name of their Service.
#[derive(Debug, Default)]
pub struct SliceIndex<'a> {
    slices: BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a EndpointSlice>>>,
}

impl<'a> SliceIndex<'a> {
    /// Sorts slices under their Services; slices without a Service's name are left out.
    #[must_use]
    pub fn new(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Self {
        let mut index = Self::default();
        for slice in slices {
            let service = slice
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(SERVICE_NAME_LABEL));
            if let Some(service) = service {
                let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
                index
                    .slices
                    .entry(namespace)
                    .or_default()
                    .entry(service)
                    .or_default()
                    .push(slice);
            }
        }
        index
    }

    /// The slices of a Service.
    #[must_use]
    pub fn of(&self, namespace: &str, service: &str) -> &[&'a EndpointSlice] {
        self.slices
            .get(namespace)
            .and_then(|services| services.get(service))
            .map_or(&[], Vec::as_slice)
    }

    /// The slices of a Service object.
    #[must_use]
    pub fn of_service(&self, service: &Service) -> &[&'a EndpointSlice] {
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        self.of(namespace, service.metadata.name.as_deref().unwrap_or_default())
    }
}

/// An endpoint of a slice with what decides whether it is used.
struct Candidate<'a> {
    socket: SocketAddrV4,
    endpoint: &'a SliceEndpoint,
}

impl Candidate<'_> {
    fn ready(&self) -> bool {
        is_ready(self.endpoint)
    }

    fn serving_while_terminating(&self) -> bool {
        let conditions = self.endpoint.conditions.as_ref();
        let serving = conditions
            .and_then(|conditions| conditions.serving)
            .unwrap_or_else(|| self.ready());
        serving
            && conditions
                .and_then(|conditions| conditions.terminating)
                .unwrap_or(false)
    }

    fn is_on(&self, node: &NodeView) -> bool {
        self.endpoint.node_name.as_deref() == Some(node.name.as_str())
    }
}

/// Whether an endpoint is ready; an unknown state counts as ready.
#[must_use]
pub fn is_ready(endpoint: &SliceEndpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .and_then(|conditions| conditions.ready)
        .unwrap_or(true)
}

/// The endpoints of one port of a Service, for traffic on `node`. Sorted, each once.
#[must_use]
pub fn port_endpoints(slices: &[&EndpointSlice], port: &ServicePort, node: &NodeView) -> PortEndpoints {
    let candidates: Vec<Candidate<'_>> = candidates(slices, port);
    let all: Vec<&Candidate<'_>> = candidates.iter().collect();
    let local: Vec<&Candidate<'_>> = candidates.iter().filter(|candidate| candidate.is_on(node)).collect();
    PortEndpoints {
        cluster: sockets(&with_hints(&usable(&all), node)),
        local: sockets(&usable(&local)),
    }
}

/// The ready endpoints of one port of a Service, without the fallback to terminating ones: load balancer targets.
#[must_use]
pub fn ready_endpoints(slices: &[&EndpointSlice], port: &ServicePort) -> Vec<SocketAddrV4> {
    let candidates = candidates(slices, port);
    sockets(
        &candidates
            .iter()
            .filter(|candidate| candidate.ready())
            .collect::<Vec<_>>(),
    )
}

fn candidates<'a>(slices: &[&'a EndpointSlice], port: &ServicePort) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let Some(number) = slice
            .ports
            .iter()
            .flatten()
            .find_map(|offered| matching_port(offered, port))
        else {
            continue;
        };
        for endpoint in slice.endpoints.iter().flatten() {
            // Kubernetes gives one address to an endpoint; more have no meaning to kube-proxy either.
            let address = endpoint
                .addresses
                .first()
                .and_then(|address| address.parse::<Ipv4Addr>().ok());
            found.extend(address.map(|address| Candidate {
                socket: SocketAddrV4::new(address, number),
                endpoint,
            }));
        }
    }
    found
}

fn matching_port(offered: &EndpointPort, wanted: &ServicePort) -> Option<u16> {
    let names_match = offered.name.as_deref().unwrap_or_default() == wanted.name.as_deref().unwrap_or_default();
    let protocol = Protocol::parse(offered.protocol.as_deref());
    if !names_match || protocol.is_none() || protocol != Protocol::parse(wanted.protocol.as_deref()) {
        return None;
    }
    offered.port.and_then(|port| u16::try_from(port).ok())
}

/// Ready ones, or those that serve while terminating when none is ready.
fn usable<'a, 'b>(candidates: &[&'b Candidate<'a>]) -> Vec<&'b Candidate<'a>> {
    let ready: Vec<_> = candidates
        .iter()
        .copied()
        .filter(|candidate| candidate.ready())
        .collect();
    if !ready.is_empty() {
        return ready;
    }
    candidates
        .iter()
        .copied()
        .filter(|candidate| candidate.serving_while_terminating())
        .collect()
}

/// Those hinted for this node's zone, when all have hints and one is for it; else all.
fn with_hints<'a, 'b>(candidates: &[&'b Candidate<'a>], node: &NodeView) -> Vec<&'b Candidate<'a>> {
    let Some(zone) = &node.zone else {
        return candidates.to_vec();
    };
    let zones = |candidate: &Candidate<'_>| {
        let hints = candidate
            .endpoint
            .hints
            .as_ref()
            .and_then(|hints| hints.for_zones.clone());
        hints.filter(|zones| !zones.is_empty())
    };
    if candidates.iter().any(|candidate| zones(candidate).is_none()) {
        return candidates.to_vec();
    }
    let for_zone = |candidate: &&&Candidate<'_>| zones(candidate).iter().flatten().any(|hint| hint.name == *zone);
    let hinted: Vec<_> = candidates.iter().filter(for_zone).copied().collect();
    if hinted.is_empty() { candidates.to_vec() } else { hinted }
}

fn sockets(candidates: &[&Candidate<'_>]) -> Vec<SocketAddrV4> {
    let mut sockets: Vec<SocketAddrV4> = candidates.iter().map(|candidate| candidate.socket).collect();
    sockets.sort_unstable();
    sockets.dedup();
    sockets
}
