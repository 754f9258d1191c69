//! Which pods stand behind a Service, and under which ports.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;
use plan::World;

use crate::claim::matches;
use crate::pod;

/// Label that marks what belongs to a Service without a cluster address.
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// The Service's selector; nothing when its endpoints are somebody else's business.
pub(crate) fn selector(service: &Service) -> Option<LabelSelector> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    Some(LabelSelector::from_labels(selector))
}

/// Services of a pod's namespace that select it.
pub(crate) fn services_of(pod: &Pod, world: &World) -> Vec<ObjectKey> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let services = world.services.in_namespace(namespace);
    let selecting =
        services.filter(|service| selector(service).is_some_and(|selector| matches(&selector, &pod.metadata)));
    selecting.map(|service| ObjectKey::of(service.as_ref())).collect()
}

/// The pods behind the Service that have an address: those that run or are still going.
pub(crate) fn pods<'a>(service: &Service, selector: &LabelSelector, world: &'a World) -> Vec<&'a Arc<Pod>> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for pod in world.pods.in_namespace(namespace) {
        if matches(selector, &pod.metadata) && !pod::is_terminal(pod) && address(pod).is_some() {
            found.push(pod);
        }
    }
    found
}

/// The pod's first address.
pub(crate) fn address(pod: &Pod) -> Option<&str> {
    pod.status
        .as_ref()?
        .pod_ip
        .as_deref()
        .filter(|address| !address.is_empty())
}

/// All of the pod's addresses, the first one first.
pub(crate) fn addresses(pod: &Pod) -> Vec<&str> {
    let all = pod.status.as_ref().and_then(|status| status.pod_ips.as_ref());
    let mut found: Vec<&str> = all.into_iter().flatten().map(|address| address.ip.as_str()).collect();
    if found.is_empty() {
        found.extend(address(pod));
    }
    found
}

/// The pod's port for a port of the Service; nothing when the pod has no port of that name. Source of the rule: `FindPort`.
pub(crate) fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) if name.is_empty() => Some(port.port),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let restartable = |container: &&k8s_openapi::api::core::v1::Container| {
                container.restart_policy.as_deref() == Some("Always")
            };
            let containers = spec
                .containers
                .iter()
                .chain(spec.init_containers.iter().flatten().filter(restartable));
            let protocol = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let found = ports.find(|candidate| {
                candidate.name.as_ref() == Some(name) && protocol(&candidate.protocol) == protocol(&port.protocol)
            })?;
            Some(found.container_port)
        }
    }
}

/// Has the Service no address of its own?
pub(crate) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// Does the Service want pods that are not ready?
pub(crate) fn publishes_not_ready(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .and_then(|spec| spec.publish_not_ready_addresses)
        .unwrap_or(false)
}

/// The host name of the pod in the Service's domain, if the pod says that it has one.
pub(crate) fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|hostname| !hostname.is_empty())?;
    (spec.subdomain.as_deref() == service.metadata.name.as_deref()).then_some(hostname)
}
