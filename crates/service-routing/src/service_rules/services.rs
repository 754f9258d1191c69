//! What a Service asks of the packet rules, one route per port.
use std::net::{Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use crate::endpoints::{NodeView, PortEndpoints, SliceIndex, port_endpoints};
use crate::ruleset::Protocol;

/// A Service with this label belongs to another proxy.
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
/// A Service with this label has no cluster address to route.
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
/// How long a client stays with its endpoint, unless the Service says otherwise (three hours).
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;

/// One port of one Service.
#[derive(Debug)]
pub(super) struct ServiceRoute {
    pub protocol: Protocol,
    pub port: u16,
    pub node_port: Option<u16>,
    pub cluster_ips: Vec<Ipv4Addr>,
    pub external_ips: Vec<Ipv4Addr>,
    pub external_local: bool,
    pub internal_local: bool,
    pub affinity_seconds: Option<u32>,
    pub endpoints: PortEndpoints,
}

impl ServiceRoute {
    /// Where connections to the cluster address go.
    pub(super) fn internal_endpoints(&self) -> &[SocketAddrV4] {
        if self.internal_local {
            &self.endpoints.local
        } else {
            &self.endpoints.cluster
        }
    }

    /// Where connections to external addresses go.
    pub(super) fn external_endpoints(&self) -> &[SocketAddrV4] {
        if self.external_local {
            &self.endpoints.local
        } else {
            &self.endpoints.cluster
        }
    }

    /// Whether a policy keeps connections from endpoints that exist: they are dropped then, not refused.
    pub(super) fn has_endpoints_elsewhere(&self) -> bool {
        !self.endpoints.cluster.is_empty()
    }
}

/// The routes of a Service; none for headless Services, external names and those of other proxies.
pub(super) fn routes_of(service: &Service, slices: &SliceIndex<'_>, node: &NodeView) -> Vec<ServiceRoute> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let labels = service.metadata.labels.iter().flatten();
    let foreign = labels
        .map(|(name, _)| name.as_str())
        .any(|name| name == PROXY_NAME_LABEL || name == HEADLESS_LABEL);
    let cluster_ips = cluster_ips(spec);
    if foreign || spec.type_.as_deref() == Some("ExternalName") || cluster_ips.is_empty() {
        return Vec::new();
    }
    let slices = slices.of_service(service);
    let ports = spec.ports.iter().flatten();
    ports
        .filter_map(|port| route(service, spec, port, &cluster_ips, port_endpoints(slices, port, node)))
        .collect()
}

fn route(
    service: &Service,
    spec: &ServiceSpec,
    port: &ServicePort,
    cluster_ips: &[Ipv4Addr],
    endpoints: PortEndpoints,
) -> Option<ServiceRoute> {
    let is_local = |policy: &Option<String>| policy.as_deref() == Some("Local");
    Some(ServiceRoute {
        protocol: Protocol::parse(port.protocol.as_deref())?,
        port: u16::try_from(port.port).ok()?,
        node_port: port
            .node_port
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0),
        cluster_ips: cluster_ips.to_vec(),
        external_ips: external_ips(service, spec),
        external_local: is_local(&spec.external_traffic_policy),
        internal_local: is_local(&spec.internal_traffic_policy),
        affinity_seconds: affinity_seconds(spec),
        endpoints,
    })
}

fn cluster_ips(spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let all = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    let mut found: Vec<Ipv4Addr> = all.filter_map(|address| address.parse().ok()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// External addresses, and those of load balancers that want traffic delivered to them. Elastic Load Balancers are
/// known by name and never appear here.
fn external_ips(service: &Service, spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status
        .into_iter()
        .flat_map(|balancer| balancer.ingress.iter().flatten());
    let delivered = ingress.filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"));
    let addresses = delivered
        .filter_map(|ingress| ingress.ip.as_ref())
        .chain(spec.external_ips.iter().flatten());
    addresses.filter_map(|address| address.parse().ok()).collect()
}

fn affinity_seconds(spec: &ServiceSpec) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let configured = spec
        .session_affinity_config
        .as_ref()
        .and_then(|config| config.client_ip.as_ref());
    let seconds = configured
        .and_then(|client| client.timeout_seconds)
        .and_then(|seconds| u32::try_from(seconds).ok());
    Some(seconds.unwrap_or(DEFAULT_AFFINITY_SECONDS))
}
