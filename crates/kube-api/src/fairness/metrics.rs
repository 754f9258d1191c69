//! What upstream counts of priority and fairness, under its names.

use std::time::Duration;

use flow_control::levels::Limits;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds, a part of upstream's.
const WAITS: [f64; 7] = [0.0, 0.005, 0.05, 0.2, 1.0, 5.0, 15.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLevel {
    priority_level: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFlow {
    priority_level: String,
    flow_schema: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRefusal {
    priority_level: String,
    flow_schema: String,
    reason: String,
}

/// The counters; clones are the same.
#[derive(Clone)]
pub(super) struct FlowMetrics {
    rejected: Family<OfRefusal, Counter>,
    dispatched: Family<OfFlow, Counter>,
    waits: Family<OfFlow, Histogram>,
    nominal: Family<OfLevel, Gauge>,
    least: Family<OfLevel, Gauge>,
    most: Family<OfLevel, Gauge>,
    current: Family<OfLevel, Gauge>,
    demand: Family<OfLevel, Gauge>,
}

impl Default for FlowMetrics {
    fn default() -> Self {
        Self {
            rejected: Family::default(),
            dispatched: Family::default(),
            waits: Family::new_with_constructor(|| Histogram::new(WAITS)),
            nominal: Family::default(),
            least: Family::default(),
            most: Family::default(),
            current: Family::default(),
            demand: Family::default(),
        }
    }
}

fn level(name: &str) -> OfLevel {
    OfLevel {
        priority_level: name.to_owned(),
    }
}

fn flow(level: &str, schema: &str) -> OfFlow {
    OfFlow {
        priority_level: level.to_owned(),
        flow_schema: schema.to_owned(),
    }
}

impl FlowMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("apiserver_flowcontrol");
        registry.register("rejected_requests", "Requests refused", self.rejected.clone());
        registry.register(
            "dispatched_requests",
            "Requests that began to run",
            self.dispatched.clone(),
        );
        let help = "Time that requests spent in queues";
        registry.register("request_wait_duration_seconds", help, self.waits.clone());
        registry.register("nominal_limit_seats", "Seats by shares", self.nominal.clone());
        registry.register("lower_limit_seats", "Seats kept when others borrow", self.least.clone());
        registry.register("upper_limit_seats", "Seats when borrowing", self.most.clone());
        registry.register("current_limit_seats", "Seats now", self.current.clone());
        let help = "Seats wanted at most in the last period";
        registry.register("demand_seats_high_watermark", help, self.demand.clone());
    }

    pub fn rejected(&self, level: &str, schema: &str, reason: &str) {
        let labels = OfRefusal {
            priority_level: level.to_owned(),
            flow_schema: schema.to_owned(),
            reason: reason.to_owned(),
        };
        self.rejected.get_or_create(&labels).inc();
    }

    pub fn dispatched(&self, level: &str, schema: &str) {
        self.dispatched.get_or_create(&flow(level, schema)).inc();
    }

    pub fn waited(&self, level: &str, schema: &str, time: Duration) {
        self.waits
            .get_or_create(&flow(level, schema))
            .observe(time.as_secs_f64());
    }

    pub fn limits(&self, name: &str, limits: Limits) {
        self.nominal.get_or_create(&level(name)).set(i64::from(limits.nominal));
        self.least.get_or_create(&level(name)).set(i64::from(limits.least));
        self.most.get_or_create(&level(name)).set(i64::from(limits.most));
        self.current.get_or_create(&level(name)).set(i64::from(limits.nominal));
    }

    /// What a period has led to.
    pub fn adjusted(&self, name: &str, seats: u32, high: f64) {
        self.current.get_or_create(&level(name)).set(i64::from(seats));
        self.demand.get_or_create(&level(name)).set(high as i64);
    }
}
