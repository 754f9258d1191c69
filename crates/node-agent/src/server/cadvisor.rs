//! `/metrics/cadvisor`: what containers use, under the names and labels by which Prometheus' stacks for Kubernetes know it.
//!
//! As with upstream's kubelet on a CRI runtime: a series for each container, one for each pod (without container), one for
//! the node (id `/`), and the network under the pod's sandbox.

use std::fmt::Write;

use cri_api::v1 as cri;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::Refusal;
use super::statistics::listed;
use crate::agent::Agent;
use crate::container_config::cgroup_parent;
use crate::runtime::label;

/// Whose a series is: the labels that all have.
#[derive(Clone, Default)]
struct Labels {
    container: String,
    id: String,
    image: String,
    name: String,
    namespace: String,
    pod: String,
}

impl Labels {
    /// In the order of their names, as cAdvisor writes them; `extra` is sorted among them by the caller.
    fn text(&self, extra: &[(&str, &str)]) -> String {
        let mut pairs = vec![
            ("container", self.container.as_str()),
            ("id", self.id.as_str()),
            ("image", self.image.as_str()),
            ("name", self.name.as_str()),
            ("namespace", self.namespace.as_str()),
            ("pod", self.pod.as_str()),
        ];
        pairs.extend(extra);
        pairs.sort_unstable();
        let written: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        written.join(",")
    }
}

/// What one container, pod or node uses.
#[derive(Default)]
struct Usage {
    labels: Labels,
    cpu: Option<u64>,
    memory: [Option<u64>; 3],
    started: Option<i64>,
}

/// The families about memory and their places in [`Usage::memory`].
const MEMORY: [(&str, &str); 3] = [
    (
        "container_memory_working_set_bytes",
        "Current working set of the container in bytes.",
    ),
    (
        "container_memory_usage_bytes",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
    ),
    ("container_memory_rss", "Size of RSS in bytes."),
];

fn cpu(usage: Option<&cri::CpuUsage>) -> Option<u64> {
    Some(usage?.usage_core_nano_seconds.as_ref()?.value)
}

fn memory(usage: Option<&cri::MemoryUsage>) -> [Option<u64>; 3] {
    let value = |of: fn(&cri::MemoryUsage) -> &Option<cri::UInt64Value>| Some(of(usage?).as_ref()?.value);
    [
        value(|usage| &usage.working_set_bytes),
        value(|usage| &usage.usage_bytes),
        value(|usage| &usage.rss_bytes),
    ]
}

fn status_of<'p>(pod: Option<&'p Pod>, name: &str) -> Option<&'p ContainerStatus> {
    let status = pod?.status.as_ref()?;
    let all = status.container_statuses.iter().chain(&status.init_container_statuses);
    all.flatten().find(|status| status.name == name)
}

fn container(one: &cri::ContainerStats, of: &Labels, parent: &str, pod: Option<&Pod>) -> Option<Usage> {
    let attributes = one.attributes.as_ref()?;
    let name = attributes.labels.get(label::CONTAINER).cloned();
    let name = name.or_else(|| attributes.metadata.as_ref().map(|metadata| metadata.name.clone()))?;
    let status = status_of(pod, &name);
    let running = status.and_then(|status| status.state.as_ref()?.running.as_ref());
    let started = running.and_then(|running| running.started_at.as_ref());
    Some(Usage {
        labels: Labels {
            container: name,
            id: format!("{parent}/{}", attributes.id),
            image: status.map(|status| status.image.clone()).unwrap_or_default(),
            name: attributes.id.clone(),
            ..of.clone()
        },
        cpu: cpu(one.cpu.as_ref()),
        memory: memory(one.memory.as_ref()),
        started: started.map(|time| time.0.as_second()),
    })
}

/// The counters of a pod's network interfaces.
struct Network {
    labels: Labels,
    interfaces: Vec<cri::NetworkInterfaceUsage>,
}

/// A family about interfaces: name, help, and the counter.
type NetworkFamily = (
    &'static str,
    &'static str,
    fn(&cri::NetworkInterfaceUsage) -> &Option<cri::UInt64Value>,
);

const NETWORK: [NetworkFamily; 4] = [
    (
        "container_network_receive_bytes_total",
        "Cumulative count of bytes received",
        |of| &of.rx_bytes,
    ),
    (
        "container_network_receive_errors_total",
        "Cumulative count of errors encountered while receiving",
        |of| &of.rx_errors,
    ),
    (
        "container_network_transmit_bytes_total",
        "Cumulative count of bytes transmitted",
        |of| &of.tx_bytes,
    ),
    (
        "container_network_transmit_errors_total",
        "Cumulative count of errors encountered while transmitting",
        |of| &of.tx_errors,
    ),
];

