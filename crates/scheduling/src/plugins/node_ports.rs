//! Two pods cannot have the same port of a node.

use k8s_openapi::api::core::v1::Pod;

use crate::plugin::{Check, ClusterChange, Filter, Rejection};
use crate::snapshot::{PodInfo, Snapshot};

/// `NodePorts`
pub struct NodePorts;

/// An address, a protocol and a port of a node.
#[derive(PartialEq, Eq)]
struct HostPort<'a> {
    address: &'a str,
    protocol: &'a str,
    port: i32,
}

impl Filter for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[ClusterChange::NodeAdded, ClusterChange::PodRemoved]
    }

    fn check<'a>(&self, pod: &'a PodInfo, _snapshot: &'a Snapshot) -> Option<Check<'a>> {
        let wanted = host_ports(&pod.pod);
        if wanted.is_empty() {
            return None;
        }
        Some(Box::new(move |node| {
            let taken = node.pods().flat_map(|other| host_ports(&other.pod));
            let clash = taken
                .into_iter()
                .any(|taken| wanted.iter().any(|wanted| wanted.clashes(&taken)));
            if !clash {
                return Ok(());
            }
            Err(Rejection::for_now(
                "NodePorts",
                "node(s) didn't have free ports for the requested pod ports",
            ))
        }))
    }
}

impl HostPort<'_> {
    fn clashes(&self, other: &Self) -> bool {
        let everywhere = |address: &str| address == "0.0.0.0";
        let shared = everywhere(self.address) || everywhere(other.address) || self.address == other.address;
        self.port == other.port && self.protocol == other.protocol && shared
    }
}

fn host_ports(pod: &Pod) -> Vec<HostPort<'_>> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let restartable =
        |container: &&k8s_openapi::api::core::v1::Container| container.restart_policy.as_deref() == Some("Always");
    let containers = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten().filter(restartable));
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            Some(HostPort {
                address: port
                    .host_ip
                    .as_deref()
                    .filter(|address| !address.is_empty())
                    .unwrap_or("0.0.0.0"),
                protocol: port.protocol.as_deref().unwrap_or("TCP"),
                port: number,
            })
        })
        .collect()
}
