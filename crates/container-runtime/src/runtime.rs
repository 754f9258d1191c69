//! The runtime itself: what it knows, what it keeps, and how it finds everything again.
//!
//! All of a sandbox's changes take turns; different sandboxes change at the same time.

mod container;
mod error;
mod exec;
mod recover;
mod sandbox;
mod state;
mod stats;
mod view;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use cri_api::v1;
use tokio::sync::{broadcast, mpsc};

use crate::cgroup::Cgroups;
use crate::config::{Config, Parts};
use crate::layout::Layout;
use crate::record::ExitedRecord;
use crate::shim_client::ShimEvent;
pub use error::RuntimeError;
use state::State;

/// Events that a slow listener may be behind; more, and its stream ends, so that it lists anew.
const EVENTS_KEPT: usize = 512;
/// Hexadecimal digits of an identifier, halved.
const ID_BYTES: usize = 32;

/// A machine's container runtime.
pub struct Runtime {
    config: Config,
    parts: Parts,
    layout: Layout,
    cgroups: Cgroups,
    user_namespace: bool,
    state: Mutex<State>,
    events: broadcast::Sender<v1::ContainerEventResponse>,
    shim_events: mpsc::UnboundedSender<ShimEvent>,
}

impl Runtime {
    /// Opens the directories and finds what runs; what was half done is undone.
    pub async fn open(config: Config, parts: Parts) -> Result<Arc<Self>, RuntimeError> {
        let layout = Layout::new(&config.root_dir, &config.run_dir);
        for directory in [layout.sandboxes(), layout.containers(), config.run_dir.clone()] {
            fs::create_dir_all(&directory).map_err(|source| RuntimeError::Directory {
                path: directory,
                source,
            })?;
        }
        let cgroups = config
            .cgroup_parent
            .as_deref()
            .map_or_else(Cgroups::none, Cgroups::below);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (shim_events, told) = mpsc::unbounded_channel();
        let runtime = Arc::new(Self {
            layout,
            cgroups,
            user_namespace: in_user_namespace(),
            state: Mutex::default(),
            events,
            shim_events,
            config,
            parts,
        });
        runtime.recover().await?;
        let follower = Arc::clone(&runtime);
        runtime
            .parts
            .supervisor
            .spawn("shim events", async move { follower.follow_shims(told).await });
        Ok(runtime)
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its neighbours.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Where its things lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// `v1`, `v2` or `none`.
    pub fn cgroup_mode(&self) -> &'static str {
        self.cgroups.mode()
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<v1::ContainerEventResponse> {
        self.events.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Nanoseconds since 1970.
    pub fn now(&self) -> i64 {
        i64::try_from(self.parts.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    fn new_id(&self) -> String {
        let mut bytes = [0u8; ID_BYTES];
        self.parts.random.bytes(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Tells all listeners; `id` is a container's or a sandbox's.
    fn emit(&self, kind: v1::ContainerEventType, id: &str, sandbox_id: &str) {
        let event = {
            let state = self.state();
            v1::ContainerEventResponse {
                container_id: id.to_owned(),
                container_event_type: kind as i32,
                created_at: self.now(),
                pod_sandbox_status: state.sandboxes.get(sandbox_id).map(view::sandbox_status),
                containers_statuses: state.containers_of(sandbox_id).map(view::container_status).collect(),
            }
        };
        // Nobody listening is no fault.
        drop(self.events.send(event));
    }

    async fn follow_shims(&self, mut told: mpsc::UnboundedReceiver<ShimEvent>) {
        while let Some(event) = told.recv().await {
            let result = match event {
                ShimEvent::ContainerEnded { container_id, code } => {
                    let unwritten = ExitedRecord {
                        code,
                        finished_at: self.now(),
                        ..ExitedRecord::default()
                    };
                    self.container_ended(&container_id, unwritten)
                }
                ShimEvent::Lost { sandbox_id } => self.shim_lost(&sandbox_id),
            };
            if let Err(error) = result {
                tracing::error!(error = %supervision::error_chain(&error), "cannot take note of what a shim told");
            }
        }
    }
}

/// Whether this process is root of a user namespace rather than of the computer.
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Whether containers can have their writable layers in `directory`; the error says what the kernel thinks. Call it before a runtime is opened
/// to tell the user early.
pub fn check_state_directory(directory: &Path) -> Result<(), RuntimeError> {
    let unusable = |source| RuntimeError::NoOverlay {
        path: directory.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(unusable)?;
    std::thread::scope(|scope| {
        scope
            .spawn(|| crate::launch::check_overlay_apart(directory, in_user_namespace()))
            .join()
    })
    .map_err(|_panic| unusable(std::io::Error::other("the thread that tried it panicked")))?
    .map_err(unusable)
}
