//! Containers: created, started, stopped, updated, removed.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use cri_api::v1::{self, ContainerEventType};

use super::sandbox::{pod_cgroup, wanted_namespaces};
use super::state::Container;
use super::{Runtime, RuntimeError};
use crate::record::{self, ContainerRecord, ExitedRecord, SandboxRecord, StartedRecord};
use crate::request::{self, Surroundings};
use crate::shim_client::{ShimClient, ShimError};
use crate::user::Accounts;
use crate::wire::{Action, ReopenLog, Signal, Start};

/// How long a killed process may take to end; the kernel needs milliseconds unless a disk hangs.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// The exit code of a container that never ran (containerd's).
const START_ERROR_CODE: i32 = 128;

/// A container's cgroup, relative to the runtime's own.
fn cgroup_path(sandbox: &SandboxRecord, container_id: &str) -> String {
    format!("{}/{container_id}", pod_cgroup(sandbox))
}

impl Runtime {
    /// Plans a container and writes it down; nothing runs yet.
    pub fn create_container(&self, sandbox_id: &str, config: v1::ContainerConfig) -> Result<String, RuntimeError> {
        if config.metadata.is_none() {
            return Err(RuntimeError::Missing("container metadata"));
        }
        let sandbox = {
            let state = self.state();
            let sandbox = state.sandbox(sandbox_id)?;
            if sandbox.state() != v1::PodSandboxState::SandboxReady {
                return Err(RuntimeError::SandboxNotReady(sandbox_id.to_owned()));
            }
            sandbox.record.clone()
        };
        let id = self.new_id();
        let reference = config
            .image
            .as_ref()
            .map(|image| image.image.clone())
            .unwrap_or_default();
        let found = self.parts.images.rootfs(&reference);
        let image = found
            .map_err(|source| RuntimeError::Image {
                image: reference.clone(),
                source,
            })?
            .ok_or(RuntimeError::ImageNotFound(reference))?;
        let around = self.surroundings(&sandbox, &config, &id);
        let log_path = around.log_path.clone();
        let plan = request::plan(&config, &image, &Accounts::of_layers(&image.lower_dirs), around)?;
        for mount in &plan.launch.mounts {
            make_missing_source(&mount.source)?;
        }
        let files = self.layout.container(&id);
        fs::create_dir_all(&files.directory).map_err(|source| RuntimeError::Directory {
            path: files.directory.clone(),
            source,
        })?;
        record::write(&files.launch(), &plan.launch)?;
        let written = ContainerRecord {
            id: id.clone(),
            sandbox_id: sandbox.id.clone(),
            created_at: self.now(),
            image_id: image.id,
            image_ref: image.digest_reference,
            log_path,
            stop_signal: plan.stop_signal,
            resources: config.linux.as_ref().and_then(|linux| linux.resources.clone()),
            user: Some(plan.user),
            config: Some(config),
        };
        record::write(&files.record(), &written)?;
        self.state()
            .containers
            .insert(id.clone(), Container::new(written, None, None));
        self.emit(ContainerEventType::ContainerCreatedEvent, &id, &sandbox.id);
        Ok(id)
    }

    fn surroundings(&self, sandbox: &SandboxRecord, config: &v1::ContainerConfig, id: &str) -> Surroundings {
        let pod = sandbox.config.clone().unwrap_or_default();
        let wanted = wanted_namespaces(&pod);
        let files = self.namespaces(&sandbox.id);
        let when = |has: bool, path: std::path::PathBuf| if has { path.display().to_string() } else { String::new() };
        let shared_memory = if wanted.ipc {
            files.shared_memory().display().to_string()
        } else {
            "/dev/shm".to_owned()
        };
        let logged = !config.log_path.is_empty() && !pod.log_directory.is_empty();
        Surroundings {
            network_namespace: when(wanted.network, files.network()),
            ipc_namespace: when(wanted.ipc, files.ipc()),
            uts_namespace: when(wanted.network, files.uts()),
            shared_memory,
            hostname: wanted.hostname,
            files: self.pod_files(&sandbox.id),
            cgroups: self.cgroups.directories(&cgroup_path(sandbox, id)),
            user_namespace: self.user_namespace,
            log_path: if logged {
                format!("{}/{}", pod.log_directory.trim_end_matches('/'), config.log_path)
            } else {
                String::new()
            },
        }
    }

