//! Which container, which node and which port a request means, with upstream's checks and messages.
//!
//! Source: `pkg/registry/core/pod/strategy.go`, `pkg/registry/core/{service,node}`.

use std::net::{IpAddr, SocketAddr};

use access_rules::User;
use kube_types::GroupVersionResource;
use kube_types::api::core::v1::{Node, Pod, Service, ServicePort};
use kube_types::api::discovery::v1::EndpointSlice;
use kube_types::apimachinery::pkg::util::intstr::IntOrString;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use registry::{Context, GetOptions, ListOptions, StatusError, Target};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::KubeApi;

const KUBELET_PORT: u16 = 10250;

/// `[scheme:]name[:port]`, as proxies take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProxyName<'a> {
    pub(super) scheme: &'a str,
    pub(super) name: &'a str,
    pub(super) port: &'a str,
}

impl<'a> ProxyName<'a> {
    /// Source: `SplitSchemeNamePort` in `apimachinery/pkg/util/net`.
    pub(super) fn parse(text: &'a str, resource: &str) -> Result<Self, StatusError> {
        let parts: Vec<&str> = text.split(':').collect();
        let read = match parts.as_slice() {
            [name] => Some(("", *name, "")),
            [name, port] => Some(("", *name, *port)),
            [scheme, name, port] => Some((*scheme, *name, *port)),
            _ => None,
        };
        let is_sound =
            |(scheme, name, _): &(&str, &str, &str)| !name.is_empty() && matches!(*scheme, "" | "http" | "https");
        match read.filter(is_sound) {
            Some((scheme, name, port)) => Ok(Self { scheme, name, port }),
            None => {
                let kind = resource.strip_suffix('s').unwrap_or(resource);
                Err(StatusError::bad_request(format!("invalid {kind} request {text:?}")))
            }
        }
    }
}

/// Reads an object as the API server itself; the user has been authorized for the subresource.
pub(super) async fn object<T: DeserializeOwned>(
    api: &KubeApi,
    resource: &str,
    namespace: Option<&str>,
    name: &str,
) -> Result<T, StatusError> {
    let target = Target::object(GroupVersionResource::new("", "v1", resource), namespace, name);
    let context = Context::for_user(User::master("system:apiserver"));
    let reply = api.0.registry.get(&context, &target, GetOptions::default()).await?;
    serde_json::from_slice(&reply.body.into_bytes()).map_err(StatusError::internal)
}

/// The node a pod is bound to.
pub(super) fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

/// Where a node's agent listens.
pub(super) fn agent_address(node: &Node) -> Result<SocketAddr, StatusError> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let status = node.status.as_ref();
    let addresses = status
        .and_then(|status| status.addresses.as_deref())
        .unwrap_or_default();
    let internal = addresses.iter().find(|address| address.type_ == "InternalIP");
    let ip: IpAddr = internal
        .and_then(|address| address.address.parse().ok())
        .ok_or_else(|| {
            StatusError::internal(format!(
                "no preferred addresses found for node {name:?}; known addresses: []"
            ))
        })?;
    let endpoint = status.and_then(|status| status.daemon_endpoints.as_ref()?.kubelet_endpoint.as_ref());
    let port = endpoint
        .and_then(|endpoint| u16::try_from(endpoint.port).ok())
        .filter(|port| *port != 0);
    Ok(SocketAddr::new(ip, port.unwrap_or(KUBELET_PORT)))
}

/// The container that is asked for, or the only one there is.
pub(super) fn container(pod: &Pod, wanted: &str) -> Result<String, StatusError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let Some(spec) = &pod.spec else {
        return Err(StatusError::bad_request(format!("pod {name} has no spec")));
    };
    let ordinary: Vec<&str> = spec
        .containers
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    let init: Vec<&str> = spec
        .init_containers
        .iter()
        .flatten()
        .map(|container| container.name.as_str())
        .collect();
    let ephemeral: Vec<&str> = spec
        .ephemeral_containers
        .iter()
        .flatten()
        .map(|container| container.name.as_str())
        .collect();
    if !wanted.is_empty() {
        let known = ordinary
            .iter()
            .chain(&init)
            .chain(&ephemeral)
            .any(|name| *name == wanted);
        let unknown = || StatusError::bad_request(format!("container {wanted} is not valid for pod {name}"));
        return known.then(|| wanted.to_owned()).ok_or_else(unknown);
    }
    if let [only] = ordinary.as_slice() {
        return Ok((*only).to_owned());
    }
    let mut message = format!(
        "a container name must be specified for pod {name}, choose one of: [{}]",
        ordinary.join(" ")
    );
    if !init.is_empty() {
        message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
    }
    if !ephemeral.is_empty() {
        message.push_str(&format!(
            " or one of the ephemeral containers: [{}]",
            ephemeral.join(" ")
        ));
    }
    Err(StatusError::bad_request(message))
}

