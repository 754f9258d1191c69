//! After a runtime was killed: what is on disk, what runs, and what was lost.

use std::fs;
use std::sync::Arc;

use cri_api::v1::ContainerState;

use super::sandbox::{remove_file, wanted_namespaces};
use super::state::{Container, Sandbox};
use super::{Runtime, RuntimeError};
use crate::record::{self, ContainerRecord, ExitedRecord, SandboxRecord, StartedRecord};
use crate::shim_client::{ShimClient, ShimError};
use crate::wire::{Action, List};

/// The exit code of a container whose shim was killed: the kernel kills it with SIGKILL.
const LOST_CODE: i32 = 137;

impl Runtime {
    /// Reads all records and connects to all shims.
    pub(super) async fn recover(&self) -> Result<(), RuntimeError> {
        let mut half_made = Vec::new();
        for path in entries(&self.layout.sandboxes())? {
            let Some(sandbox) = readable::<SandboxRecord>(&path) else {
                continue;
            };
            if !sandbox.ready {
                half_made.push(sandbox);
                continue;
            }
            let wanted = wanted_namespaces(&sandbox.config.clone().unwrap_or_default());
            let alive = self.namespaces(&sandbox.id).alive(&wanted);
            self.state()
                .sandboxes
                .insert(sandbox.id.clone(), Sandbox::new(sandbox, alive));
        }
        for path in entries(&self.layout.containers())? {
            self.recover_container(&path)?;
        }
        for sandbox in half_made {
            let directory = self.layout.sandbox_run(&sandbox.id);
            let shim = ShimClient::connect(
                &sandbox.id,
                &directory,
                self.shim_events.clone(),
                &self.parts.supervisor,
            )
            .ok();
            self.take_down(&sandbox, shim).await?;
            remove_file(self.layout.sandbox_record(&sandbox.id))?;
        }
        let sandboxes: Vec<String> = self.state().sandboxes.keys().cloned().collect();
        for id in sandboxes {
            self.recover_shim(&id).await?;
        }
        Ok(())
    }

    fn recover_container(&self, path: &std::path::Path) -> Result<(), RuntimeError> {
        let files = crate::layout::ContainerFiles {
            directory: path.to_owned(),
        };
        let container = readable::<ContainerRecord>(&files.record());
        let known = container
            .as_ref()
            .is_some_and(|container| self.state().sandboxes.contains_key(&container.sandbox_id));
        let Some(container) = container.filter(|_| known) else {
            // The runtime was killed while it made or removed this one.
            return fs::remove_dir_all(path).map_err(|source| RuntimeError::Remove {
                path: path.to_owned(),
                source,
            });
        };
        let started = record::read::<StartedRecord>(&files.started())?;
        let exited = record::read::<ExitedRecord>(&files.exited())?;
        self.state()
            .containers
            .insert(container.id.clone(), Container::new(container, started, exited));
        Ok(())
    }

    /// Connects to a sandbox's shim and compares what runs with what should.
    async fn recover_shim(&self, sandbox_id: &str) -> Result<(), RuntimeError> {
        let directory = self.layout.sandbox_run(sandbox_id);
        let shim = match ShimClient::connect(sandbox_id, &directory, self.shim_events.clone(), &self.parts.supervisor) {
            Ok(shim) => shim,
            Err(error) => {
                tracing::debug!(error = %supervision::error_chain(&error), sandbox = sandbox_id, "the sandbox has no shim");
                return self.shim_lost(sandbox_id);
            }
        };
        let running = match shim.ask(Action::List(List {})).await {
            Ok(answer) => answer.report.running,
            Err(ShimError::Gone | ShimError::Send(_)) => {
                tracing::debug!(sandbox = sandbox_id, "the sandbox's shim went while it was found");
                return self.shim_lost(sandbox_id);
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(sandbox) = self.state().sandboxes.get_mut(sandbox_id) {
            sandbox.shim = Some(Arc::clone(&shim));
        }
        let unsure: Vec<String> = self
            .state()
            .containers_of(sandbox_id)
            .filter(|container| {
                container.state() == ContainerState::ContainerRunning && !running.contains(&container.record.id)
            })
            .map(|container| container.record.id.clone())
            .collect();
        for id in unsure {
            // It ended between the first look at its record and the shim's answer; or it was another shim's, which was
            // killed, and so was the runtime that had begun to replace it.
            self.container_ended(&id, self.lost_record())?;
        }
        for id in running {
            let files = self.layout.container(&id);
            let started = record::read::<StartedRecord>(&files.started())?;
            if let Some(container) = self.state().containers.get_mut(&id) {
                container.started = started;
            }
        }
        Ok(())
    }

    /// A shim has gone, and its containers with it: the kernel kills them when their parent dies.
    pub(super) fn shim_lost(&self, sandbox_id: &str) -> Result<(), RuntimeError> {
        let (sandbox, running) = {
            let mut state = self.state();
            let running: Vec<ContainerRecord> = state
                .containers_of(sandbox_id)
                .filter(|container| container.state() == ContainerState::ContainerRunning)
                .map(|container| container.record.clone())
                .collect();
            let Some(sandbox) = state.sandboxes.get_mut(sandbox_id) else {
                return Ok(());
            };
            if sandbox.shim.as_ref().is_some_and(|shim| !shim.is_lost()) {
                // One before this one went, which was noted when it was replaced.
                return Ok(());
            }
            sandbox.shim = None;
            (sandbox.record.clone(), running)
        };
        for container in running {
            let files = self.layout.container(&container.id);
            if record::read::<ExitedRecord>(&files.exited())?.is_none() {
                // Descendants that left the first process's own PID namespace, or never had one, are killed here.
                self.kill_cgroup(&sandbox, &container.id);
            }
            self.container_ended(&container.id, self.lost_record())?;
        }
        Ok(())
    }

    fn lost_record(&self) -> ExitedRecord {
        ExitedRecord {
            code: LOST_CODE,
            finished_at: self.now(),
            message: "the shim that held the container was killed, and the container with it".to_owned(),
            ..ExitedRecord::default()
        }
    }
}

fn entries(directory: &std::path::Path) -> Result<Vec<std::path::PathBuf>, RuntimeError> {
    let failed = |source| RuntimeError::Directory {
        path: directory.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    Ok(paths)
}

/// A record that is whole; another is left where it is, for somebody to look at.
fn readable<R: prost::Message + Default>(path: &std::path::Path) -> Option<R> {
    if path.extension().is_some_and(|extension| extension != "pb") {
        return None;
    }
    record::read(path).unwrap_or_else(|error| {
        tracing::error!(error = %supervision::error_chain(&error), "a record cannot be read");
        None
    })
}