    /// Runs a container that was created.
    pub async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        let (container, sandbox, turn) = self.container_and_sandbox(id)?;
        let _turn = turn.lock().await;
        {
            let state = self.state();
            let container = state.container(&container.id)?;
            if container.state() != v1::ContainerState::ContainerCreated {
                return Err(RuntimeError::WrongState {
                    id: container.record.id.clone(),
                    state: container.state().as_str_name(),
                });
            }
            if state.sandbox(&sandbox.id)?.state() != v1::PodSandboxState::SandboxReady {
                return Err(RuntimeError::SandboxNotReady(sandbox.id));
            }
        }
        match self.launch(&container, &sandbox).await {
            Ok(()) => {
                self.emit(ContainerEventType::ContainerStartedEvent, &container.id, &sandbox.id);
                Ok(())
            }
            Err(error) => {
                self.note_start_error(&container, &sandbox, &error)?;
                Err(error)
            }
        }
    }

    async fn launch(&self, container: &ContainerRecord, sandbox: &SandboxRecord) -> Result<(), RuntimeError> {
        let files = self.layout.container(&container.id);
        let shim = self.shim(&sandbox.id).await?;
        self.cgroups.make(
            &cgroup_path(sandbox, &container.id),
            &container.resources.clone().unwrap_or_default(),
        )?;
        let start = Start {
            container_id: container.id.clone(),
            directory: files.directory.display().to_string(),
        };
        let started = shim.ask(Action::Start(start)).await;
        let answer = started.map_err(|source| RuntimeError::Start {
            id: container.id.clone(),
            source,
        })?;
        let fallback = StartedRecord {
            pid: answer.report.pid,
            started_at: self.now(),
            ..StartedRecord::default()
        };
        let started = record::read(&files.started())?.unwrap_or(fallback);
        if let Some(known) = self.state().containers.get_mut(&container.id) {
            known.started = Some(started);
        }
        if shim.is_lost() {
            // Whoever was told of that did not know yet that the container ran.
            self.shim_lost(&sandbox.id)?;
        }
        Ok(())
    }

    /// A container that could not be started has ended, as containerd shows it.
    fn note_start_error(
        &self,
        container: &ContainerRecord,
        sandbox: &SandboxRecord,
        error: &RuntimeError,
    ) -> Result<(), RuntimeError> {
        let message = supervision::error_chain(error);
        let exited = ExitedRecord {
            code: START_ERROR_CODE,
            finished_at: self.now(),
            oom_killed: false,
            reason: "StartError".to_owned(),
            message,
        };
        record::write(&self.layout.container(&container.id).exited(), &exited)?;
        if let Some(known) = self.state().containers.get_mut(&container.id) {
            known.set_exited(exited);
        }
        self.remove_cgroup(sandbox, &container.id);
        self.emit(ContainerEventType::ContainerStoppedEvent, &container.id, &sandbox.id);
        Ok(())
    }

    /// The sandbox's shim; a killed one is replaced.
    pub(super) async fn shim(&self, sandbox_id: &str) -> Result<Arc<ShimClient>, RuntimeError> {
        let known = self.state().sandbox(sandbox_id)?.shim.clone();
        if let Some(shim) = known.filter(|shim| !shim.is_lost()) {
            return Ok(shim);
        }
        // What the last one held is noted before another one comes, which would know nothing of it.
        self.shim_lost(sandbox_id)?;
        let directory = self.layout.sandbox_run(sandbox_id);
        ShimClient::spawn(&self.config, &directory).await?;
        let shim = ShimClient::connect(sandbox_id, &directory, self.shim_events.clone(), &self.parts.supervisor)?;
        if let Some(sandbox) = self.state().sandboxes.get_mut(sandbox_id) {
            sandbox.shim = Some(Arc::clone(&shim));
        }
        Ok(shim)
    }

    /// The shim of a container that runs.
    pub(super) async fn shim_of(&self, container_id: &str) -> Result<(String, Arc<ShimClient>), RuntimeError> {
        let (id, sandbox_id) = {
            let state = self.state();
            let container = state.container(container_id)?;
            container.expect_running()?;
            (container.record.id.clone(), container.record.sandbox_id.clone())
        };
        Ok((id, self.shim(&sandbox_id).await?))
    }

    #[allow(clippy::type_complexity, reason = "three things that are always needed together")]
    fn container_and_sandbox(
        &self,
        id: &str,
    ) -> Result<(ContainerRecord, SandboxRecord, Arc<tokio::sync::Mutex<()>>), RuntimeError> {
        let state = self.state();
        let container = state.container(id)?.record.clone();
        let sandbox = state.sandbox(&container.sandbox_id)?;
        Ok((container, sandbox.record.clone(), Arc::clone(&sandbox.turn)))
    }

    /// Asks a container to end, and kills it after `grace`. One that has ended, or is not there, is stopped.
    pub async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        let (id, signal) = {
            let state = self.state();
            match state.container(id) {
                Ok(container) if container.state() == v1::ContainerState::ContainerRunning => {
                    (container.record.id.clone(), container.record.stop_signal)
                }
                Ok(_) | Err(_) => return Ok(()),
            }
        };
        if !grace.is_zero() {
            self.signal(&id, signal).await?;
            if self.wait_ended(&id, grace).await {
                return Ok(());
            }
        }
        self.kill_container(&id).await
    }

    /// Kills a container that runs.
    pub(super) async fn kill_container(&self, id: &str) -> Result<(), RuntimeError> {
        if self.state().container(id)?.state() != v1::ContainerState::ContainerRunning {
            return Ok(());
        }
        self.signal(id, libc::SIGKILL).await?;
        if self.wait_ended(id, KILL_LIMIT).await {
            Ok(())
        } else {
            Err(RuntimeError::StillRunning(id.to_owned()))
        }
    }

    /// A container that ends before the signal arrives is no error.
    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        let (id, shim) = match self.shim_of(id).await {
            Ok(found) => found,
            Err(RuntimeError::WrongState { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        match shim
            .ask(Action::Signal(Signal {
                container_id: id,
                signal,
            }))
            .await
        {
            Err(error @ ShimError::Send(_)) => Err(error.into()),
            // It has ended meanwhile; whoever waits for that sees it.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn wait_ended(&self, id: &str, limit: Duration) -> bool {
        let Some(mut ended) = self
            .state()
            .containers
            .get(id)
            .map(|container| container.ended.subscribe())
        else {
            return true;
        };
        tokio::time::timeout(limit, ended.wait_for(|ended| *ended))
            .await
            .is_ok()
    }

    /// Takes note of an end that the shim has written down, or by `unwritten` of one that it has not.
    pub(super) fn container_ended(&self, id: &str, unwritten: ExitedRecord) -> Result<(), RuntimeError> {
        let is_known = self
            .state()
            .containers
            .get(id)
            .map(|container| container.exited.is_some());
        if is_known != Some(false) {
            return Ok(());
        }
        let path = self.layout.container(id).exited();
        let exited = match record::read::<ExitedRecord>(&path)? {
            Some(exited) => exited,
            None => {
                // A full disk must not make anybody wait for a container that has ended.
                if let Err(error) = record::write(&path, &unwritten) {
                    tracing::error!(error = %supervision::error_chain(&error), "the end of a container is not written down");
                }
                unwritten
            }
        };
        let (sandbox, started) = {
            let mut state = self.state();
            let Some(container) = state.containers.get_mut(id) else {
                return Ok(());
            };
            if container.started.is_none() {
                // It ended before the answer to its start was heard.
                container.started = record::read(&self.layout.container(id).started())?;
            }
            container.set_exited(exited);
            let sandbox_id = container.record.sandbox_id.clone();
            let started = container.started.is_some();
            (
                state.sandboxes.get(&sandbox_id).map(|sandbox| sandbox.record.clone()),
                started,
            )
        };
        if let Some(sandbox) = sandbox.filter(|_| started) {
            self.remove_cgroup(&sandbox, id);
            self.emit(ContainerEventType::ContainerStoppedEvent, id, &sandbox.id);
        }
        Ok(())
    }

    fn remove_cgroup(&self, sandbox: &SandboxRecord, container_id: &str) {
        if let Err(error) = self.cgroups.remove(&cgroup_path(sandbox, container_id)) {
            tracing::debug!(error = %supervision::error_chain(&error), "the cgroup is removed with the container");
        }
    }

    pub(super) fn kill_cgroup(&self, sandbox: &SandboxRecord, container_id: &str) {
        self.cgroups.kill(&cgroup_path(sandbox, container_id));
    }

    pub(super) fn cgroup_usage(&self, sandbox: &SandboxRecord, container_id: &str) -> Option<crate::cgroup::Usage> {
        self.cgroups.usage(&cgroup_path(sandbox, container_id))
    }

    /// Removes a container, killing it when it runs. One that is not there is removed.
    pub async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        let Ok((container, _, turn)) = self.container_and_sandbox(id) else {
            return Ok(());
        };
        let _turn = turn.lock().await;
        self.delete_container(&container.id).await
    }

    pub(super) async fn delete_container(&self, id: &str) -> Result<(), RuntimeError> {
        let Ok((container, sandbox, _)) = self.container_and_sandbox(id) else {
            return Ok(());
        };
        self.kill_container(id).await?;
        self.cgroups.remove(&cgroup_path(&sandbox, id))?;
        let path = self.layout.container(id).directory;
        let doomed = path.clone();
        let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(doomed)).await;
        match removed.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(RuntimeError::Remove { path, source });
            }
            _ => {}
        }
        self.state().containers.remove(id);
        self.emit(
            ContainerEventType::ContainerDeletedEvent,
            &container.id,
            &container.sandbox_id,
        );
        Ok(())
    }

    /// Changes limits, now and for the record.
    pub fn update_resources(&self, id: &str, change: &v1::LinuxContainerResources) -> Result<(), RuntimeError> {
        let (mut container, sandbox, _) = self.container_and_sandbox(id)?;
        let state = self.state().container(&container.id)?.state();
        match state {
            v1::ContainerState::ContainerRunning => {
                self.cgroups.update(&cgroup_path(&sandbox, &container.id), change)?
            }
            v1::ContainerState::ContainerCreated => {}
            other => {
                return Err(RuntimeError::WrongState {
                    id: container.id,
                    state: other.as_str_name(),
                });
            }
        }
        let merged = merge(container.resources.clone().unwrap_or_default(), change);
        container.resources = Some(merged);
        record::write(&self.layout.container(&container.id).record(), &container)?;
        if let Some(known) = self.state().containers.get_mut(&container.id) {
            known.record = container;
        }
        Ok(())
    }

    /// Lets the shim go on in a new log file.
    pub async fn reopen_log(&self, id: &str) -> Result<(), RuntimeError> {
        let (id, shim) = self.shim_of(id).await?;
        shim.ask(Action::ReopenLog(ReopenLog { container_id: id })).await?;
        Ok(())
    }
}

/// Fields of 0 leave what was.
fn merge(mut old: v1::LinuxContainerResources, change: &v1::LinuxContainerResources) -> v1::LinuxContainerResources {
    let pick = |new: i64, old: i64| if new == 0 { old } else { new };
    old.cpu_period = pick(change.cpu_period, old.cpu_period);
    old.cpu_quota = pick(change.cpu_quota, old.cpu_quota);
    old.cpu_shares = pick(change.cpu_shares, old.cpu_shares);
    old.memory_limit_in_bytes = pick(change.memory_limit_in_bytes, old.memory_limit_in_bytes);
    old.memory_swap_limit_in_bytes = pick(change.memory_swap_limit_in_bytes, old.memory_swap_limit_in_bytes);
    old.oom_score_adj = pick(change.oom_score_adj, old.oom_score_adj);
    old.unified.extend(change.unified.clone());
    old
}

/// A volume whose source is missing gets an empty directory, as containerd does it.
fn make_missing_source(source: &str) -> Result<(), RuntimeError> {
    match fs::metadata(source) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(source).map_err(|error| RuntimeError::Directory {
                path: source.into(),
                source: error,
            })
        }
        _ => Ok(()),
    }
}
