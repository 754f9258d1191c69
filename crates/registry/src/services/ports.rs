//! Node ports.

use bytes::Bytes;
use kube_types::dynamic::{Object, Value};
use object_rules::field::Errors;
use store::{Expectation, RangeRequest, Write};

use super::{Held, needs_health_port, needs_ports, spec};
use crate::columns::{list, number};
use crate::pipeline::Allocation;
use crate::registry::Registry;
use crate::status::StatusError;

const PREFIX: &str = "/registry/ranges/servicenodeports/";

impl Registry {
    /// Chooses the node ports of a service that needs some, or checks those that it asks for.
    pub(super) async fn fill_ports(
        &self,
        service: &mut Object,
        before: &Held,
        errors: &mut Errors,
    ) -> Result<(), StatusError> {
        let mut chosen: Vec<u16> = Vec::new();
        let automatic = needs_ports(service);
        let wanted: Vec<Value> = list(&service.0, &["spec", "ports"]).to_vec();
        for (index, port) in wanted.iter().enumerate() {
            let field = format!("spec.ports[{index}].nodePort");
            match port["nodePort"].as_i64().filter(|port| *port != 0) {
                Some(asked) => {
                    if let Some(port) = self.check_port(asked, &field, before, &chosen, errors).await? {
                        chosen.push(port);
                    }
                }
                None if automatic => {
                    // The same number serves another protocol of the same port.
                    let twin = wanted[..index]
                        .iter()
                        .position(|other| other["port"] == port["port"] && other["protocol"] != port["protocol"]);
                    let twin = twin.and_then(|twin| {
                        list(&service.0, &["spec", "ports"])[twin]["nodePort"]
                            .as_u64()
                            .and_then(|p| u16::try_from(p).ok())
                    });
                    let free = match twin {
                        Some(port) => Some(port),
                        None => self.free_port(&chosen).await?,
                    };
                    let Some(free) = free else {
                        errors.invalid(field, 0, "failed to allocate a nodePort: range is full");
                        return Ok(());
                    };
                    chosen.push(free);
                    set_node_port(service, index, free);
                }
                None => {}
            }
        }
        self.fill_health_port(service, before, &chosen, errors).await
    }

    async fn fill_health_port(
        &self,
        service: &mut Object,
        before: &Held,
        chosen: &[u16],
        errors: &mut Errors,
    ) -> Result<(), StatusError> {
        if !needs_health_port(service) {
            return Ok(());
        }
        match number(&service.0, &["spec", "healthCheckNodePort"]) {
            0 => {
                if let (Some(port), Some(spec)) = (self.free_port(chosen).await?, spec(service)) {
                    spec.insert("healthCheckNodePort".to_owned(), port.into());
                }
            }
            asked => {
                self.check_port(asked, "spec.healthCheckNodePort", before, chosen, errors)
                    .await?;
            }
        }
        Ok(())
    }

    async fn check_port(
        &self,
        asked: i64,
        field: &str,
        before: &Held,
        chosen: &[u16],
        errors: &mut Errors,
    ) -> Result<Option<u16>, StatusError> {
        let (first, last) = self.node_ports;
        let Some(port) = u16::try_from(asked).ok().filter(|port| (first..=last).contains(port)) else {
            let detail = format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
            errors.invalid(field, asked, detail);
            return Ok(None);
        };
        if !before.ports.contains(&port) && !chosen.contains(&port) && self.is_port_taken(port).await? {
            errors.invalid(field, asked, "provided port is already allocated");
            return Ok(None);
        }
        Ok(Some(port))
    }

    async fn is_port_taken(&self, port: u16) -> Result<bool, StatusError> {
        let request = RangeRequest {
            keys_only: true,
            ..RangeRequest::key(key(port))
        };
        let found = self
            .store
            .range(request)
            .await
            .map_err(|error| self.store_error(&error))?;
        Ok(!found.items.is_empty())
    }

    /// A free port at random, else the first free one.
    async fn free_port(&self, chosen: &[u16]) -> Result<Option<u16>, StatusError> {
        let (first, last) = self.node_ports;
        let count = u64::from(last - first) + 1;
        for _ in 0..16 {
            let offset = u16::try_from(self.random.below(count)).unwrap_or(0);
            let port = first + offset;
            if !chosen.contains(&port) && !self.is_port_taken(port).await? {
                return Ok(Some(port));
            }
        }
        for port in first..=last {
            if !chosen.contains(&port) && !self.is_port_taken(port).await? {
                return Ok(Some(port));
            }
        }
        Ok(None)
    }
}

/// Adds to the transaction that the port becomes the service's.
pub(super) fn take(allocation: &mut Allocation, port: u16, service: &Object) {
    let owner = format!(
        "{}/{}",
        service.namespace().unwrap_or_default(),
        service.name().unwrap_or_default()
    );
    allocation.expect.push(Expectation {
        key: key(port),
        mod_revision: 0,
    });
    allocation.writes.push(Write::Put {
        key: key(port),
        value: owner.into_bytes().into(),
        lease: None,
    });
}

/// Adds to the transaction that the port becomes free.
pub(super) fn release(allocation: &mut Allocation, port: u16) {
    allocation.writes.push(Write::Delete { key: key(port) });
}

/// Ports that are left out keep their node ports; a type without node ports lets go of those it did not ask for.
pub(super) fn keep(new: &mut Object, old: &Object) {
    let before: Vec<Value> = list(&old.0, &["spec", "ports"]).to_vec();
    let (needs, needed) = (needs_ports(new), needs_ports(old));
    let Some(Value::Array(ports)) = spec(new).and_then(|spec| spec.get_mut("ports")) else {
        return;
    };
    if needed && needs {
        let mut used: Vec<Value> = ports
            .iter()
            .map(|port| port["nodePort"].clone())
            .filter(|p| !p.is_null())
            .collect();
        for port in ports
            .iter_mut()
            .filter(|port| port["nodePort"].as_u64().unwrap_or(0) == 0)
        {
            let same = before
                .iter()
                .find(|b| b["port"] == port["port"] && b["protocol"] == port["protocol"]);
            if let Some(node_port) = same
                .map(|same| same["nodePort"].clone())
                .filter(|p| p.is_u64() && !used.contains(p))
            {
                used.push(node_port.clone());
                port["nodePort"] = node_port;
            }
        }
    } else if needed {
        for port in ports.iter_mut() {
            let unchanged = before.iter().any(|b| b["nodePort"] == port["nodePort"]);
            if let (true, Some(port)) = (unchanged, port.as_object_mut()) {
                port.remove("nodePort");
            }
        }
    }
}

fn set_node_port(service: &mut Object, index: usize, node_port: u16) {
    if let Some(Value::Array(ports)) = spec(service).and_then(|spec| spec.get_mut("ports"))
        && let Some(port) = ports.get_mut(index).and_then(Value::as_object_mut)
    {
        port.insert("nodePort".to_owned(), node_port.into());
    }
}

fn key(port: u16) -> Bytes {
    format!("{PREFIX}{port}").into_bytes().into()
}
