//! What the loop counts, under upstream's `workqueue_*` names.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds: upstream's decades from 10 ns to 10 s, those that occur.
const BOUNDS: [f64; 7] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// The queue a number belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Queue {
    /// Name of the controller.
    pub name: String,
}

impl Queue {
    pub(crate) fn of(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

/// Numbers about every work queue.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Keys that wait.
    pub depth: Family<Queue, Gauge>,
    /// Keys added.
    pub adds: Family<Queue, Counter>,
    /// Keys added again after a failure.
    pub retries: Family<Queue, Counter>,
    /// Seconds that keys waited.
    pub queue_duration: Family<Queue, Histogram>,
    /// Seconds from taking a key to being done with it.
    pub work_duration: Family<Queue, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram = || Histogram::new(BOUNDS);
        Self {
            depth: Family::default(),
            adds: Family::default(),
            retries: Family::default(),
            queue_duration: Family::new_with_constructor(histogram),
            work_duration: Family::new_with_constructor(histogram),
        }
    }
}

impl Metrics {
    /// Makes the numbers part of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("workqueue_depth", "Current depth of workqueue", self.depth.clone());
        registry.register(
            "workqueue_adds",
            "Total number of adds handled by workqueue",
            self.adds.clone(),
        );
        registry.register(
            "workqueue_retries",
            "Total number of retries handled by workqueue",
            self.retries.clone(),
        );
        registry.register(
            "workqueue_queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested",
            self.queue_duration.clone(),
        );
        registry.register(
            "workqueue_work_duration_seconds",
            "How long in seconds processing an item from workqueue takes",
            self.work_duration.clone(),
        );
    }
}
