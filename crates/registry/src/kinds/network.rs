//! Kinds about names, addresses and events: discovery, events, networking, coordination.

use super::core::{EVENT_FIELDS, EVENT_SECONDS};
use super::{ResourceKind, SelectableField, kind};
use crate::columns::{core as columns, events, services};

pub(super) fn kinds() -> Vec<ResourceKind> {
    vec![
        endpoint_slices(),
        events(),
        ingress_classes(),
        ingresses(),
        ip_addresses(),
        network_policies(),
        service_cidrs(),
        leases(),
    ]
}

fn endpoint_slices() -> ResourceKind {
    kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices").printer(&services::ENDPOINT_SLICES)
}

/// The same objects as the core group's events, in the newer form.
fn events() -> ResourceKind {
    const FIELDS: &[SelectableField] = EVENT_FIELDS;
    kind("events.k8s.io", "v1", "Event", "events")
        .short(&["ev"])
        .fields(FIELDS)
        .stored_as("", "v1")
        .time_to_live(EVENT_SECONDS)
        .printer(&events::EVENTS)
}

fn ingress_classes() -> ResourceKind {
    kind("networking.k8s.io", "v1", "IngressClass", "ingressclasses")
        .cluster()
        .printer(&services::INGRESS_CLASSES)
}

fn ingresses() -> ResourceKind {
    kind("networking.k8s.io", "v1", "Ingress", "ingresses")
        .short(&["ing"])
        .prefix("/registry/ingress/")
        .status()
        .printer(&services::INGRESSES)
}

fn ip_addresses() -> ResourceKind {
    kind("networking.k8s.io", "v1", "IPAddress", "ipaddresses")
        .cluster()
        .short(&["ip"])
        .printer(&services::IP_ADDRESSES)
}

fn network_policies() -> ResourceKind {
    kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
        .short(&["netpol"])
        .printer(&services::NETWORK_POLICIES)
}

fn service_cidrs() -> ResourceKind {
    kind("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs")
        .cluster()
        .status()
        .printer(&services::SERVICE_CIDRS)
}

fn leases() -> ResourceKind {
    kind("coordination.k8s.io", "v1", "Lease", "leases").printer(&columns::LEASES)
}
