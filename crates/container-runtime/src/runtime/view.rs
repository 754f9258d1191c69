//! Records as CRI shows them.

use std::collections::HashMap;

use cri_api::v1;

use super::Runtime;
use super::RuntimeError;
use super::state::{Container, Sandbox};

/// A sandbox's status.
pub fn sandbox_status(sandbox: &Sandbox) -> v1::PodSandboxStatus {
    let config = sandbox.config();
    let options = config
        .linux
        .and_then(|linux| linux.security_context)
        .and_then(|security| security.namespace_options);
    let mut ips = sandbox.record.ips.iter().cloned();
    v1::PodSandboxStatus {
        id: sandbox.record.id.clone(),
        metadata: config.metadata,
        state: sandbox.state() as i32,
        created_at: sandbox.record.created_at,
        network: Some(v1::PodSandboxNetworkStatus {
            ip: ips.next().unwrap_or_default(),
            additional_ips: ips.map(|ip| v1::PodIp { ip }).collect(),
        }),
        linux: Some(v1::LinuxPodSandboxStatus {
            namespaces: Some(v1::Namespace { options }),
        }),
        labels: config.labels,
        annotations: config.annotations,
        runtime_handler: sandbox.record.runtime_handler.clone(),
    }
}

/// A container's status.
pub fn container_status(container: &Container) -> v1::ContainerStatus {
    let config = container.config();
    let record = &container.record;
    let exited = container.exited.as_ref();
    v1::ContainerStatus {
        id: record.id.clone(),
        metadata: config.metadata,
        state: container.state() as i32,
        created_at: record.created_at,
        started_at: container.started.as_ref().map_or(0, |started| started.started_at),
        finished_at: exited.map_or(0, |exited| exited.finished_at),
        exit_code: exited.map_or(0, |exited| exited.code),
        image: config.image,
        image_ref: record.image_ref.clone(),
        reason: exited.map(|exited| exited.reason().to_owned()).unwrap_or_default(),
        message: exited.map(|exited| exited.message.clone()).unwrap_or_default(),
        labels: config.labels,
        annotations: config.annotations,
        mounts: config.mounts,
        log_path: record.log_path.clone(),
        resources: record
            .resources
            .clone()
            .map(|linux| v1::ContainerResources { linux: Some(linux) }),
        image_id: record.image_id.clone(),
        user: record
            .user
            .clone()
            .map(|linux| v1::ContainerUser { linux: Some(linux) }),
        stop_signal: config.stop_signal,
    }
}

fn sandbox_row(sandbox: &Sandbox) -> v1::PodSandbox {
    let config = sandbox.config();
    v1::PodSandbox {
        id: sandbox.record.id.clone(),
        metadata: config.metadata,
        state: sandbox.state() as i32,
        created_at: sandbox.record.created_at,
        labels: config.labels,
        annotations: config.annotations,
        runtime_handler: sandbox.record.runtime_handler.clone(),
    }
}

fn container_row(container: &Container) -> v1::Container {
    let config = container.config();
    v1::Container {
        id: container.record.id.clone(),
        pod_sandbox_id: container.record.sandbox_id.clone(),
        metadata: config.metadata,
        image: config.image,
        image_ref: container.record.image_ref.clone(),
        state: container.state() as i32,
        created_at: container.record.created_at,
        labels: config.labels,
        annotations: config.annotations,
        image_id: container.record.image_id.clone(),
    }
}

/// Whether `labels` have everything that `selector` names.
pub fn selected(labels: &HashMap<String, String>, selector: &HashMap<String, String>) -> bool {
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

impl Runtime {
    /// A sandbox's status, with those of its containers.
    pub fn sandbox_status(&self, id: &str) -> Result<(v1::PodSandboxStatus, Vec<v1::ContainerStatus>), RuntimeError> {
        let state = self.state();
        let sandbox = state.sandbox(id)?;
        let containers = state.containers_of(&sandbox.record.id).map(container_status).collect();
        Ok((sandbox_status(sandbox), containers))
    }

    /// A container's status.
    pub fn container_status(&self, id: &str) -> Result<v1::ContainerStatus, RuntimeError> {
        self.state().container(id).map(container_status)
    }

    /// The sandboxes that a filter lets through.
    pub fn list_sandboxes(&self, filter: &v1::PodSandboxFilter) -> Vec<v1::PodSandbox> {
        let rows = self.state().sandboxes.values().map(sandbox_row).collect::<Vec<_>>();
        let wanted = |row: &v1::PodSandbox| {
            row.id.starts_with(&filter.id)
                && filter.state.as_ref().is_none_or(|state| state.state == row.state)
                && selected(&row.labels, &filter.label_selector)
        };
        rows.into_iter().filter(wanted).collect()
    }

    /// The containers that a filter lets through.
    pub fn list_containers(&self, filter: &v1::ContainerFilter) -> Vec<v1::Container> {
        let rows = self.state().containers.values().map(container_row).collect::<Vec<_>>();
        let wanted = |row: &v1::Container| {
            row.id.starts_with(&filter.id)
                && row.pod_sandbox_id.starts_with(&filter.pod_sandbox_id)
                && filter.state.as_ref().is_none_or(|state| state.state == row.state)
                && selected(&row.labels, &filter.label_selector)
        };
        rows.into_iter().filter(wanted).collect()
    }
}
