//! Quality of service, and the kernel's numbers for requests and limits: shares, quotas, OOM scores.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube_types::quantity;

use crate::spec;

/// `status.qosClass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    /// Every container has equal requests and limits of cpu and memory.
    Guaranteed,
    /// Some have some.
    Burstable,
    /// None has any.
    BestEffort,
}

impl fmt::Display for QosClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        })
    }
}

/// The amount of a resource in a list: thousandths for `cpu`, whole units else. `None` when absent or unreadable (the API
/// server has validated quantities).
fn amount(list: Option<&BTreeMap<String, Quantity>>, name: &str) -> Option<i64> {
    let parsed = quantity::parse(&list?.get(name)?.0).ok()?;
    Some(if name == "cpu" { parsed.milli() } else { parsed.value() })
}

/// A container's request, which defaults to its limit.
pub fn request(container: &Container, name: &str) -> Option<i64> {
    let resources = container.resources.as_ref()?;
    amount(resources.requests.as_ref(), name).or_else(|| amount(resources.limits.as_ref(), name))
}

/// A container's limit.
pub fn limit(container: &Container, name: &str) -> Option<i64> {
    amount(container.resources.as_ref()?.limits.as_ref(), name)
}

/// The class of a pod, from init and main containers alike.
pub fn qos_class(pod_spec: &PodSpec) -> QosClass {
    let containers: Vec<&Container> = pod_spec
        .containers
        .iter()
        .chain(spec::init_containers(pod_spec))
        .collect();
    let positive = |value: Option<i64>| value.filter(|value| *value > 0);
    let any = containers.iter().any(|container| {
        ["cpu", "memory"].iter().any(|name| {
            positive(request(container, name))
                .or(positive(limit(container, name)))
                .is_some()
        })
    });
    if !any {
        return QosClass::BestEffort;
    }
    let guaranteed = containers.iter().all(|container| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = positive(limit(container, name));
            limit.is_some() && limit == positive(request(container, name))
        })
    });
    if guaranteed {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

/// What all containers of a pod ask for together: the larger of the main containers with the sidecars, and each init
/// container with the sidecars before it; plus the overhead. Thousandths for `cpu`.
pub fn pod_request(pod_spec: &PodSpec, name: &str) -> i64 {
    let of = |container: &Container| request(container, name).unwrap_or(0);
    let (mut sidecars, mut largest_init) = (0, 0);
    for container in spec::init_containers(pod_spec) {
        if spec::is_sidecar(container) {
            sidecars += of(container);
            largest_init = largest_init.max(sidecars);
        } else {
            largest_init = largest_init.max(sidecars + of(container));
        }
    }
    let mains: i64 = pod_spec.containers.iter().map(of).sum();
    let overhead = amount(pod_spec.overhead.as_ref(), name).unwrap_or(0);
    (mains + sidecars).max(largest_init) + overhead
}

/// Cgroup values of one container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Microseconds of a scheduling period.
    pub cpu_period: i64,
    /// Microseconds of CPU time in a period; 0 is no limit.
    pub cpu_quota: i64,
    /// Weight against others (cgroup v1's unit).
    pub cpu_shares: i64,
    /// Bytes; 0 is no limit.
    pub memory_bytes: i64,
    /// `/proc/<pid>/oom_score_adj`.
    pub oom_score_adj: i64,
}

const PERIOD_MICROS: i64 = 100_000;

/// Thousandths of a CPU to shares: 1024 for each CPU, at least 2, at most 262144.
pub fn cpu_shares(milli: i64) -> i64 {
    if milli == 0 {
        2
    } else {
        (milli * 1024 / 1000).clamp(2, 262_144)
    }
}

/// Thousandths of a CPU to a quota for 100 ms, at least 1 ms; 0 is no limit.
pub fn cpu_quota(milli: i64) -> i64 {
    if milli == 0 {
        0
    } else {
        (milli * PERIOD_MICROS / 1000).max(1000)
    }
}

/// The values for one container on a machine of `node_memory` bytes.
pub fn container_limits(pod_spec: &PodSpec, container: &Container, node_memory: i64) -> Limits {
    Limits {
        cpu_period: PERIOD_MICROS,
        cpu_quota: cpu_quota(limit(container, "cpu").unwrap_or(0)),
        cpu_shares: cpu_shares(request(container, "cpu").unwrap_or(0)),
        memory_bytes: limit(container, "memory").unwrap_or(0),
        oom_score_adj: oom_score_adj(pod_spec, container, node_memory),
    }
}

/// Who is killed first when the machine runs out of memory: best effort 1000, guaranteed -997, burstable in between, the
/// less the more memory it asked for. System-critical pods are as safe as guaranteed ones.
pub fn oom_score_adj(pod_spec: &PodSpec, container: &Container, node_memory: i64) -> i64 {
    const SYSTEM_CRITICAL: i32 = 2_000_000_000;
    if pod_spec.priority.unwrap_or(0) >= SYSTEM_CRITICAL {
        return -997;
    }
    match qos_class(pod_spec) {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let asked = request(container, "memory").unwrap_or(0);
            let score = 1000 - 1000 * asked / node_memory.max(1);
            // Always below guaranteed's and never equal to best effort's.
            if score < 1000 - 997 { 1000 - 997 } else { score.min(999) }
        }
    }
}

#[cfg(test)]
mod tests;
