//! ClusterIPs.

use std::net::Ipv4Addr;

use bytes::Bytes;
use ipnet::Ipv4Net;
use kube_types::dynamic::{Object, Value, json};
use object_rules::field::Errors;
use store::{Expectation, Write};

use super::{Held, address_object, needs_address, set};
use crate::cache::encode;
use crate::columns::{list, string};
use crate::pipeline::{Allocation, stamp};
use crate::registry::Registry;
use crate::status::StatusError;

/// Names a headless service's missing address.
const NONE: &str = "None";

impl Registry {
    /// Chooses the address of a service that needs one, or checks the one it asks for.
    pub(super) fn fill_addresses(&self, service: &mut Object, before: &Held, errors: &mut Errors) {
        if !needs_address(service) {
            return;
        }
        let listed = list(&service.0, &["spec", "clusterIPs"])
            .first()
            .and_then(Value::as_str)
            .unwrap_or_default();
        let asked = match string(&service.0, &["spec", "clusterIP"]) {
            "" => listed.to_owned(),
            asked => asked.to_owned(),
        };
        let address = match asked.as_str() {
            NONE => NONE.to_owned(),
            "" => match self.free_address() {
                Some(address) => address.to_string(),
                None => {
                    errors.invalid(
                        "spec.clusterIPs",
                        json!([]),
                        "failed to allocate a serviceIP: range is full",
                    );
                    return;
                }
            },
            asked => {
                if let Some(problem) = self.check_address(asked, before) {
                    errors.invalid("spec.clusterIPs", json!([asked]), problem);
                    return;
                }
                asked.to_owned()
            }
        };
        set(service, "clusterIP", address.as_str().into());
        set(service, "clusterIPs", json!([address]));
        if list(&service.0, &["spec", "ipFamilies"]).is_empty() {
            set(service, "ipFamilies", json!(["IPv4"]));
        }
        if string(&service.0, &["spec", "ipFamilyPolicy"]).is_empty() {
            set(service, "ipFamilyPolicy", "SingleStack".into());
        }
        self.check_families(service, errors);
    }

    /// This cluster has one family, as an EKS cluster of the IPv4 family.
    fn check_families(&self, service: &Object, errors: &mut Errors) {
        if string(&service.0, &["spec", "ipFamilyPolicy"]) == "RequireDualStack" {
            let detail = "this cluster is not configured for dual-stack services";
            errors.invalid("spec.ipFamilyPolicy", "RequireDualStack", detail);
        }
        for (index, family) in list(&service.0, &["spec", "ipFamilies"]).iter().enumerate() {
            if family != "IPv4" {
                let detail = "not configured on this cluster";
                errors.invalid(format!("spec.ipFamilies[{index}]"), family.clone(), detail);
            }
        }
    }

    fn check_address(&self, asked: &str, before: &Held) -> Option<String> {
        let Ok(address) = asked.parse::<Ipv4Addr>() else {
            return None;
        };
        if before.addresses.contains(&address) {
            return None;
        }
        if !usable(self.service_cidr, address) {
            return Some(format!(
                "failed to allocate IP {asked}: the provided network does not contain the provided IP"
            ));
        }
        self.is_taken(address)
            .then(|| format!("failed to allocate IP {asked}: provided IP is already allocated"))
    }

    fn is_taken(&self, address: Ipv4Addr) -> bool {
        let addresses = self.built_in("networking.k8s.io", "ipaddresses");
        addresses.is_ok_and(|addresses| addresses.cache.get(&address.to_string()).is_some())
    }

    /// A free address: at random from the part that is not kept for addresses asked for, else the first free one.
    fn free_address(&self) -> Option<Ipv4Addr> {
        let (first, count) = (
            u32::from(self.service_cidr.network()) + 1,
            host_count(self.service_cidr),
        );
        let reserved = reserved(count);
        let dynamic = count - reserved;
        for _ in 0..32 {
            let offset = u32::try_from(self.random.below(u64::from(dynamic))).unwrap_or(0);
            let address = Ipv4Addr::from(first + reserved + offset);
            if !self.is_taken(address) {
                return Some(address);
            }
        }
        let order = (reserved..count).chain(0..reserved);
        order
            .map(|offset| Ipv4Addr::from(first + offset))
            .find(|address| !self.is_taken(*address))
    }

    /// Adds to the transaction that the address becomes the service's.
    pub(super) fn take_address(
        &self,
        allocation: &mut Allocation,
        address: Ipv4Addr,
        service: &Object,
    ) -> Result<(), StatusError> {
        let object = address_object(address, service, &self.random.uuid(), &stamp(self.clock.now()));
        let empty = kube_types::dynamic::Map::new();
        let value = encode(
            "IPAddress",
            "networking.k8s.io/v1",
            object.as_object().unwrap_or(&empty),
        )
        .map_err(StatusError::internal)?;
        let key = key(address);
        allocation.expect.push(Expectation {
            key: key.clone(),
            mod_revision: 0,
        });
        allocation.writes.push(Write::Put {
            key,
            value,
            lease: None,
        });
        Ok(())
    }
}

/// Adds to the transaction that the address becomes free.
pub(super) fn release(allocation: &mut Allocation, address: Ipv4Addr) {
    allocation.writes.push(Write::Delete { key: key(address) });
}

fn key(address: Ipv4Addr) -> Bytes {
    format!("/registry/ipaddresses/{address}").into_bytes().into()
}

/// Addresses between network and broadcast.
pub(super) fn host_count(cidr: Ipv4Net) -> u32 {
    (1u32 << (32 - u32::from(cidr.prefix_len())).min(31)).saturating_sub(2)
}

fn usable(cidr: Ipv4Net, address: Ipv4Addr) -> bool {
    cidr.contains(&address) && address != cidr.network() && address != cidr.broadcast()
}

/// Size of the lower part, left for addresses that are asked for. Source: `min(max(16, size/16), 256)`.
pub(super) fn reserved(count: u32) -> u32 {
    if count < 32 { 0 } else { (count / 16).clamp(16, 256) }
}
