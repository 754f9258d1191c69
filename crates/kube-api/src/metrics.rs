//! Counts and durations of requests under upstream's metric names, and what else there is to count of an API server.

mod components;
mod process;
mod running;

use std::time::Duration;

use axum::body::Body;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use supervision::exposition::{self, Format};

pub(crate) use self::components::Components;
use self::running::Running;
use crate::api::KubeApi;
use crate::held_body::HeldBody;
use crate::request_info::RequestInfo;
use crate::respond::Answer;

/// Upper bounds in seconds: a part of upstream's, which has 18, since each costs memory for every resource and verb.
const BUCKETS: [f64; 9] = [0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What requests are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AboutLabels {
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: String,
    component: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: String,
    dry_run: String,
    #[prometheus(flatten)]
    about: AboutLabels,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    #[prometheus(flatten)]
    of: DurationLabels,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    request_kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LongLabels {
    verb: String,
    #[prometheus(flatten)]
    about: AboutLabels,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    operation: String,
    r#type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    resource: String,
}

/// The metrics of one API server.
pub(crate) struct Metrics {
    registry: Registry,
    audit_events: Counter,
    objects: Family<ResourceLabels, Gauge>,
    store: Family<StoreLabels, Histogram>,
    long_running: Family<LongLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram>,
    running: Family<KindLabels, Gauge>,
}

/// What a request is counted under, from its beginning to its end.
pub(crate) struct Labels {
    of: DurationLabels,
    kind: KindLabels,
    long_running: bool,
}

impl Metrics {
    /// `others` register what they count themselves.
    pub(crate) fn new(others: impl FnOnce(&mut Registry)) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let durations = Family::<DurationLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let running = Family::<KindLabels, Gauge>::default();
        let mut registry = Registry::default();
        let help = "Counter of apiserver requests by verb, dry run, group, version, resource, scope and code";
        registry.register("apiserver_request", help, requests.clone());
        let help = "Time from a request's arrival to its answer, without long-running requests";
        registry.register("apiserver_request_duration_seconds", help, durations.clone());
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests being answered now",
            running.clone(),
        );
        let long_running = Family::<LongLabels, Gauge>::default();
        let help = "Requests that last: watches, logs, connections";
        registry.register("apiserver_longrunning_requests", help, long_running.clone());
        let audit_events = Counter::default();
        registry.register("apiserver_audit_event", "Events in the audit log", audit_events.clone());
        let objects = Family::<ResourceLabels, Gauge>::default();
        registry.register(
            "apiserver_storage_objects",
            "Stored objects by resource",
            objects.clone(),
        );
        let store = Family::<StoreLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let help = "Time that the store took for a write, whatever store it is";
        registry.register("etcd_request_duration_seconds", help, store.clone());
        others(&mut registry);
        Self {
            registry,
            audit_events,
            objects,
            store,
            long_running,
            requests,
            durations,
            running,
        }
    }

    pub(crate) fn begin(&self, info: &RequestInfo, query: &[(String, String)]) -> Labels {
        let dry_run = query
            .iter()
            .find(|(key, _)| key == "dryRun")
            .map(|(_, value)| value.clone())
            .unwrap_or_default();
        let known = |text: &str| {
            if info.is_resource {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let about = AboutLabels {
            group: known(&info.group),
            version: known(&info.version),
            resource: known(&info.resource),
            subresource: if info.is_resource {
                info.subresource.clone()
            } else {
                first_part(&info.path)
            },
            scope: info.scope().to_owned(),
            component: "apiserver".to_owned(),
        };
        let of = DurationLabels {
            verb: if info.is_resource {
                info.verb.to_uppercase()
            } else {
                info.verb.clone()
            },
            dry_run,
            about,
        };
        let reads = matches!(info.verb.as_str(), "get" | "list" | "watch");
        let kind = KindLabels {
            request_kind: if reads { "readOnly" } else { "mutating" }.to_owned(),
        };
        if !info.is_long_running() {
            self.running.get_or_create(&kind).inc();
        }
        Labels {
            of,
            kind,
            long_running: info.is_long_running(),
        }
    }

    /// Counts a request whose answer is there. One that lasts is counted as running until its body is over.
    pub(crate) fn end(&self, labels: Labels, answer: Answer, took: Duration) -> Answer {
        let code = answer.status();
        if !labels.long_running {
            self.running.get_or_create(&labels.kind).dec();
            self.count(labels, code, took);
            return answer;
        }
        let lasting = self.long_running.get_or_create_owned(&labels.lasting());
        self.count(labels, code, took);
        let (parts, body) = answer.into_parts();
        Answer::from_parts(parts, Body::new(HeldBody::new(body, Running::new(lasting))))
    }

    fn count(&self, labels: Labels, code: StatusCode, took: Duration) {
        // Names that clients make up would grow the table without end.
        if code == StatusCode::NOT_FOUND && labels.of.about.scope != "resource" {
            return;
        }
        if !labels.long_running {
            self.durations.get_or_create(&labels.of).observe(took.as_secs_f64());
        }
        let counted = RequestLabels {
            of: labels.of,
            code: code.as_u16().to_string(),
        };
        self.requests.get_or_create(&counted).inc();
    }

    /// Observes the writes to a store.
    pub(crate) fn store_observer(&self) -> registry::StoreObserver {
        let store = self.store.clone();
        Box::new(move |operation, plural, took| {
            let labels = StoreLabels {
                operation: operation.to_owned(),
                r#type: plural.to_owned(),
            };
            store.get_or_create(&labels).observe(took.as_secs_f64());
        })
    }

    /// All metrics as text.
    pub(crate) fn encode(&self, api: &KubeApi, format: Format) -> Result<String, std::fmt::Error> {
        for (group, plural, count) in api.registry().object_counts() {
            let resource = if group.is_empty() {
                plural
            } else {
                format!("{plural}.{group}")
            };
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.objects.get_or_create(&ResourceLabels { resource }).set(count);
        }
        if let Some(log) = &api.0.audit {
            let known = self.audit_events.get();
            self.audit_events.inc_by(log.written().saturating_sub(known));
        }
        exposition::write(&self.registry, &process::text(), format)
    }
}

impl Labels {
    fn lasting(&self) -> LongLabels {
        LongLabels {
            verb: self.of.verb.clone(),
            about: self.of.about.clone(),
        }
    }
}

/// The form that a client asks for.
pub(crate) fn format_for(headers: &HeaderMap) -> Format {
    let values = headers.get_all(ACCEPT).iter();
    Format::accepted(values.filter_map(|value| value.to_str().ok()))
}

fn first_part(path: &str) -> String {
    match path.split('/').nth(1).unwrap_or_default() {
        known @ ("healthz" | "livez" | "readyz" | "version" | "metrics" | "openapi" | "api" | "apis") => {
            format!("/{known}")
        }
        _ => String::new(),
    }
}
