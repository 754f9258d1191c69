//! Starting one container: image, configuration, create, start, postStart; each failure a waiting reason and an event.

use std::sync::Arc;
use std::time::Duration;

use cri_api::v1 as cri;
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use pod_lifecycle::downward::Addresses;
use pod_lifecycle::environment::{self, Sources};
use pod_lifecycle::observed::{ContainerState, Observed};
use pod_lifecycle::plan::Waiting;
use pod_lifecycle::{plan, spec};

use super::Worker;
use super::setup::Setup;
use crate::container_config::{self, Prepared};
use crate::events::Kind;
use crate::{hooks, images, simulated, volumes};

/// A failed start is tried again after this long, or when what it refers to changes.
const RETRY: Duration = Duration::from_secs(10);

/// Why a container did not start.
struct Failure {
    reason: &'static str,
    message: String,
}

impl Failure {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl Worker {
    pub(super) async fn start_container(&mut self, pod: &Arc<Pod>, observed: &Observed, name: &str, attempt: u32) {
        let Some(spec) = &pod.spec else { return };
        let Some(container) = spec::find(spec, name) else {
            return;
        };
        let Some(sandbox) = plan::usable_sandbox(spec, observed) else {
            return;
        };
        // The failure that this start answers counts towards the next delay.
        let failed = observed
            .latest(name)
            .filter(|found| found.state == ContainerState::Exited);
        if let Some(failed_at) = failed.and_then(|found| found.finished_at) {
            self.memory.restarts.next(name, failed_at, self.agent.now());
        }
        if self.setup.is_none() {
            self.setup = self.prepare(pod, &self.addresses(pod, observed)).await;
        }
        let Some(setup) = self.setup.take() else {
            let waiting = Waiting {
                reason: "ContainerCreating".to_owned(),
                message: String::new(),
            };
            let retry_at = self.agent.now() + Duration::from_secs(2);
            self.wait(name, waiting, retry_at);
            return;
        };
        let stopping = self.inbox.stopping.clone();
        let result = tokio::select! {
            result = self.try_start(pod, observed, &container, attempt, &sandbox.id, &setup) => Some(result),
            () = stopping.cancelled() => None,
        };
        self.setup = Some(setup);
        match result {
            Some(Ok(())) => {
                self.memory.waiting.remove(name);
                self.memory.retry_at.remove(name);
            }
            Some(Err((waiting, retry_at))) => self.wait(name, waiting, retry_at),
            None => {}
        }
    }

    async fn try_start(
        &self,
        pod: &Arc<Pod>,
        observed: &Observed,
        container: &Container,
        attempt: u32,
        sandbox_id: &str,
        setup: &Setup,
    ) -> Result<(), (Waiting, jiff::Timestamp)> {
        let secrets: Vec<Secret> = pod
            .spec
            .iter()
            .flat_map(|spec| spec.image_pull_secrets.iter().flatten())
            .filter_map(|reference| setup.objects.secrets.get(&reference.name).cloned())
            .collect();
        let image = images::ensure(&self.agent, pod, container, &secrets)
            .await
            .map_err(|failure| (failure.waiting, failure.retry_at))?;
        let made = self
            .create_and_start(pod, observed, container, attempt, sandbox_id, setup, &image)
            .await;
        made.map_err(|failure| {
            let message = format!("Error: {}", failure.message);
            self.event(pod, container, Kind::Warning, "Failed", message);
            let waiting = Waiting {
                reason: failure.reason.to_owned(),
                message: failure.message,
            };
            (waiting, self.agent.now() + RETRY)
        })
    }

    fn event(&self, pod: &Pod, container: &Container, kind: Kind, reason: &'static str, message: String) {
        self.agent.events.pod(pod, Some(&container.name), kind, reason, message);
    }

    #[expect(clippy::too_many_arguments, reason = "one step of a start, called once")]
    async fn create_and_start(
        &self,
        pod: &Arc<Pod>,
        observed: &Observed,
        container: &Container,
        attempt: u32,
        sandbox_id: &str,
        setup: &Setup,
        image: &cri::Image,
    ) -> Result<(), Failure> {
        let config = self.describe(pod, observed, container, attempt, setup, image)?;
        let sandbox_attempt = observed.sandbox().map_or(0, |sandbox| sandbox.attempt);
        let resolver = self.agent.host_resolver();
        let sandbox = container_config::sandbox(pod, &self.agent.config, &self.paths, &resolver, sandbox_attempt);
        let id = self
            .agent
            .runtime
            .create_container(sandbox_id, config, sandbox)
            .await
            .map_err(|error| Failure::new("CreateContainerError", error.status.message()))?;
        self.event(pod, container, Kind::Normal, "Created", "Container created".to_owned());
        self.agent
            .runtime
            .start_container(&id)
            .await
            .map_err(|error| Failure::new("RunContainerError", error.status.message()))?;
        self.event(pod, container, Kind::Normal, "Started", "Container started".to_owned());
        let lifecycle = container.lifecycle.as_ref();
        let hook = lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref());
        let Some(hook) = hook.filter(|_| !self.agent.config.simulated) else {
            return Ok(());
        };
        let address = self.addresses(pod, observed).pod_ips.first().cloned();
        if let Err(error) = hooks::run(&self.agent.runtime, hook, container, &id, address.as_deref()).await {
            self.event(
                pod,
                container,
                Kind::Warning,
                "FailedPostStartHook",
                format!("PostStartHook failed: {error}"),
            );
            self.kill_one(
                pod,
                &id,
                &container.name,
                "FailedPostStartHook",
                spec::grace_period(pod),
            )
            .await;
            return Err(Failure::new("PostStartHookError", error.to_string()));
        }
        Ok(())
    }

