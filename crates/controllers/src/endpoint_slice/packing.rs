//! Distributes endpoints over slices so that few slices change. Source of the rules: upstream's `reconcileByPortMapping`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::{Change, controller_reference};

use super::{MANAGED_BY, MANAGER, Ports, SERVICE_NAME, typed_ports, untyped_ports};
use crate::selected::{HEADLESS, is_headless};

/// Most endpoints of one slice (upstream's `--max-endpoints-per-slice`).
const MOST: usize = 100;

/// The changes after which the slices of one address family hold exactly the wanted endpoints.
pub(super) fn pack(
    service: &Service,
    family: &str,
    mut wanted: BTreeMap<Ports, Vec<Endpoint>>,
    present: &[&EndpointSlice],
) -> Vec<Change> {
    // A Service without endpoints keeps one empty slice, so that its consumers learn that it has none.
    if wanted.is_empty() {
        wanted.insert(Ports::new(), Vec::new());
    }
    let mut by_ports: BTreeMap<Ports, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in present {
        by_ports.entry(untyped_ports(slice)).or_default().push(slice);
    }
    let mut changes = Vec::new();
    for (ports, endpoints) in wanted {
        let slices = by_ports.remove(&ports).unwrap_or_default();
        changes.extend(pack_ports(service, family, &ports, endpoints, &slices));
    }
    changes.extend(by_ports.into_values().flatten().map(Change::delete));
    changes
}

fn pack_ports(
    service: &Service,
    family: &str,
    ports: &Ports,
    endpoints: Vec<Endpoint>,
    slices: &[&EndpointSlice],
) -> Vec<Change> {
    let mut left: BTreeMap<String, Endpoint> = endpoints
        .into_iter()
        .map(|endpoint| (identity(&endpoint), endpoint))
        .collect();
    let nothing_wanted = left.is_empty();
    // First each slice keeps those of its endpoints that are still wanted, in their present state.
    let mut kept: Vec<(&EndpointSlice, Vec<Endpoint>)> = Vec::new();
    for slice in slices {
        let mut seen = BTreeSet::new();
        let own = slice
            .endpoints
            .iter()
            .flatten()
            .map(identity)
            .filter(|identity| seen.insert(identity.clone()));
        let own = own.filter_map(|identity| left.remove(&identity)).collect();
        kept.push((slice, own));
    }
    // Then the rest goes where there is room, the slices that change anyway and the fuller ones first.
    kept.sort_by_key(|(slice, own)| {
        let changes = slice.endpoints.as_ref() != Some(own);
        (!changes, std::cmp::Reverse(own.len()))
    });
    let mut rest: Vec<Endpoint> = left.into_values().collect();
    for (_, own) in &mut kept {
        let room = MOST.saturating_sub(own.len()).min(rest.len());
        own.extend(rest.drain(..room));
    }
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let next: Vec<Endpoint> = rest.drain(..rest.len().min(MOST)).collect();
        changes.push(Change::create(new_slice(service, family, ports, next)));
    }
    if kept.is_empty() && changes.is_empty() {
        changes.push(Change::create(new_slice(service, family, ports, Vec::new())));
    }
    let mut spared = !changes.is_empty();
    for (slice, own) in kept {
        // One empty slice stays when the Service has no endpoint at all.
        if own.is_empty() && (!nothing_wanted || spared) {
            changes.push(Change::delete(slice));
            continue;
        }
        spared = true;
        let mut changed = slice.clone();
        changed.endpoints = Some(own);
        changed.metadata.labels = Some(labels(service));
        if changed != *slice && !(slice.endpoints.is_none() && only_endpoints_differ(&changed, slice)) {
            changes.push(Change::update(changed));
        }
    }
    changes
}

/// `null` and an empty list of endpoints mean the same.
fn only_endpoints_differ(changed: &EndpointSlice, slice: &EndpointSlice) -> bool {
    changed.endpoints.as_ref().is_some_and(Vec::is_empty) && changed.metadata == slice.metadata
}

fn new_slice(service: &Service, family: &str, ports: &Ports, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    EndpointSlice {
        metadata: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            generate_name: Some(format!("{name}-")),
            labels: Some(labels(service)),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: family.to_owned(),
        endpoints: Some(endpoints),
        ports: Some(typed_ports(ports)),
    }
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(
        SERVICE_NAME.to_owned(),
        service.metadata.name.clone().unwrap_or_default(),
    );
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// What makes an endpoint the same one in another state: its pod and address.
fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint
        .target_ref
        .as_ref()
        .and_then(|target| target.uid.as_deref())
        .unwrap_or_default();
    format!("{uid}/{}", endpoint.addresses.join(","))
}
