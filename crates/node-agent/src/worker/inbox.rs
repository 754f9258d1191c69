//! What a worker is told: the API's view of its pod, events, probe results; the newest counts, nothing waits.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use pod_lifecycle::probe::Kind as Probe;
use pod_lifecycle::spec;
use supervision::CancellationToken;
use tokio::sync::Notify;

/// What a worker is told, from anywhere, without waiting.
pub(crate) struct Inbox {
    state: Mutex<State>,
    pub(super) wake: Notify,
    /// Cancelled when the pod shall end: stops pulls and hooks that are under way.
    pub(super) stopping: CancellationToken,
}

pub(super) struct State {
    pub(super) pod: Arc<Pod>,
    pub(super) status: Option<PodStatus>,
    pub(super) gone: bool,
    pub(super) objects_changed: bool,
    pub(super) results: Vec<(String, Probe, bool)>,
}

impl Inbox {
    pub(crate) fn new(pod: Pod) -> Arc<Self> {
        let state = State {
            pod: Arc::new(pod),
            status: None,
            gone: false,
            objects_changed: false,
            results: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            stopping: CancellationToken::new(),
        })
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API's newest view of the pod.
    pub(crate) fn update(&self, pod: Pod) {
        let ending = spec::is_deleting(&pod);
        self.state().pod = Arc::new(pod);
        if ending {
            self.stopping.cancel();
        }
        self.wake.notify_one();
    }

    /// The pod is no longer in the API, or no longer this node's.
    pub(crate) fn gone(&self) {
        self.state().gone = true;
        self.stopping.cancel();
        self.wake.notify_one();
    }

    /// Something happened in the runtime.
    pub(crate) fn look(&self) {
        self.wake.notify_one();
    }

    /// A ConfigMap or Secret of the pod changed.
    pub(crate) fn objects_changed(&self) {
        self.state().objects_changed = true;
        self.wake.notify_one();
    }

    /// A probe's result changed.
    pub(crate) fn probed(&self, container_id: &str, probe: Probe, result: bool) {
        self.state().results.push((container_id.to_owned(), probe, result));
        self.wake.notify_one();
    }

    /// The pod as the API showed it last.
    pub(crate) fn seen(&self) -> Arc<Pod> {
        Arc::clone(&self.state().pod)
    }

    /// The pod with the agent's own status of it.
    pub(crate) fn current(&self) -> Arc<Pod> {
        let state = self.state();
        match &state.status {
            Some(status) => Arc::new(Pod {
                status: Some(status.clone()),
                ..Pod::clone(&state.pod)
            }),
            None => Arc::clone(&state.pod),
        }
    }
}