    /// Environment, files and the runtime's description; all failures here are CreateContainerConfigError.
    fn describe(
        &self,
        pod: &Pod,
        observed: &Observed,
        container: &Container,
        attempt: u32,
        setup: &Setup,
        image: &cri::Image,
    ) -> Result<cri::ContainerConfig, Failure> {
        let refuse = |message: String| Failure::new("CreateContainerConfigError", message);
        let addresses = self.addresses(pod, observed);
        let node = self.agent.allocatable();
        let sources = Sources {
            pod,
            objects: &setup.objects,
            services: &setup.services,
            addresses: &addresses,
            node: &node,
        };
        let variables = environment::variables(container, &sources).map_err(|error| refuse(error.to_string()))?;
        let message_file = self
            .paths
            .dir
            .join("containers")
            .join(&container.name)
            .join(format!("{attempt}.message"));
        let spec_image = container.image.clone().unwrap_or_default();
        let prepared = Prepared {
            paths: &self.paths,
            volumes: &setup.volumes,
            variables,
            image,
            message_file,
            image_ref: if image.id.is_empty() {
                spec_image.clone()
            } else {
                image.id.clone()
            },
            image_name: full_name(image, &spec_image),
            node_memory: i64::try_from(self.agent.config.capacity.memory_bytes).unwrap_or(i64::MAX),
        };
        let mut config = container_config::container(pod, container, attempt, &prepared)
            .map_err(|error| refuse(error.to_string()))?;
        if let Some(target) = pod
            .spec
            .as_ref()
            .and_then(|spec| spec::debug_target(spec, &container.name))
        {
            share_processes(&mut config, observed, target).map_err(refuse)?;
        }
        if self.agent.config.simulated {
            config.annotations.extend(simulated::life(pod, container));
        } else {
            self.write_files(pod, container, &addresses, &prepared, &config)
                .map_err(refuse)?;
        }
        Ok(config)
    }

    /// What must be on disk before the container is made: /etc/hosts, the termination message, the log's directory, sub paths.
    fn write_files(
        &self,
        pod: &Pod,
        container: &Container,
        addresses: &Addresses,
        prepared: &Prepared<'_>,
        config: &cri::ContainerConfig,
    ) -> Result<(), String> {
        let file_error = |error: volumes::VolumeError| supervision::error_chain(&error);
        self.write_hosts(pod, addresses).map_err(file_error)?;
        volumes::write_file(&prepared.message_file, b"", 0o666).map_err(file_error)?;
        let logs = self.paths.logs.join(&container.name);
        std::fs::create_dir_all(&logs).map_err(|error| format!("create {}: {error}", logs.display()))?;
        for (mount, of_spec) in config.mounts.iter().zip(container.volume_mounts.iter().flatten()) {
            if let Some(volume) = prepared.volumes.get(&of_spec.name) {
                volumes::make_sub_path(volume, mount.host_path.as_ref()).map_err(file_error)?;
            }
        }
        Ok(())
    }
}

/// Puts a container into the process namespace of another one of its pod.
fn share_processes(config: &mut cri::ContainerConfig, observed: &Observed, target: &str) -> Result<(), String> {
    let running = super::running(observed, target);
    let id = running
        .map(|found| found.id.clone())
        .ok_or_else(|| format!("unable to find target container {target}"))?;
    let security = config
        .linux
        .get_or_insert_default()
        .security_context
        .get_or_insert_default();
    let options = security.namespace_options.get_or_insert_default();
    options.set_pid(cri::NamespaceMode::Target);
    options.target_id = id;
    Ok(())
}

/// The image's full name as the runtime knows it (`docker.io/library/nginx:latest`), which statuses show.
fn full_name(image: &cri::Image, asked: &str) -> String {
    let fits = |tag: &&String| tag.ends_with(asked) || tag.ends_with(&format!("{asked}:latest"));
    image
        .repo_tags
        .iter()
        .find(fits)
        .cloned()
        .unwrap_or_else(|| asked.to_owned())
}
