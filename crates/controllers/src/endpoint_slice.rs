//! Keeps the EndpointSlices of a Service: its pods' addresses, ports and conditions, at most a hundred to a slice.

mod packing;

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use kube_types::ObjectKey;
use plan::{Change, Controller, Kind, Observation, Plan, World};

use crate::endpoints::target;
use crate::pod;
use crate::selected;

pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

/// The EndpointSlice controller.
pub struct EndpointSlices;

/// The ports of a slice, in an order of their own so that equal sets are equal.
type Ports = Vec<(Option<String>, Option<i32>, Option<String>, Option<String>)>;

impl Controller for EndpointSlices {
    type Root = Service;
    const NAME: &'static str = "endpointslice-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod, Kind::EndpointSlice, Kind::Node];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        match changed {
            Observation::Pod(pod) => selected::services_of(pod, world),
            Observation::EndpointSlice(slice) if is_ours(slice) => {
                let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
                let service = slice
                    .metadata
                    .labels
                    .as_ref()
                    .and_then(|labels| labels.get(SERVICE_NAME));
                service
                    .map(|service| ObjectKey::namespaced(namespace, service))
                    .into_iter()
                    .collect()
            }
            // A node is looked at for its zone, which it has before it has pods.
            _ => Vec::new(),
        }
    }

    fn plan(&self, service: &Service, world: &World, _now: Timestamp) -> Plan {
        let Some(selector) = selected::selector(service) else {
            return Plan::nothing();
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Plan::nothing();
        }
        let pods = selected::pods(service, &selector, world);
        let present = slices_of(service, world);
        let mut plan = Plan::nothing();
        let families = families(service);
        for family in &families {
            let mut wanted: BTreeMap<Ports, Vec<Endpoint>> = BTreeMap::new();
            for pod in &pods {
                for address in selected::addresses(pod)
                    .into_iter()
                    .filter(|address| family_of(address) == Some(*family))
                {
                    let ports = ports(service, pod);
                    wanted
                        .entry(ports)
                        .or_default()
                        .push(endpoint(service, pod, address, world));
                }
            }
            let of_family: Vec<&EndpointSlice> = present
                .iter()
                .copied()
                .filter(|slice| slice.address_type == *family)
                .collect();
            packing::pack(service, family, wanted, &of_family)
                .into_iter()
                .for_each(|change| plan.then(change));
        }
        for slice in present
            .into_iter()
            .filter(|slice| !families.contains(&slice.address_type.as_str()))
        {
            plan.then(Change::delete(slice));
        }
        plan
    }

    fn plan_absent(&self, key: &ObjectKey, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::nothing();
        let namespace = key.namespace.as_deref();
        let left = world.endpoint_slices.related(&key.name);
        for slice in left.filter(|slice| slice.metadata.namespace.as_deref() == namespace && is_ours(slice)) {
            if slice.metadata.deletion_timestamp.is_none() {
                plan.then(Change::delete(slice.as_ref()));
            }
        }
        plan
    }
}

fn slices_of<'a>(service: &Service, world: &'a World) -> Vec<&'a EndpointSlice> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let namespace = service.metadata.namespace.as_deref();
    let slices = world.endpoint_slices.related(name).map(AsRef::as_ref);
    slices
        .filter(|slice: &&EndpointSlice| slice.metadata.namespace.as_deref() == namespace && is_ours(slice))
        .filter(|slice| slice.metadata.deletion_timestamp.is_none())
        .collect()
}

fn is_ours(slice: &EndpointSlice) -> bool {
    let manager = slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
    manager.map(String::as_str) == Some(MANAGER)
}

fn families(service: &Service) -> Vec<&str> {
    let families = service
        .spec
        .as_ref()
        .and_then(|spec| spec.ip_families.as_deref())
        .unwrap_or_default();
    if families.is_empty() {
        vec!["IPv4"]
    } else {
        families.iter().map(String::as_str).collect()
    }
}

fn family_of(address: &str) -> Option<&'static str> {
    match address.parse().ok()? {
        IpAddr::V4(_) => Some("IPv4"),
        IpAddr::V6(_) => Some("IPv6"),
    }
}

/// The Service's ports on this pod; named ones may differ from pod to pod.
fn ports(service: &Service, pod: &Pod) -> Ports {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let mut found: Ports = ports
        .into_iter()
        .flatten()
        .filter_map(|port| {
            let number = selected::target_port(pod, port)?;
            let name = Some(port.name.clone().unwrap_or_default());
            let protocol = Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()));
            Some((name, Some(number), protocol, port.app_protocol.clone()))
        })
        .collect();
    found.sort();
    found
}

fn endpoint(service: &Service, pod: &Pod, address: &str, world: &World) -> Endpoint {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let zone = node
        .as_ref()
        .and_then(|node| world.nodes.cluster(node)?.metadata.labels.as_ref()?.get(ZONE).cloned());
    let published = selected::publishes_not_ready(service);
    let serving = pod::is_ready(pod) || published;
    let terminating = pod::is_deleting(pod);
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(published || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hints: hints(service, zone.as_ref(), node.as_ref()),
        hostname: selected::hostname(pod, service),
        target_ref: Some(target(pod)),
        node_name: node,
        zone,
        deprecated_topology: None,
    }
}

/// Whom the endpoint is for when traffic is to stay near (`spec.trafficDistribution`).
fn hints(service: &Service, zone: Option<&String>, node: Option<&String>) -> Option<EndpointHints> {
    let distribution = service.spec.as_ref()?.traffic_distribution.as_deref()?;
    let for_zones = zone.map(|zone| vec![ForZone { name: zone.clone() }]);
    match distribution {
        "PreferClose" | "PreferSameZone" => Some(EndpointHints {
            for_zones,
            for_nodes: None,
        }),
        "PreferSameNode" => {
            let for_nodes = node.map(|node| vec![ForNode { name: node.clone() }]);
            Some(EndpointHints { for_zones, for_nodes })
        }
        _ => None,
    }
}

fn typed_ports(ports: &Ports) -> Vec<EndpointPort> {
    let typed = ports.iter().cloned();
    typed
        .map(|(name, port, protocol, app_protocol)| EndpointPort {
            name,
            port,
            protocol,
            app_protocol,
        })
        .collect()
}

fn untyped_ports(slice: &EndpointSlice) -> Ports {
    let ports = slice.ports.iter().flatten().cloned();
    let mut ports: Ports = ports
        .map(|port| (port.name, port.port, port.protocol, port.app_protocol))
        .collect();
    ports.sort();
    ports
}

#[cfg(test)]
mod tests;
