//! What the Node object says: labels, addresses, capacity, conditions, as on an EKS node.

use std::collections::BTreeMap;

use cri_api::v1 as cri;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus,
    NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use pod_lifecycle::status::whole_seconds;

use crate::agent::Agent;
use crate::config::{Capacity, Config, Limits};
use crate::node_resources;

/// Images listed on the node at most (`nodeStatusMaxImages`).
const MOST_IMAGES: usize = 50;

/// What is learnt of the machine while it runs.
pub(super) struct Facts {
    runtime_version: String,
    images: Vec<ContainerImage>,
    system: NodeSystemInfo,
    /// Why the node is not ready.
    pub(super) ready: Result<(), String>,
}

impl Facts {
    pub(super) async fn gather(agent: &Agent) -> Self {
        let mut facts = Self {
            runtime_version: String::new(),
            images: Vec::new(),
            system: system(&agent.config),
            ready: Err("container runtime status check may not have completed yet".to_owned()),
        };
        facts.refresh(agent).await;
        facts
    }

    /// Asks the runtime again.
    pub(super) async fn refresh(&mut self, agent: &Agent) {
        if self.runtime_version.is_empty()
            && let Ok(version) = agent.runtime.version().await
        {
            self.runtime_version = format!("{}://{}", version.runtime_name, version.runtime_version);
        }
        self.ready = match agent.runtime.status().await {
            Ok(status) => readiness(&status.status.unwrap_or_default()),
            Err(error) => Err(format!("container runtime is down: {}", error.reason())),
        };
        match agent.runtime.images().await {
            Ok(images) => self.images = images.into_iter().map(image).take(MOST_IMAGES).collect(),
            Err(error) => tracing::debug!(error = supervision::error_chain(&error), "images cannot be listed"),
        }
        self.images.sort_by_key(|image| std::cmp::Reverse(image.size_bytes));
    }
}

fn readiness(status: &cri::RuntimeStatus) -> Result<(), String> {
    for (kind, title) in [
        ("RuntimeReady", "container runtime not ready"),
        ("NetworkReady", "container runtime network not ready"),
    ] {
        match status.conditions.iter().find(|condition| condition.r#type == kind) {
            Some(found) if found.status => {}
            Some(found) => {
                return Err(format!(
                    "{title}: {kind}=false reason:{} message:{}",
                    found.reason, found.message
                ));
            }
            None => return Err(format!("{title}: {kind} is not reported")),
        }
    }
    Ok(())
}

fn image(image: cri::Image) -> ContainerImage {
    ContainerImage {
        names: Some(image.repo_digests.into_iter().chain(image.repo_tags).collect()),
        size_bytes: i64::try_from(image.size).ok(),
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn system(config: &Config) -> NodeSystemInfo {
    let id = &config.instance.instance_id;
    NodeSystemInfo {
        architecture: architecture().to_owned(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: String::new(),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        kube_proxy_version: String::new(),
        kubelet_version: config.kubelet_version.clone(),
        // As on EC2 the identity of a machine is its instance's.
        machine_id: id.trim_start_matches("i-").to_owned(),
        operating_system: "linux".to_owned(),
        os_image: config.os_image.clone(),
        swap: None,
        system_uuid: id.clone(),
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The object to register.
pub(super) fn node(config: &Config, facts: &Facts, now: Timestamp) -> Node {
    let instance = &config.instance;
    let mut taints = config.taints.clone();
    taints.retain(|taint| taint.key != super::NOT_READY);
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels(config)),
            annotations: Some(BTreeMap::from([
                (
                    "alpha.kubernetes.io/provided-node-ip".to_owned(),
                    instance.private_ip.to_string(),
                ),
                ("node.alpha.kubernetes.io/ttl".to_owned(), "0".to_owned()),
                (
                    "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
                    "true".to_owned(),
                ),
            ])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            provider_id: Some(format!("aws:///{}/{}", instance.zone, instance.instance_id)),
            taints: (!taints.is_empty()).then_some(taints),
            ..NodeSpec::default()
        }),
        status: Some(status(config, facts, &NodeStatus::default(), now)),
    }
}

fn labels(config: &Config) -> BTreeMap<String, String> {
    let instance = &config.instance;
    let (zone, region, kind) = (
        instance.zone.as_str(),
        instance.region.as_str(),
        instance.instance_type.as_str(),
    );
    let fixed = [
        ("beta.kubernetes.io/arch", architecture()),
        ("beta.kubernetes.io/instance-type", kind),
        ("beta.kubernetes.io/os", "linux"),
        ("failure-domain.beta.kubernetes.io/region", region),
        ("failure-domain.beta.kubernetes.io/zone", zone),
        ("kubernetes.io/arch", architecture()),
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("node.kubernetes.io/instance-type", kind),
        ("topology.kubernetes.io/region", region),
        ("topology.kubernetes.io/zone", zone),
    ];
    let optional = [
        ("topology.k8s.aws/zone-id", &instance.zone_id),
        ("eks.amazonaws.com/nodegroup", &instance.node_group),
        ("eks.amazonaws.com/nodegroup-image", &instance.image_id),
        ("eks.amazonaws.com/capacityType", &instance.capacity_type),
    ];
    let mut labels = config.labels.clone();
    labels.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))),
    );
    labels
}

