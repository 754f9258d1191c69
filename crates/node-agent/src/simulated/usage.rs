//! What the containers of a simulated node use: nothing, unless annotations of their pod say how much.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cri_api::v1 as cri;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube_types::quantity;

/// Annotation of a pod: how much CPU each of its containers uses from now on, as a quantity (`250m`).
pub const CPU: &str = "simulation.ondol.dev/cpu";
/// Annotation of a pod: how much memory each of its containers uses, as a quantity (`64Mi`).
pub const MEMORY: &str = "simulation.ondol.dev/memory";

/// CPU counters by pod and container: when they were read last, and what they said, in nanoseconds of one core.
#[derive(Default)]
pub(crate) struct Usage(Mutex<BTreeMap<(String, String), (Timestamp, u64)>>);

impl Usage {
    /// What the runtime of a real node would say now. Counters go on from where they were read last, at the rate that
    /// the annotation says now.
    pub fn stats(&self, pods: &[Arc<Pod>], now: Timestamp) -> Vec<cri::PodSandboxStats> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *known);
        let mut stats = Vec::new();
        for pod in pods {
            let statuses = pod
                .status
                .as_ref()
                .and_then(|status| status.container_statuses.as_ref());
            let running = statuses.into_iter().flatten().filter_map(|status| {
                Some((
                    status.name.clone(),
                    status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0,
                ))
            });
            let (nanocores, bytes) = (annotated(pod, CPU, 1e9), annotated(pod, MEMORY, 1.0));
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let mut containers = Vec::new();
            for (name, started) in running {
                let key = (uid.clone(), name.clone());
                let (since, used) = before.get(&key).copied().unwrap_or((started.min(now), 0));
                let passed = now.duration_since(since).as_secs_f64().max(0.0);
                let used = used + (passed * nanocores as f64) as u64;
                known.insert(key, (now, used));
                containers.push(container(name, used, nanocores, bytes, now));
            }
            if !containers.is_empty() {
                stats.push(sandbox(pod, containers, now));
            }
        }
        stats
    }
}

/// A quantity of an annotation in units of a part of its own unit; nothing when there is none or it is no quantity.
fn annotated(pod: &Pod, name: &str, parts: f64) -> u64 {
    let annotations = pod.metadata.annotations.as_ref();
    let amount = annotations.and_then(|all| quantity::parse(all.get(name)?).ok());
    amount.map_or(0, |amount| (amount.milli().max(0) as f64 / 1e3 * parts) as u64)
}

fn number(value: u64) -> Option<cri::UInt64Value> {
    Some(cri::UInt64Value { value })
}

fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(0)
}

fn cpu(used: u64, nanocores: u64, now: Timestamp) -> cri::CpuUsage {
    cri::CpuUsage {
        timestamp: nanoseconds(now),
        usage_core_nano_seconds: number(used),
        usage_nano_cores: number(nanocores),
        ..Default::default()
    }
}

fn memory(bytes: u64, now: Timestamp) -> cri::MemoryUsage {
    cri::MemoryUsage {
        timestamp: nanoseconds(now),
        working_set_bytes: number(bytes),
        usage_bytes: number(bytes),
        rss_bytes: number(bytes),
        ..Default::default()
    }
}

fn container(name: String, used: u64, nanocores: u64, bytes: u64, now: Timestamp) -> cri::ContainerStats {
    let metadata = cri::ContainerMetadata {
        name,
        ..Default::default()
    };
    cri::ContainerStats {
        attributes: Some(cri::ContainerAttributes {
            metadata: Some(metadata),
            ..Default::default()
        }),
        cpu: Some(cpu(used, nanocores, now)),
        memory: Some(memory(bytes, now)),
        ..Default::default()
    }
}

fn sandbox(pod: &Pod, containers: Vec<cri::ContainerStats>, now: Timestamp) -> cri::PodSandboxStats {
    let cpu_of = |value: fn(&cri::CpuUsage) -> &Option<cri::UInt64Value>| {
        let all = containers.iter().filter_map(|one| value(one.cpu.as_ref()?).as_ref());
        all.map(|number| number.value).sum()
    };
    let used = cpu_of(|cpu| &cpu.usage_core_nano_seconds);
    let nanocores = cpu_of(|cpu| &cpu.usage_nano_cores);
    let bytes = containers
        .iter()
        .filter_map(|one| one.memory.as_ref()?.working_set_bytes.as_ref());
    let bytes = bytes.map(|number| number.value).sum();
    let metadata = cri::PodSandboxMetadata {
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        ..Default::default()
    };
    cri::PodSandboxStats {
        attributes: Some(cri::PodSandboxAttributes {
            metadata: Some(metadata),
            ..Default::default()
        }),
        linux: Some(cri::LinuxPodSandboxStats {
            cpu: Some(cpu(used, nanocores, now)),
            memory: Some(memory(bytes, now)),
            containers,
            ..Default::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_say_what_containers_use_and_counters_go_on_from_where_they_were() {
        let pod = |cpu: &str| {
            let text = format!(
                r#"{{"metadata":{{"name":"p","namespace":"n","uid":"u","annotations":{{"simulation.ondol.dev/cpu":"{cpu}",
                    "simulation.ondol.dev/memory":"1Ki"}}}},
                    "status":{{"containerStatuses":[{{"name":"c","image":"","imageID":"","ready":true,"restartCount":0,
                    "state":{{"running":{{"startedAt":"2026-01-01T00:00:00Z"}}}}}}]}}}}"#
            );
            [Arc::new(serde_json::from_str::<Pod>(&text).unwrap())]
        };
        let at = |second: &str| format!("2026-01-01T00:00:{second}Z").parse().unwrap();
        let usage = Usage::default();
        let used = |stats: Vec<cri::PodSandboxStats>| {
            let linux = stats[0].linux.clone().unwrap();
            let (cpu, memory) = (linux.cpu.unwrap(), linux.memory.unwrap());
            let value = |number: Option<cri::UInt64Value>| number.unwrap().value;
            (value(cpu.usage_core_nano_seconds), value(memory.working_set_bytes))
        };
        assert_eq!(used(usage.stats(&pod("500m"), at("10"))), (5_000_000_000, 1024));
        assert_eq!(used(usage.stats(&pod("2"), at("11"))), (7_000_000_000, 1024));
        assert_eq!(used(usage.stats(&pod("none"), at("12"))), (7_000_000_000, 1024));
        assert!(usage.stats(&[], at("13")).is_empty());
    }
}