/// The same for exec and attach, which a pod that has ended cannot serve.
pub(super) fn running_container(pod: &Pod, wanted: &str) -> Result<String, StatusError> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        let message = format!("cannot exec into a container in a completed pod; current phase is {phase}");
        return Err(StatusError::bad_request(message));
    }
    container(pod, wanted)
}

/// The parameters of exec and attach as the node's agent spells them.
pub(super) fn stream_query(query: &[(String, String)]) -> String {
    let mut pairs = Vec::new();
    for (ours, theirs) in [
        ("stdin", "input"),
        ("stdout", "output"),
        ("stderr", "error"),
        ("tty", "tty"),
    ] {
        let set = query.iter().find(|(key, _)| key == ours);
        if set.is_some_and(|(_, value)| !matches!(value.as_str(), "0" | "false" | "False")) {
            pairs.push(format!("{theirs}=1"));
        }
    }
    let commands = query.iter().filter(|(key, _)| key == "command");
    pairs.extend(commands.map(|(_, value)| format!("command={}", encoded(value))));
    pairs.join("&")
}

/// The ports that a client forwards over a WebSocket as the node's agent spells them: all in one parameter of another name.
pub(super) fn port_query(query: &[(String, String)]) -> String {
    let ports: Vec<&str> = query
        .iter()
        .filter(|(key, _)| key == "ports")
        .map(|(_, value)| value.as_str())
        .collect();
    match ports.as_slice() {
        [] => String::new(),
        ports => format!("port={}", encoded(&ports.join(","))),
    }
}

const LOG_PARAMETERS: &[&str] = &[
    "follow",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "timestamps",
    "tailLines",
    "limitBytes",
    "stream",
];

