//! What pods use: `/stats/summary`, `/metrics/resource` (read by metrics-server) and the agent's own `/metrics`.

use std::fmt::Write;
use std::sync::Arc;

use cri_api::v1 as cri;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use pod_lifecycle::spec;
use prometheus_client::registry::Registry;
use serde::Serialize;
use supervision::exposition::{self, Format};

use super::{Answer, Refusal, json};
use crate::agent::Agent;
use crate::runtime::label;

#[derive(Serialize)]
struct Summary {
    node: NodeStats,
    pods: Vec<PodStats>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeStats {
    node_name: String,
    cpu: Cpu,
    memory: Memory,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodStats {
    pod_ref: PodRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    containers: Vec<ContainerStats>,
    cpu: Cpu,
    memory: Memory,
}

#[derive(Serialize)]
struct PodRef {
    name: String,
    namespace: String,
    uid: String,
}

#[derive(Serialize)]
struct ContainerStats {
    name: String,
    cpu: Cpu,
    memory: Memory,
}

#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_nano_cores: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_core_nano_seconds: Option<u64>,
}

#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_set_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_bytes: Option<u64>,
}

fn time(nanoseconds: i64) -> Option<String> {
    let time = Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()?;
    (nanoseconds > 0).then(|| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn cpu(usage: Option<&cri::CpuUsage>) -> Cpu {
    let Some(usage) = usage else { return Cpu::default() };
    Cpu {
        time: time(usage.timestamp),
        usage_nano_cores: usage.usage_nano_cores.map(|value| value.value),
        usage_core_nano_seconds: usage.usage_core_nano_seconds.map(|value| value.value),
    }
}

fn memory(usage: Option<&cri::MemoryUsage>) -> Memory {
    let Some(usage) = usage else { return Memory::default() };
    Memory {
        time: time(usage.timestamp),
        available_bytes: usage.available_bytes.map(|value| value.value),
        usage_bytes: usage.usage_bytes.map(|value| value.value),
        working_set_bytes: usage.working_set_bytes.map(|value| value.value),
        rss_bytes: usage.rss_bytes.map(|value| value.value),
    }
}

/// What every pod uses, as the runtime says.
pub(super) async fn listed(agent: &Agent, pods: &[Arc<Pod>]) -> Result<Vec<cri::PodSandboxStats>, Refusal> {
    if agent.config.simulated {
        return Ok(agent.simulated_usage.stats(pods, agent.now()));
    }
    let listed = agent.runtime.sandbox_stats().await;
    listed.map_err(|error| Refusal::internal(error.reason()))
}

async fn pod_stats(agent: &Agent) -> Result<Vec<PodStats>, Refusal> {
    let pods = agent.pods();
    let listed = listed(agent, &pods).await?;
    Ok(listed.into_iter().filter_map(|stats| one_pod(stats, &pods)).collect())
}

fn one_pod(stats: cri::PodSandboxStats, pods: &[Arc<Pod>]) -> Option<PodStats> {
    let metadata = stats.attributes?.metadata?;
    let linux = stats.linux.unwrap_or_default();
    let pod = pods
        .iter()
        .find(|pod| pod.metadata.uid.as_deref() == Some(metadata.uid.as_str()));
    let started = pod.and_then(|pod| pod.status.as_ref()?.start_time.as_ref().map(|time| time.0));
    let containers = linux.containers.iter().filter_map(|container| {
        let attributes = container.attributes.as_ref()?;
        let name = attributes.labels.get(label::CONTAINER).cloned();
        let name = name.or_else(|| attributes.metadata.as_ref().map(|metadata| metadata.name.clone()))?;
        Some(ContainerStats {
            name,
            cpu: cpu(container.cpu.as_ref()),
            memory: memory(container.memory.as_ref()),
        })
    });
    Some(PodStats {
        containers: containers.collect(),
        pod_ref: PodRef {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
        },
        start_time: started.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        cpu: cpu(linux.cpu.as_ref()),
        memory: memory(linux.memory.as_ref()),
    })
}

/// The node as the sum of its pods: the machine's own processes are not in it.
fn node_stats(agent: &Agent, pods: &[PodStats]) -> NodeStats {
    let now = agent.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let sum = |value: fn(&PodStats) -> Option<u64>| Some(pods.iter().filter_map(value).sum());
    let working_set: Option<u64> = sum(|pod| pod.memory.working_set_bytes);
    NodeStats {
        node_name: agent.config.node_name.clone(),
        cpu: Cpu {
            time: Some(now.clone()),
            usage_nano_cores: sum(|pod| pod.cpu.usage_nano_cores),
            usage_core_nano_seconds: sum(|pod| pod.cpu.usage_core_nano_seconds),
        },
        memory: Memory {
            time: Some(now),
            available_bytes: working_set.map(|used| agent.config.capacity.memory_bytes.saturating_sub(used)),
            usage_bytes: sum(|pod| pod.memory.usage_bytes),
            working_set_bytes: working_set,
            rss_bytes: sum(|pod| pod.memory.rss_bytes),
        },
    }
}

pub(super) async fn summary(agent: &Agent) -> Answer {
    let pods = pod_stats(agent).await?;
    json(&Summary {
        node: node_stats(agent, &pods),
        pods,
    })
}

/// One metric family in the text format.
struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl<'a> Family<'a> {
    fn new(text: &'a mut String, name: &'static str, kind: &str, help: &str) -> Self {
        // Writing to a String cannot fail.
        text.push_str(&format!("# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}\n"));
        Self { text, name }
    }

    fn line(&mut self, labels: &str, value: f64) {
        let braces = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        if let Err(error) = writeln!(self.text, "{}{braces} {value}", self.name) {
            tracing::error!(%error, "a string could not be written to");
        }
    }
}

fn seconds(nanoseconds: Option<u64>) -> f64 {
    nanoseconds.unwrap_or(0) as f64 / 1e9
}

pub(super) async fn resource_metrics(agent: &Agent) -> Result<String, Refusal> {
    let pods = pod_stats(agent).await?;
    let node = node_stats(agent, &pods);
    let of_pod = |pod: &PodStats| format!("namespace={:?},pod={:?}", pod.pod_ref.namespace, pod.pod_ref.name);
    let mut text = String::new();
    let mut family = Family::new(
        &mut text,
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
    );
    for pod in &pods {
        for one in &pod.containers {
            let labels = format!("container={:?},{}", one.name, of_pod(pod));
            family.line(&labels, seconds(one.cpu.usage_core_nano_seconds));
        }
    }
    let help = "Current working set of the container in bytes";
    let mut family = Family::new(&mut text, "container_memory_working_set_bytes", "gauge", help);
    for pod in &pods {
        for one in &pod.containers {
            let labels = format!("container={:?},{}", one.name, of_pod(pod));
            family.line(&labels, one.memory.working_set_bytes.unwrap_or(0) as f64);
        }
    }
    let help = "Cumulative cpu time consumed by the node in core-seconds";
    let mut family = Family::new(&mut text, "node_cpu_usage_seconds_total", "counter", help);
    family.line("", seconds(node.cpu.usage_core_nano_seconds));
    let help = "Current working set of the node in bytes";
    let mut family = Family::new(&mut text, "node_memory_working_set_bytes", "gauge", help);
    family.line("", node.memory.working_set_bytes.unwrap_or(0) as f64);
    let help = "Cumulative cpu time consumed by the pod in core-seconds";
    let mut family = Family::new(&mut text, "pod_cpu_usage_seconds_total", "counter", help);
    for pod in &pods {
        family.line(&of_pod(pod), seconds(pod.cpu.usage_core_nano_seconds));
    }
    let help = "Current working set of the pod in bytes";
    let mut family = Family::new(&mut text, "pod_memory_working_set_bytes", "gauge", help);
    for pod in &pods {
        family.line(&of_pod(pod), pod.memory.working_set_bytes.unwrap_or(0) as f64);
    }
    let help = "1 if there was an error while getting container metrics, 0 otherwise";
    Family::new(&mut text, "resource_scrape_error", "gauge", help).line("", 0.0);
    Ok(text)
}

/// What the agent counts of itself and of its requests.
pub(super) fn own_metrics(agent: &Agent) -> Result<String, Refusal> {
    let pods = agent.pods();
    let live = pods.iter().filter(|pod| !spec::is_terminal(pod)).count();
    let containers = |state: fn(&k8s_openapi::api::core::v1::ContainerState) -> bool| {
        let statuses = pods
            .iter()
            .filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref())
            .flatten();
        statuses
            .filter(|status| status.state.as_ref().is_some_and(state))
            .count() as f64
    };
    let mut text = String::new();
    let mut family = Family::new(
        &mut text,
        "kubelet_running_pods",
        "gauge",
        "Number of pods that have a running pod sandbox",
    );
    family.line("", live as f64);
    let mut family = Family::new(
        &mut text,
        "kubelet_running_containers",
        "gauge",
        "Number of containers currently running",
    );
    family.line(
        "container_state=\"running\"",
        containers(|state| state.running.is_some()),
    );
    family.line(
        "container_state=\"exited\"",
        containers(|state| state.terminated.is_some()),
    );
    let mut family = Family::new(
        &mut text,
        "kubelet_node_name",
        "gauge",
        "The node's name. The count is always 1.",
    );
    family.line(&format!("node={:?}", agent.config.node_name), 1.0);
    let mut registry = Registry::default();
    agent.client_metrics.register(&mut registry);
    exposition::write(&registry, &text, Format::Plain).map_err(|error| Refusal::internal(error.to_string()))
}