fn addresses(config: &Config) -> Vec<NodeAddress> {
    let instance = &config.instance;
    let one = |kind: &str, address: String| NodeAddress {
        type_: kind.to_owned(),
        address,
    };
    let mut addresses = vec![one("InternalIP", instance.private_ip.to_string())];
    addresses.extend(instance.public_ip.map(|ip| one("ExternalIP", ip.to_string())));
    addresses.push(one("InternalDNS", instance.private_dns_name.clone()));
    addresses.push(one("Hostname", instance.private_dns_name.clone()));
    addresses
}

fn resources(cpu: String, memory: u64, storage: u64, pods: u32) -> BTreeMap<String, Quantity> {
    let kibi = |bytes: u64| Quantity(format!("{}Ki", bytes / 1024));
    BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu)),
        ("ephemeral-storage".to_owned(), kibi(storage)),
        ("hugepages-1Gi".to_owned(), Quantity("0".to_owned())),
        ("hugepages-2Mi".to_owned(), Quantity("0".to_owned())),
        ("memory".to_owned(), kibi(memory)),
        ("pods".to_owned(), Quantity(pods.to_string())),
    ])
}

fn capacity(capacity: &Capacity) -> BTreeMap<String, Quantity> {
    resources(
        capacity.cpus.to_string(),
        capacity.memory_bytes,
        capacity.ephemeral_storage_bytes,
        capacity.max_pods,
    )
}

fn allocatable(capacity: &Capacity) -> BTreeMap<String, Quantity> {
    let left = node_resources::allocatable(capacity);
    let cpu = format!("{}m", left.cpu_milli);
    resources(cpu, left.memory_bytes, left.ephemeral_storage_bytes, capacity.max_pods)
}

/// The status now. Conditions keep their transition times from `old` where they have not changed.
pub(super) fn status(config: &Config, facts: &Facts, old: &NodeStatus, now: Timestamp) -> NodeStatus {
    let port = config
        .serving
        .as_ref()
        .map_or(10250, |serving| i32::from(serving.listen.port()));
    NodeStatus {
        addresses: Some(addresses(config)),
        allocatable: Some(allocatable(&config.capacity)),
        capacity: Some(capacity(&config.capacity)),
        conditions: Some(conditions(config, facts, old, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port }),
        }),
        images: (!facts.images.is_empty()).then(|| facts.images.clone()),
        node_info: Some(NodeSystemInfo {
            container_runtime_version: facts.runtime_version.clone(),
            ..facts.system.clone()
        }),
        ..NodeStatus::default()
    }
}

fn conditions(config: &Config, facts: &Facts, old: &NodeStatus, now: Timestamp) -> Vec<NodeCondition> {
    let ready = match &facts.ready {
        Ok(()) => (
            "Ready",
            true,
            "KubeletReady",
            "kubelet is posting ready status".to_owned(),
        ),
        Err(reason) => ("Ready", false, "KubeletNotReady", reason.clone()),
    };
    let fixed = |kind, reason, message: &str| (kind, false, reason, message.to_owned());
    let mut verdicts = vec![
        fixed(
            "MemoryPressure",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        fixed(
            "DiskPressure",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure",
        ),
        fixed(
            "PIDPressure",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        ready,
    ];
    let limits = &config.limits;
    if !(limits.cpu && limits.memory) {
        verdicts.push(("LimitsNotEnforced", true, "KernelCannot", limits_message(limits)));
    }
    let time = || Time(whole_seconds(now));
    let one = |(kind, holds, reason, message): (&str, bool, &str, String)| {
        let status = if holds { "True" } else { "False" };
        let before = old
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == kind);
        let same = before.filter(|before| before.status == status);
        NodeCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_heartbeat_time: Some(time()),
            last_transition_time: Some(
                same.and_then(|before| before.last_transition_time.clone())
                    .unwrap_or_else(time),
            ),
        }
    };
    verdicts.into_iter().map(one).collect()
}

/// What is not enforced and why.
pub(super) fn limits_message(limits: &Limits) -> String {
    let what = match (limits.cpu, limits.memory) {
        (false, false) => "cpu and memory limits are",
        (false, true) => "cpu limits are",
        _ => "memory limits are",
    };
    format!("{what} not enforced on this machine: {}", limits.reason)
}

/// Whether two statuses say the same but for the heartbeat.
pub(super) fn same(left: &NodeStatus, right: &NodeStatus) -> bool {
    let timeless = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    timeless(left) == timeless(right)
}

#[cfg(test)]
mod tests;
