//! The queue of unscheduled pods, and binding.
//!
//! **Invariant:** a pod is decided upon only when something happened that may have changed the decision.
//!
//! Where a pod goes is decided by the crate `scheduling`; this one knows which pods wait, believes in its own decisions
//! before the API server has confirmed them, and tells pods why they wait.
#![forbid(unsafe_code)]

mod actions;
mod decisions;
mod explain;
mod metrics;
mod queue;
mod state;

use std::sync::Arc;

use clock::{Clock, Random};
use kube::Client;
use kube_types::ObjectKey;
use reconcile_loop::{ComponentLog, Observer, Recorder};
use supervision::Supervisor;
use tokio::time::Instant;

use crate::actions::Actions;
use crate::decisions::Decider;
pub use crate::explain::Explanation;
pub use crate::metrics::Metrics;
use crate::state::Cluster;
pub use crate::state::KINDS;

/// The scheduler's name: pods with another `spec.schedulerName` are somebody else's.
pub const NAME: &str = "default-scheduler";

/// What the scheduler of one cluster is made of.
pub struct Options {
    /// Writes with the scheduler's identity.
    pub client: Client,
    /// The view of the cluster. Not started yet, so that the scheduler misses nothing; see [`KINDS`].
    pub observer: Arc<Observer>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness. Not used yet: choices among equals follow from the snapshot.
    pub random: Arc<dyn Random>,
    /// Names, watches and ends the tasks.
    pub supervisor: Supervisor,
    /// Hears what is decided.
    pub log: ComponentLog,
}

/// The running scheduler of one cluster. Its tasks live in the supervisor; dropping this ends nothing.
pub struct Scheduler {
    /// What it counts.
    pub metrics: Metrics,
    cluster: Arc<Cluster>,
}

/// Starts the scheduler of a cluster; it waits until the observer has listed [`KINDS`]. Must be called within a tokio runtime.
pub fn start(options: Options) -> Scheduler {
    let scope = options.supervisor.child("scheduler");
    let metrics = Metrics::default();
    let recorder = Recorder::start(options.client.clone(), Arc::clone(&options.clock), &scope);
    let observer = options.observer;
    let cluster = Arc::new(Cluster::default());
    observer.listen(Arc::clone(&cluster) as _);
    let actions = Actions::new(options.client, recorder, options.clock, options.log);
    let decider = Decider::new(Arc::clone(&cluster), actions, metrics.clone(), scope.child("bindings"));
    scope.spawn_until_cancelled("decisions", async move {
        // A decision from half a view would put pods where others are already.
        observer.synced(KINDS).await;
        decider.run().await;
    });
    Scheduler { metrics, cluster }
}

impl Scheduler {
    /// What would be decided now about the pod with this key, if it waits for a node.
    pub fn explain(&self, pod: &ObjectKey) -> Option<Explanation> {
        self.cluster.state().explain(pod, Instant::now())
    }
}

#[cfg(test)]
mod tests;
