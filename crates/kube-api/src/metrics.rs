//! Counts and durations of requests under upstream's metric names.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::request_info::RequestInfo;

/// Upper bounds in seconds: a part of upstream's, which has 18, since each costs memory for every resource and verb.
const BUCKETS: [f64; 9] = [0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: String,
    dry_run: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: String,
    component: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    dry_run: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: String,
    component: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    request_kind: String,
}

/// The metrics of one API server.
pub(crate) struct Metrics {
    registry: Registry,
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
    pub(crate) fn new() -> Self {
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
        Self {
            registry,
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
        let of = DurationLabels {
            verb: if info.is_resource {
                info.verb.to_uppercase()
            } else {
                info.verb.clone()
            },
            dry_run,
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
        let reads = matches!(info.verb.as_str(), "get" | "list" | "watch");
        let kind = KindLabels {
            request_kind: if reads { "readOnly" } else { "mutating" }.to_owned(),
        };
        self.running.get_or_create(&kind).inc();
        Labels {
            of,
            kind,
            long_running: info.is_long_running(),
        }
    }

    pub(crate) fn end(&self, labels: Labels, code: StatusCode, took: Duration) {
        self.running.get_or_create(&labels.kind).dec();
        // Names that clients make up would grow the table without end.
        if code == StatusCode::NOT_FOUND && labels.of.scope != "resource" {
            return;
        }
        if !labels.long_running {
            self.durations.get_or_create(&labels.of).observe(took.as_secs_f64());
        }
        let of = labels.of;
        let counted = RequestLabels {
            verb: of.verb,
            dry_run: of.dry_run,
            group: of.group,
            version: of.version,
            resource: of.resource,
            subresource: of.subresource,
            scope: of.scope,
            component: of.component,
            code: code.as_u16().to_string(),
        };
        self.requests.get_or_create(&counted).inc();
    }

    /// All metrics as OpenMetrics text.
    pub(crate) fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn first_part(path: &str) -> String {
    match path.split('/').nth(1).unwrap_or_default() {
        known @ ("healthz" | "livez" | "readyz" | "version" | "metrics" | "openapi" | "api" | "apis") => {
            format!("/{known}")
        }
        _ => String::new(),
    }
}