/// The text of `/metrics/cadvisor`.
pub(super) async fn metrics(agent: &Agent) -> Result<String, Refusal> {
    let pods = agent.pods();
    let (mut used, mut networks) = (Vec::new(), Vec::new());
    for stats in listed(agent, &pods).await? {
        let Some(attributes) = stats.attributes else { continue };
        let Some(metadata) = attributes.metadata else { continue };
        let pod = pods
            .iter()
            .find(|pod| pod.metadata.uid.as_deref() == Some(metadata.uid.as_str()));
        let parent = pod.and_then(|pod| Some(cgroup_parent(pod.spec.as_ref()?, &metadata.uid)));
        let parent = parent.unwrap_or_default();
        let linux = stats.linux.unwrap_or_default();
        let labels = Labels {
            id: parent.clone(),
            namespace: metadata.namespace,
            pod: metadata.name,
            ..Labels::default()
        };
        let containers = linux.containers.iter();
        used.extend(containers.filter_map(|one| container(one, &labels, &parent, pod.map(|pod| &**pod))));
        let network = linux.network.unwrap_or_default();
        let mut interfaces = network.interfaces;
        let default = network.default_interface;
        // It is among the others, or alone.
        interfaces.extend(default.filter(|_| interfaces.is_empty()));
        networks.push(Network {
            labels: Labels {
                id: format!("{parent}/{}", attributes.id),
                name: attributes.id,
                ..labels.clone()
            },
            interfaces,
        });
        used.push(Usage {
            labels,
            cpu: cpu(linux.cpu.as_ref()),
            memory: memory(linux.memory.as_ref()),
            started: None,
        });
    }
    used.push(whole(&used));
    Ok(written(&used, &networks, agent, agent.now()))
}

/// The node as the sum of its pods.
fn whole(used: &[Usage]) -> Usage {
    let pods = || used.iter().filter(|one| one.labels.container.is_empty());
    let sum = |place: usize| Some(pods().filter_map(|one| one.memory[place]).sum());
    Usage {
        labels: Labels {
            id: "/".to_owned(),
            ..Labels::default()
        },
        cpu: Some(pods().filter_map(|one| one.cpu).sum()),
        memory: [sum(0), sum(1), sum(2)],
        started: None,
    }
}

struct Text {
    text: String,
    /// When it was measured, in milliseconds, as cAdvisor says behind every value.
    at: i64,
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.text
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        let (braces, at) = (format!("{{{labels}}}"), self.at);
        if let Err(error) = writeln!(self.text, "{name}{braces} {value} {at}") {
            tracing::error!(%error, "a string could not be written to");
        }
    }
}

fn written(used: &[Usage], networks: &[Network], agent: &Agent, now: Timestamp) -> String {
    let mut text = Text {
        text: String::new(),
        at: now.as_millisecond(),
    };
    let name = "container_cpu_usage_seconds_total";
    text.family(name, "counter", "Cumulative cpu time consumed in seconds.");
    for one in used {
        if let Some(nanoseconds) = one.cpu {
            text.line(name, &one.labels.text(&[("cpu", "total")]), nanoseconds as f64 / 1e9);
        }
    }
    let name = "container_last_seen";
    text.family(name, "gauge", "Last time a container was seen by the exporter");
    for one in used {
        text.line(name, &one.labels.text(&[]), now.as_second() as f64);
    }
    for (place, (name, help)) in MEMORY.into_iter().enumerate() {
        text.family(name, "gauge", help);
        for one in used {
            if let Some(bytes) = one.memory[place] {
                text.line(name, &one.labels.text(&[]), bytes as f64);
            }
        }
    }
    for (name, help, counter) in NETWORK {
        text.family(name, "counter", help);
        for network in networks {
            for interface in &network.interfaces {
                if let Some(count) = counter(interface) {
                    let labels = network.labels.text(&[("interface", &interface.name)]);
                    text.line(name, &labels, count.value as f64);
                }
            }
        }
    }
    let name = "container_start_time_seconds";
    text.family(
        name,
        "gauge",
        "Start time of the container since unix epoch in seconds.",
    );
    for one in used {
        if let Some(second) = one.started {
            text.line(name, &one.labels.text(&[]), second as f64);
        }
    }
    let capacity = &agent.config.capacity;
    text.family("machine_cpu_cores", "gauge", "Number of logical CPU cores.");
    text.text.push_str(&format!("machine_cpu_cores {}\n", capacity.cpus));
    text.family(
        "machine_memory_bytes",
        "gauge",
        "Amount of memory installed on the machine.",
    );
    text.text
        .push_str(&format!("machine_memory_bytes {}\n", capacity.memory_bytes));
    text.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_the_order_of_their_names() {
        let labels = Labels {
            container: "main".to_owned(),
            pod: "p".to_owned(),
            ..Labels::default()
        };
        assert_eq!(
            labels.text(&[("cpu", "total")]),
            r#"container="main",cpu="total",id="",image="",name="",namespace="",pod="p""#
        );
    }

    #[test]
    fn the_node_is_the_sum_of_its_pods_and_not_of_their_containers() {
        let pod = |cpu| Usage {
            cpu: Some(cpu),
            memory: [Some(10), None, Some(3)],
            ..Usage::default()
        };
        let mut container = pod(7);
        container.labels.container = "main".to_owned();
        let node = whole(&[pod(5), pod(6), container]);
        assert_eq!((node.cpu, node.memory), (Some(11), [Some(20), Some(0), Some(6)]));
        assert_eq!(node.labels.id, "/");
    }
}
