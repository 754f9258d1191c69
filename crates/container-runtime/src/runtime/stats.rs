//! What containers and pods use.

use std::fs;

use cri_api::v1;

use super::state::Container;
use super::view::selected;
use super::{Runtime, RuntimeError};
use crate::cgroup::Usage;
use crate::record::SandboxRecord;

impl Runtime {
    /// What one container uses.
    pub fn container_stats(&self, id: &str) -> Result<v1::ContainerStats, RuntimeError> {
        let (container, sandbox) = {
            let state = self.state();
            let container = state.container(id)?;
            let sandbox = state.sandbox(&container.record.sandbox_id)?.record.clone();
            (attributes(container), sandbox)
        };
        Ok(self.measure(container, &sandbox))
    }

    /// What the running containers use that a filter lets through.
    pub fn list_container_stats(&self, filter: &v1::ContainerStatsFilter) -> Vec<v1::ContainerStats> {
        let wanted = |container: &Container| {
            container.state() == v1::ContainerState::ContainerRunning
                && container.record.id.starts_with(&filter.id)
                && container.record.sandbox_id.starts_with(&filter.pod_sandbox_id)
                && selected(&container.config().labels, &filter.label_selector)
        };
        let found: Vec<(v1::ContainerAttributes, Option<SandboxRecord>)> = {
            let state = self.state();
            let sandbox = |container: &Container| {
                state
                    .sandboxes
                    .get(&container.record.sandbox_id)
                    .map(|sandbox| sandbox.record.clone())
            };
            state
                .containers
                .values()
                .filter(|container| wanted(container))
                .map(|container| (attributes(container), sandbox(container)))
                .collect()
        };
        found
            .into_iter()
            .filter_map(|(container, sandbox)| Some(self.measure(container, &sandbox?)))
            .collect()
    }

    /// What a pod uses: the sum of its containers, its network and its processes.
    pub fn sandbox_stats(&self, id: &str) -> Result<v1::PodSandboxStats, RuntimeError> {
        let (sandbox, first_pid) = {
            let state = self.state();
            let sandbox = state.sandbox(id)?;
            let running = state
                .containers_of(&sandbox.record.id)
                .find(|container| container.state() == v1::ContainerState::ContainerRunning);
            (
                sandbox.record.clone(),
                running
                    .and_then(|container| container.started.as_ref())
                    .map(|started| started.pid),
            )
        };
        let filter = v1::ContainerStatsFilter {
            pod_sandbox_id: sandbox.id.clone(),
            ..Default::default()
        };
        let containers = self.list_container_stats(&filter);
        let config = sandbox.config.clone().unwrap_or_default();
        let now = self.now();
        let sum = |value: fn(&v1::ContainerStats) -> Option<u64>| {
            Some(v1::UInt64Value {
                value: containers.iter().filter_map(value).sum(),
            })
        };
        let linux = v1::LinuxPodSandboxStats {
            cpu: Some(v1::CpuUsage {
                timestamp: now,
                usage_core_nano_seconds: sum(|stats| Some(stats.cpu.as_ref()?.usage_core_nano_seconds?.value)),
                ..Default::default()
            }),
            memory: Some(v1::MemoryUsage {
                timestamp: now,
                working_set_bytes: sum(|stats| Some(stats.memory.as_ref()?.working_set_bytes?.value)),
                usage_bytes: sum(|stats| Some(stats.memory.as_ref()?.usage_bytes?.value)),
                rss_bytes: sum(|stats| Some(stats.memory.as_ref()?.rss_bytes?.value)),
                ..Default::default()
            }),
            network: first_pid.map(|pid| network_usage(pid, now)),
            process: None,
            io: None,
            containers,
        };
        Ok(v1::PodSandboxStats {
            attributes: Some(v1::PodSandboxAttributes {
                id: sandbox.id,
                metadata: config.metadata,
                labels: config.labels,
                annotations: config.annotations,
            }),
            linux: Some(linux),
        })
    }