/// The parameters of a log as the node's agent spells them.
pub(super) fn log_query(query: &[(String, String)]) -> String {
    let known = query.iter().filter(|(key, _)| LOG_PARAMETERS.contains(&key.as_str()));
    known
        .map(|(key, value)| format!("{key}={}", encoded(value)))
        .collect::<Vec<_>>()
        .join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Source: `ValidatePodLogOptions` and the decoding of the query before it.
pub(super) fn check_log_options(query: &[(String, String)], name: &str) -> Result<(), StatusError> {
    let mut problems = Vec::new();
    for (key, least) in [("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)] {
        let Some((_, value)) = query
            .iter()
            .find(|(found, _)| found == key)
            .filter(|(_, value)| !value.is_empty())
        else {
            continue;
        };
        let number: i64 = value
            .parse()
            .map_err(|error| StatusError::bad_request(format!("strconv.ParseInt: parsing {value:?}: {error}")))?;
        if number < least {
            let rule = if least == 0 {
                "must be greater than or equal to 0"
            } else {
                "must be greater than 0"
            };
            problems.push((key, format!("Invalid value: {number}: {rule}")));
        }
    }
    let has = |key: &str| query.iter().any(|(found, value)| found == key && !value.is_empty());
    if has("sinceSeconds") && has("sinceTime") {
        let rule = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified".to_owned();
        problems.push(("sinceSeconds", rule));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = problems.iter().map(|(key, text)| format!("{key}: {text}")).collect();
    let all = if let [one] = texts.as_slice() {
        one.clone()
    } else {
        format!("[{}]", texts.join(", "))
    };
    let error = StatusError::new(422, "Invalid", format!("PodLogOptions {name:?} is invalid: {all}"));
    Err(problems.into_iter().fold(error, |error, (key, text)| {
        error.with_cause("FieldValueInvalid", text, key)
    }))
}

/// Address and port of a pod: the port that is named, else the first one that is declared, else 80.
pub(super) fn pod_address(pod: &Pod, wanted: &ProxyName<'_>) -> Result<SocketAddr, StatusError> {
    let text = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.as_deref())
        .unwrap_or_default();
    let ip: IpAddr = text.parse().map_err(|_unset: std::net::AddrParseError| {
        StatusError::bad_request(format!("address not allowed: pod {:?} has no address", wanted.name))
    })?;
    let declared = || {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let first = containers.flat_map(|container| container.ports.iter().flatten()).next();
        first
            .and_then(|port| u16::try_from(port.container_port).ok())
            .unwrap_or(80)
    };
    let port = if wanted.port.is_empty() {
        declared()
    } else {
        port_number(wanted.port)?
    };
    Ok(SocketAddr::new(ip, port))
}

/// The port of a node that is asked for, when it is not its agent's.
pub(super) fn other_port(agent: SocketAddr, wanted: &str) -> Result<Option<SocketAddr>, StatusError> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let port = port_number(wanted)?;
    Ok((port != agent.port()).then(|| SocketAddr::new(agent.ip(), port)))
}

fn port_number(text: &str) -> Result<u16, StatusError> {
    text.parse()
        .map_err(|error| StatusError::bad_request(format!("invalid port {text:?}: {error}")))
}

#[derive(Deserialize)]
struct Slices {
    items: Vec<EndpointSlice>,
}

/// A ready endpoint of a service's port.
pub(super) async fn service_address(
    api: &KubeApi,
    namespace: &str,
    wanted: &ProxyName<'_>,
) -> Result<SocketAddr, StatusError> {
    let service: Service = object(api, "services", Some(namespace), wanted.name).await?;
    let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
    let port = service_port(&ports, wanted.port).ok_or_else(|| {
        let message = format!("no service port {:?} found for service {:?}", wanted.port, wanted.name);
        StatusError::unavailable(message)
    })?;
    let gvr = GroupVersionResource::new("discovery.k8s.io", "v1", "endpointslices");
    let selector = format!("kubernetes.io/service-name={}", wanted.name);
    let options = ListOptions::from_query(&[("labelSelector".to_owned(), selector)])?;
    let context = Context::for_user(User::master("system:apiserver"));
    let reply = api
        .0
        .registry
        .list(&context, &Target::collection(gvr, Some(namespace)), options)
        .await?;
    let slices: Slices = serde_json::from_slice(&reply.body.into_bytes()).map_err(StatusError::internal)?;
    slices
        .items
        .iter()
        .find_map(|slice| ready_endpoint(slice, port))
        .ok_or_else(|| StatusError::unavailable(format!("no endpoints available for service {:?}", wanted.name)))
}

fn service_port<'a>(ports: &'a [ServicePort], wanted: &str) -> Option<&'a ServicePort> {
    if wanted.is_empty() {
        return if let [only] = ports {
            Some(only)
        } else {
            ports.iter().find(|port| port.name.is_none())
        };
    }
    ports
        .iter()
        .find(|port| port.name.as_deref() == Some(wanted) || wanted.parse() == Ok(port.port))
}

fn ready_endpoint(slice: &EndpointSlice, port: &ServicePort) -> Option<SocketAddr> {
    let wanted = port.name.as_deref().unwrap_or_default();
    let ports = slice.ports.iter().flatten();
    let number = ports
        .filter(|one| one.name.as_deref().unwrap_or_default() == wanted)
        .find_map(|one| one.port)
        .or(match &port.target_port {
            Some(IntOrString::Int(number)) => Some(*number),
            _ => None,
        })?;
    let ready = slice.endpoints.iter().flatten().find(|endpoint| {
        endpoint
            .conditions
            .as_ref()
            .is_none_or(|conditions| conditions.ready.unwrap_or(true))
    })?;
    let ip: IpAddr = ready.addresses.first()?.parse().ok()?;
    Some(SocketAddr::new(ip, u16::try_from(number).ok()?))
}
