//! Mirrors Endpoints that somebody keeps by hand into EndpointSlices, which is what proxies look at.
//!
//! Source of the rules: upstream's `endpointslicemirroring`. Only Endpoints of a Service without a selector are mirrored: for others the slices are made from
//! the pods. Each subset becomes a slice for each address family; a family of subsets with the same ports shares one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_types::ObjectKey;
use plan::{Change, Controller, Kind, Observation, Plan, World, controller_of, controller_reference};

/// Label by which Endpoints say that they are not to be mirrored.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Annotation of Endpoints that are the lock of an election.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SERVICE: &str = "kubernetes.io/service-name";
/// Annotations that mean nothing on the copy.
const NOT_COPIED: &[&str] = &[
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// Most addresses of a subset that are mirrored.
const MOST: usize = 1000;

/// The controller that mirrors Endpoints.
pub struct EndpointSliceMirroring;

/// What slices are told apart by: the ports, as JSON, and the address family.
type Shape = (String, &'static str);

impl Controller for EndpointSliceMirroring {
    type Root = Endpoints;
    const NAME: &'static str = "endpointslicemirroring-controller";
    const WATCHES: &'static [Kind] = &[Kind::Service, Kind::EndpointSlice];

    fn roots_of(&self, changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        let metadata = changed.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let name = match changed {
            Observation::Service(_) => metadata.name.as_deref(),
            _ => controller_of(metadata)
                .filter(|owner| owner.kind == "Endpoints")
                .map(|owner| owner.name.as_str()),
        };
        name.map(|name| ObjectKey::namespaced(namespace, name))
            .into_iter()
            .collect()
    }

    fn plan(&self, endpoints: &Endpoints, world: &World, _now: Timestamp) -> Plan {
        let uid = endpoints.metadata.uid.as_deref().unwrap_or_default();
        let existing = world.endpoint_slices.controlled_by(uid);
        let mut left: Vec<&Arc<EndpointSlice>> = existing.filter(|slice| is_ours(slice)).collect();
        let mut plan = Plan::nothing();
        if endpoints.metadata.deletion_timestamp.is_some() {
            return plan;
        }
        let wanted = if is_mirrored(endpoints, world) {
            slices(endpoints)
        } else {
            BTreeMap::new()
        };
        for (shape, slice) in wanted {
            let known = left.iter().position(|known| shape_of(known) == shape);
            match known.map(|index| left.swap_remove(index)) {
                None => plan.then(Change::create(slice)),
                Some(known) => {
                    let mut changed = known.as_ref().clone();
                    changed.endpoints = slice.endpoints;
                    changed.metadata.labels = slice.metadata.labels;
                    changed.metadata.annotations = slice.metadata.annotations;
                    if changed != **known {
                        plan.then(Change::update(changed));
                    }
                }
            }
        }
        left.into_iter()
            .for_each(|slice| plan.then(Change::delete(slice.as_ref())));
        plan
    }
}

fn is_ours(slice: &EndpointSlice) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|manager| manager == MANAGER)
}

fn is_mirrored(endpoints: &Endpoints, world: &World) -> bool {
    let metadata = &endpoints.metadata;
    let skipped = metadata.labels.as_ref().and_then(|labels| labels.get(SKIP));
    let elects = metadata
        .annotations
        .as_ref()
        .is_some_and(|all| all.contains_key(LEADER));
    if skipped.is_some_and(|value| value == "true") || elects {
        return false;
    }
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let service = world
        .services
        .named(namespace.unwrap_or_default(), name.unwrap_or_default());
    service.is_some_and(|service| service.spec.as_ref().is_some_and(|spec| spec.selector.is_none()))
}

fn shape_of(slice: &EndpointSlice) -> Shape {
    let family = if slice.address_type == "IPv6" { "IPv6" } else { "IPv4" };
    (ports_text(slice.ports.as_deref().unwrap_or_default()), family)
}

/// Ports are plain data: their serialisation has no failing case.
fn ports_text(ports: &[EndpointPort]) -> String {
    serde_json::to_string(ports).unwrap_or_default()
}

/// The slices that the Endpoints make.
fn slices(endpoints: &Endpoints) -> BTreeMap<Shape, EndpointSlice> {
    let mut slices: BTreeMap<Shape, EndpointSlice> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports: Vec<EndpointPort> = subset
            .ports
            .iter()
            .flatten()
            .map(|port| EndpointPort {
                app_protocol: port.app_protocol.clone(),
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(port.port),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            })
            .collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let not_ready = subset
            .not_ready_addresses
            .iter()
            .flatten()
            .map(|address| (address, false));
        for (address, is_ready) in ready.chain(not_ready).take(MOST) {
            let family = match address.ip.parse() {
                Ok(IpAddr::V4(_)) => "IPv4",
                Ok(IpAddr::V6(_)) => "IPv6",
                // Validation lets only addresses in.
                Err(_not_an_address) => continue,
            };
            let shape = (ports_text(&ports), family);
            let slice = slices.entry(shape).or_insert_with(|| empty(endpoints, family, &ports));
            slice
                .endpoints
                .get_or_insert_default()
                .push(endpoint(address, is_ready));
        }
    }
    slices
}

fn endpoint(address: &EndpointAddress, is_ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(is_ready),
            ..EndpointConditions::default()
        }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn empty(endpoints: &Endpoints, family: &str, ports: &[EndpointPort]) -> EndpointSlice {
    let from = &endpoints.metadata;
    let name = from.name.clone().unwrap_or_default();
    let mut labels = from.labels.clone().unwrap_or_default();
    labels.insert(SERVICE.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut annotations = from.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
    EndpointSlice {
        address_type: family.to_owned(),
        endpoints: Some(Vec::new()),
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: from.namespace.clone(),
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            owner_references: Some(vec![controller_reference(endpoints)]),
            ..ObjectMeta::default()
        },
        ports: Some(ports.to_vec()),
    }
}

#[cfg(test)]
mod tests;
