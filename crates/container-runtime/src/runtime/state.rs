//! What the runtime knows of its sandboxes and containers; a picture of the records on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use cri_api::v1;
use tokio::sync::watch;

use super::RuntimeError;
use crate::record::{ContainerRecord, ExitedRecord, SandboxRecord, StartedRecord};
use crate::shim_client::ShimClient;

/// Everything.
#[derive(Default)]
pub struct State {
    /// By identifier.
    pub sandboxes: BTreeMap<String, Sandbox>,
    /// By identifier.
    pub containers: BTreeMap<String, Container>,
}

/// A pod sandbox.
pub struct Sandbox {
    /// As on disk.
    pub record: SandboxRecord,
    /// Whether its namespaces are held.
    pub alive: bool,
    /// Its shim, while one is connected.
    pub shim: Option<Arc<ShimClient>>,
    /// Held by whoever changes it.
    pub turn: Arc<tokio::sync::Mutex<()>>,
}

impl Sandbox {
    /// As read or just written.
    pub fn new(record: SandboxRecord, alive: bool) -> Self {
        Self {
            record,
            alive,
            shim: None,
            turn: Arc::default(),
        }
    }

    /// What was asked for.
    pub fn config(&self) -> v1::PodSandboxConfig {
        self.record.config.clone().unwrap_or_default()
    }

    /// Ready or not.
    pub fn state(&self) -> v1::PodSandboxState {
        if self.record.ready && !self.record.stopped && self.alive {
            v1::PodSandboxState::SandboxReady
        } else {
            v1::PodSandboxState::SandboxNotready
        }
    }
}

/// A container.
pub struct Container {
    /// As on disk.
    pub record: ContainerRecord,
    /// Set once its first process ran.
    pub started: Option<StartedRecord>,
    /// Set once it ended.
    pub exited: Option<ExitedRecord>,
    /// Turns true when it ended.
    pub ended: watch::Sender<bool>,
}

impl Container {
    /// As read or just written.
    pub fn new(record: ContainerRecord, started: Option<StartedRecord>, exited: Option<ExitedRecord>) -> Self {
        let ended = watch::Sender::new(exited.is_some());
        Self {
            record,
            started,
            exited,
            ended,
        }
    }

    /// Where it is in its life.
    pub fn state(&self) -> v1::ContainerState {
        match (&self.started, &self.exited) {
            (_, Some(_)) => v1::ContainerState::ContainerExited,
            (Some(_), None) => v1::ContainerState::ContainerRunning,
            (None, None) => v1::ContainerState::ContainerCreated,
        }
    }

    /// What was asked for.
    pub fn config(&self) -> v1::ContainerConfig {
        self.record.config.clone().unwrap_or_default()
    }

    /// Takes note of its end.
    pub fn set_exited(&mut self, exited: ExitedRecord) {
        self.exited = Some(exited);
        self.ended.send_replace(true);
    }

    /// An error unless it runs.
    pub fn expect_running(&self) -> Result<(), RuntimeError> {
        match self.state() {
            v1::ContainerState::ContainerRunning => Ok(()),
            other => Err(RuntimeError::WrongState {
                id: self.record.id.clone(),
                state: other.as_str_name(),
            }),
        }
    }
}

/// The only entry whose identifier begins so; people type prefixes.
fn find<'a, T>(entries: &'a BTreeMap<String, T>, kind: &'static str, id: &str) -> Result<&'a String, RuntimeError> {
    let missing = || RuntimeError::NotFound {
        kind,
        id: id.to_owned(),
    };
    if id.is_empty() {
        return Err(missing());
    }
    let mut matches = entries
        .range(id.to_owned()..)
        .map(|(known, _)| known)
        .take_while(|known| known.starts_with(id));
    match (matches.next(), matches.next()) {
        (Some(known), another) if another.is_none() || known == id => Ok(known),
        _ => Err(missing()),
    }
}

impl State {
    /// A sandbox by identifier or prefix.
    pub fn sandbox(&self, id: &str) -> Result<&Sandbox, RuntimeError> {
        find(&self.sandboxes, "pod sandbox", id).map(|id| &self.sandboxes[id])
    }

    /// A container by identifier or prefix.
    pub fn container(&self, id: &str) -> Result<&Container, RuntimeError> {
        find(&self.containers, "container", id).map(|id| &self.containers[id])
    }

    /// The containers of a sandbox.
    pub fn containers_of<'a>(&'a self, sandbox_id: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers
            .values()
            .filter(move |container| container.record.sandbox_id == sandbox_id)
    }
}
