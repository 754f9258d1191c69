//! What the scheduler counts, under upstream's `scheduler_*` names.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds: a decision takes well under a millisecond, a pod may wait for minutes.
const BOUNDS: [f64; 9] = [1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1, 1.0, 10.0];

/// How an attempt ended: `scheduled`, `unschedulable` or `error`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// The outcome's name.
    pub result: &'static str,
}

/// The part of the queue: `active`, `backoff`, `unschedulable` or `gated`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Part {
    /// The part's name.
    pub queue: &'static str,
}

/// Numbers about one scheduler.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Decisions by how they ended.
    pub attempts: Family<Outcome, Counter>,
    /// Pods that wait, by part of the queue.
    pub pending: Family<Part, Gauge>,
    /// Seconds that one decision took.
    pub decision_duration: Histogram,
    /// Seconds from a pod's arrival in the queue to its binding, waits included.
    pub pod_duration: Histogram,
    /// Pods that were ended for others' sake.
    pub victims: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            pending: Family::default(),
            decision_duration: Histogram::new(BOUNDS),
            pod_duration: Histogram::new(BOUNDS),
            victims: Counter::default(),
        }
    }
}

impl Metrics {
    /// Adds the numbers to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("scheduler");
        registry.register(
            "schedule_attempts",
            "Attempts to schedule pods, by result",
            self.attempts.clone(),
        );
        registry.register("pending_pods", "Pending pods, by queue", self.pending.clone());
        let help = "Seconds that one decision took";
        registry.register(
            "scheduling_attempt_duration_seconds",
            help,
            self.decision_duration.clone(),
        );
        let help = "Seconds from a pod's arrival to its binding";
        registry.register("pod_scheduling_sli_duration_seconds", help, self.pod_duration.clone());
        registry.register(
            "preemption_victims",
            "Pods ended for others' sake",
            self.victims.clone(),
        );
    }

    pub(crate) fn count(&self, result: &'static str) {
        self.attempts.get_or_create(&Outcome { result }).inc();
    }
}