    /// What the pods use that a filter lets through.
    pub fn list_sandbox_stats(&self, filter: &v1::PodSandboxStatsFilter) -> Vec<v1::PodSandboxStats> {
        let ready = Some(v1::PodSandboxStateValue {
            state: v1::PodSandboxState::SandboxReady as i32,
        });
        let sandboxes = self.list_sandboxes(&v1::PodSandboxFilter {
            id: filter.id.clone(),
            state: ready,
            label_selector: filter.label_selector.clone(),
        });
        // One that was removed meanwhile uses nothing.
        sandboxes
            .iter()
            .filter_map(|sandbox| self.sandbox_stats(&sandbox.id).ok())
            .collect()
    }

    fn measure(&self, attributes: v1::ContainerAttributes, sandbox: &SandboxRecord) -> v1::ContainerStats {
        let now = self.now();
        let usage = self
            .cgroup_usage(sandbox, &attributes.id)
            .or_else(|| self.usage_of_processes(&attributes.id))
            .unwrap_or_default();
        let value = |value| Some(v1::UInt64Value { value });
        v1::ContainerStats {
            attributes: Some(attributes),
            cpu: Some(v1::CpuUsage {
                timestamp: now,
                usage_core_nano_seconds: value(usage.cpu),
                ..Default::default()
            }),
            memory: Some(v1::MemoryUsage {
                timestamp: now,
                working_set_bytes: value(usage.working_set),
                usage_bytes: value(usage.memory),
                rss_bytes: value(usage.resident),
                page_faults: value(usage.page_faults),
                major_page_faults: value(usage.major_page_faults),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Without cgroups: the sum over the processes that share the first one's PID namespace. What has ended is not counted.
    fn usage_of_processes(&self, id: &str) -> Option<Usage> {
        let pid = self.state().containers.get(id)?.started.as_ref()?.pid;
        let namespace = fs::read_link(format!("/proc/{pid}/ns/pid")).ok()?;
        let mut usage = Usage::default();
        for entry in fs::read_dir("/proc").ok()?.filter_map(Result::ok) {
            if fs::read_link(entry.path().join("ns/pid")).is_ok_and(|other| other == namespace) {
                usage.cpu += processor_time(&fs::read_to_string(entry.path().join("stat")).unwrap_or_default());
                usage.resident += resident(&fs::read_to_string(entry.path().join("statm")).unwrap_or_default());
            }
        }
        usage.memory = usage.resident;
        usage.working_set = usage.resident;
        Some(usage)
    }
}

fn attributes(container: &Container) -> v1::ContainerAttributes {
    let config = container.config();
    v1::ContainerAttributes {
        id: container.record.id.clone(),
        metadata: config.metadata,
        labels: config.labels,
        annotations: config.annotations,
    }
}

/// User and system time of /proc/<pid>/stat in nanoseconds; the kernel counts 100 ticks a second there.
fn processor_time(stat: &str) -> u64 {
    const NANOSECONDS_PER_TICK: u64 = 10_000_000;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum::<u64>()
        * NANOSECONDS_PER_TICK
}

/// Resident bytes of /proc/<pid>/statm.
fn resident(statm: &str) -> u64 {
    const PAGE: u64 = 4096;
    statm
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|field| field.parse::<u64>().ok())
        .unwrap_or(0)
        * PAGE
}

/// The counters of the network namespace that a process is in.
fn network_usage(pid: i32, now: i64) -> v1::NetworkUsage {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let interfaces: Vec<v1::NetworkInterfaceUsage> = text
        .lines()
        .filter_map(interface_usage)
        .filter(|interface| interface.name != "lo")
        .collect();
    let default_interface = interfaces.iter().find(|interface| interface.name == "eth0").cloned();
    v1::NetworkUsage {
        timestamp: now,
        default_interface,
        interfaces,
    }
}

/// A line of /proc/net/dev: received bytes, packets, errors, …; sent ones begin at the ninth number.
fn interface_usage(line: &str) -> Option<v1::NetworkInterfaceUsage> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers
        .split_ascii_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let value = |place: usize| numbers.get(place).map(|value| v1::UInt64Value { value: *value });
    Some(v1::NetworkInterfaceUsage {
        name: name.trim().to_owned(),
        rx_bytes: value(0),
        rx_errors: value(2),
        tx_bytes: value(8),
        tx_errors: value(10),
    })
}
