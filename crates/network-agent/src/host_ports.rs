//! The ports of a machine that lead to its pods.
use std::collections::BTreeSet;

use packet_filter::{ConntrackError, PacketFilter, PacketFilterError, forget_flows};
use service_routing::host_ports::{HostPort, host_port_table};
use service_routing::ruleset::Protocol;
use service_routing::service_rules::StaleFlow;
use thiserror::Error;

/// Why a port does not lead to its pod.
#[derive(Debug, Error)]
pub enum HostPortsError {
    /// The packet filter refused.
    #[error("rules of host ports")]
    Rules(#[from] PacketFilterError),
    /// Flows to a pod that is gone are still remembered.
    #[error("flows of host ports")]
    Flows(#[from] ConntrackError),
}

/// The host ports of the machine in whose network namespace it is used.
#[derive(Default)]
pub struct HostPorts {
    filter: Option<PacketFilter>,
    ports: BTreeSet<HostPort>,
}

impl HostPorts {
    /// Makes exactly these ports lead to pods. A machine without any is left alone.
    ///
    /// # Errors
    /// When the packet filter refuses; the rules are then what they were.
    pub fn apply(&mut self, ports: BTreeSet<HostPort>) -> Result<(), HostPortsError> {
        if self.filter.is_none() && ports.is_empty() {
            return Ok(());
        }
        let filter = match &mut self.filter {
            Some(filter) => filter,
            None => self.filter.insert(PacketFilter::open()?),
        };
        filter.apply(host_port_table(&ports))?;
        let gone = self
            .ports
            .difference(&ports)
            .filter(|port| port.protocol == Protocol::Udp);
        let stale = gone.map(|port| StaleFlow {
            address: port.address,
            port: port.port,
            endpoint: Some(port.pod),
        });
        let stale: Vec<StaleFlow> = stale.collect();
        self.ports = ports;
        forget_flows(&stale)?;
        Ok(())
    }
}
