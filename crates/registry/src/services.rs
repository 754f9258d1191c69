//! ClusterIPs and node ports of services, reserved in the same transaction that writes the service.
//!
//! An address is held by an `IPAddress` object, a node port by a key of its own; both must be absent when they are
//! taken, so two writers can never get the same one. Source of the rules: `pkg/registry/core/service/storage`.

mod addresses;
mod ports;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use kube_types::dynamic::{Object, Value, json};
use object_rules::field::Errors;

use crate::columns::string;
use crate::pipeline::{Allocation, Resource};
use crate::registry::Registry;
use crate::status::StatusError;

/// What a service holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    addresses: Vec<Ipv4Addr>,
    ports: Vec<u16>,
}

/// Whether objects of a resource take addresses and ports.
pub(crate) fn allocates(resource: &Resource) -> bool {
    resource.kind.group.is_empty() && resource.kind.plural == "services"
}

impl Registry {
    /// What must be written together with an object. Fills in the addresses and ports of a service (`new`), and lets go
    /// of those that it (`old`) does not need any more. Other kinds need nothing.
    pub(crate) async fn allocate(
        &self,
        resource: &Resource,
        new: Option<&mut Object>,
        old: Option<&Object>,
    ) -> Result<Allocation, StatusError> {
        let mut allocation = Allocation::default();
        if !allocates(resource) {
            return Ok(allocation);
        }
        let before = old.map(held).unwrap_or_default();
        let mut after = Held::default();
        if let Some(new) = new {
            if let Some(old) = old {
                keep_allocated(new, old);
            }
            let mut errors = Errors::new();
            self.fill_addresses(new, &before, &mut errors);
            resource.check(new.name().unwrap_or_default(), &errors)?;
            self.fill_ports(new, &before, &mut errors).await?;
            resource.check(new.name().unwrap_or_default(), &errors)?;
            after = held(new);
            for address in after
                .addresses
                .iter()
                .filter(|address| !before.addresses.contains(address))
            {
                self.take_address(&mut allocation, *address, new)?;
            }
            for port in after.ports.iter().filter(|port| !before.ports.contains(port)) {
                ports::take(&mut allocation, *port, new);
            }
        }
        for address in before
            .addresses
            .iter()
            .filter(|address| !after.addresses.contains(address))
        {
            addresses::release(&mut allocation, *address);
        }
        for port in before.ports.iter().filter(|port| !after.ports.contains(port)) {
            ports::release(&mut allocation, *port);
        }
        Ok(allocation)
    }
}

/// The addresses and ports that a service has.
fn held(service: &Object) -> Held {
    let mut held = Held::default();
    held.addresses
        .extend(string(&service.0, &["spec", "clusterIP"]).parse::<Ipv4Addr>());
    for port in crate::columns::list(&service.0, &["spec", "ports"]) {
        let port = port["nodePort"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0);
        held.ports.extend(port);
    }
    let health = crate::columns::number(&service.0, &["spec", "healthCheckNodePort"]);
    held.ports.extend(u16::try_from(health).ok().filter(|port| *port > 0));
    held.ports.sort_unstable();
    held.ports.dedup();
    held
}

fn service_type(service: &Object) -> &str {
    string(&service.0, &["spec", "type"])
}

fn needs_address(service: &Object) -> bool {
    service_type(service) != "ExternalName"
}

/// Load balancers may do without node ports when they say so.
fn needs_ports(service: &Object) -> bool {
    match service_type(service) {
        "NodePort" => true,
        "LoadBalancer" => {
            let asked = crate::columns::at(&service.0, &["spec", "allocateLoadBalancerNodePorts"]);
            asked.and_then(Value::as_bool).unwrap_or(true)
        }
        _ => false,
    }
}

fn needs_health_port(service: &Object) -> bool {
    service_type(service) == "LoadBalancer" && string(&service.0, &["spec", "externalTrafficPolicy"]) == "Local"
}

/// An update that leaves out what was allocated means to keep it; one that changes the type lets go of what the new
/// type has no use for. Source: `patchAllocatedValues`, `dropTypeDependentFields`.
fn keep_allocated(new: &mut Object, old: &Object) {
    if needs_address(new) && needs_address(old) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let kept = crate::columns::at(&old.0, &["spec", field]).cloned();
            let missing = match crate::columns::at(&new.0, &["spec", field]) {
                None => true,
                Some(value) => value.as_str() == Some(""),
            };
            if let (true, Some(kept)) = (missing, kept) {
                set(new, field, kept);
            }
        }
    }
    if needs_address(old) && !needs_address(new) {
        drop_unchanged(new, old, &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]);
    }
    if needs_health_port(old) && !needs_health_port(new) {
        drop_unchanged(new, old, &["healthCheckNodePort"]);
    } else if needs_health_port(new)
        && let (None, Some(port)) = (
            crate::columns::at(&new.0, &["spec", "healthCheckNodePort"]),
            crate::columns::at(&old.0, &["spec", "healthCheckNodePort"]).cloned(),
        )
    {
        set(new, "healthCheckNodePort", port);
    }
    for (field, needs) in [
        ("externalTrafficPolicy", is_external as fn(&Object) -> bool),
        ("allocateLoadBalancerNodePorts", is_balanced),
        ("loadBalancerClass", is_balanced),
    ] {
        if needs(old) && !needs(new) {
            drop_unchanged(new, old, &[field]);
        }
    }
    ports::keep(new, old);
}

fn is_external(service: &Object) -> bool {
    matches!(service_type(service), "NodePort" | "LoadBalancer")
        || crate::columns::count(&service.0, &["spec", "externalIPs"]) > 0
}

fn is_balanced(service: &Object) -> bool {
    service_type(service) == "LoadBalancer"
}

fn drop_unchanged(new: &mut Object, old: &Object, fields: &[&str]) {
    for field in fields {
        let same = crate::columns::at(&new.0, &["spec", field]) == crate::columns::at(&old.0, &["spec", field]);
        if let (true, Some(spec)) = (same, spec(new)) {
            spec.remove(*field);
        }
    }
}

fn spec(service: &mut Object) -> Option<&mut kube_types::dynamic::Map<String, Value>> {
    service.0.get_mut("spec").and_then(Value::as_object_mut)
}

fn set(service: &mut Object, field: &str, value: Value) {
    if let Some(spec) = spec(service) {
        spec.insert(field.to_owned(), value);
    }
}

/// The object that holds an address for a service.
fn address_object(address: Ipv4Addr, service: &Object, uid: &str, now: &str) -> Value {
    json!({"metadata": {"name": address.to_string(), "uid": uid, "creationTimestamp": now,
            "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
        "spec": {"parentRef": {"resource": "services",
            "namespace": service.namespace().unwrap_or_default(), "name": service.name().unwrap_or_default()}}})
}
