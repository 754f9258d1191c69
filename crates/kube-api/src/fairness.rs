//! Priority and fairness at work: every request is classified, takes seats of its priority level, and waits in a queue
//! while there are none. What follows from what is in `flow-control`; here are the locks, the waiting and the objects.
//!
//! Source: `apiserver/pkg/util/flowcontrol`, `server/filters/priority-and-fairness.go`.

mod dump;
mod keep;
mod level;
mod metrics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use access_rules::User;
use arc_swap::ArcSwap;
use flow_control::classify::{Request, Resource, Schemas};
use flow_control::levels::{self, Level};
use flow_control::{bootstrap, width};
use http::{HeaderMap, HeaderValue, StatusCode};
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use kube_types::GroupVersionResource;

pub(crate) use dump::answer as dump;
pub(crate) use keep::start;
use level::{Entry, Refused, Seat};
use metrics::FlowMetrics;

use crate::api::KubeApi;
use crate::limits;
use crate::request_info::RequestInfo;
use crate::respond::{self, Answer};

/// Upstream's `--max-requests-inflight` and `--max-mutating-requests-inflight` together.
const SEATS: u32 = 600;

/// The levels and schemas of one API server, and what runs and waits in them.
pub(crate) struct Fairness {
    began: Instant,
    settings: ArcSwap<Settings>,
    metrics: FlowMetrics,
}

/// What is configured.
struct Settings {
    schemas: Schemas,
    levels: BTreeMap<String, Arc<Entry>>,
}

/// A request that may run. Its seats are free again when this is dropped.
pub(crate) struct Pass {
    schema_uid: String,
    level_uid: String,
    _seat: Option<Seat>,
}

impl Pass {
    /// Says by which schema and level the request was taken.
    pub fn mark(&self, headers: &mut HeaderMap) {
        for (name, uid) in [
            ("x-kubernetes-pf-flowschema-uid", &self.schema_uid),
            ("x-kubernetes-pf-prioritylevel-uid", &self.level_uid),
        ] {
            if let Ok(value) = HeaderValue::from_str(uid) {
                headers.insert(name, value);
            }
        }
    }
}

impl Fairness {
    /// With the objects that every cluster has, until its own are read.
    pub fn new() -> Self {
        let fairness = Self {
            began: Instant::now(),
            settings: ArcSwap::from_pointee(Settings {
                schemas: Schemas::default(),
                levels: BTreeMap::new(),
            }),
            metrics: FlowMetrics::default(),
        };
        fairness.configure(&bootstrap::schemas(), &bootstrap::levels());
        fairness
    }

    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        self.metrics.register(registry);
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Takes other schemas and levels. Levels that are as they were go on; requests in others end where they are.
    fn configure(&self, schemas: &[FlowSchema], configurations: &[PriorityLevelConfiguration]) {
        let old = self.settings.load_full();
        let read: Vec<Level> = configurations.iter().filter_map(Level::read).collect();
        let limits = levels::limits(&read, SEATS);
        let mut entries = BTreeMap::new();
        for (level, limits) in read.into_iter().zip(limits) {
            let known = old.levels.get(&level.name);
            let entry = match known.filter(|entry| entry.level == level && entry.limits == limits) {
                Some(entry) => entry.clone(),
                None => Arc::new(Entry::new(level, limits, self.now())),
            };
            self.metrics.limits(&entry.level.name, entry.limits);
            entries.insert(entry.level.name.clone(), entry);
        }
        let schemas = Schemas::new(schemas, |level| entries.contains_key(level));
        let levels = entries;
        self.settings.store(Arc::new(Settings { schemas, levels }));
    }

    /// Lets a request in, at once or after a time in a queue; a refusal is the answer to it. `None` for requests that
    /// are not subject to this: streams that last, and those that no schema names.
    pub async fn enter(
        &self,
        api: &KubeApi,
        user: &User,
        info: &RequestInfo,
        query: &[(String, String)],
    ) -> Result<Option<Pass>, Answer> {
        if info.is_long_running() && info.verb != "watch" {
            return Ok(None);
        }
        let settings = self.settings.load_full();
        let Some(flow) = settings.schemas.classify(&request(user, info)) else {
            return Ok(None);
        };
        let Some(entry) = settings.levels.get(flow.level) else {
            return Ok(None);
        };
        let mut pass = Pass {
            schema_uid: flow.schema_uid.to_owned(),
            level_uid: entry.level.uid.clone(),
            _seat: None,
        };
        if entry.level.exempt {
            self.metrics.dispatched(flow.level, flow.schema);
            return Ok(Some(pass));
        }
        let seats = width_of(api, info, query, entry.level.widest(entry.limits.nominal));
        let labels = (flow.level, flow.schema);
        let (arrived, limit) = (Instant::now(), limits::longest_wait(info, query));
        match entry
            .clone()
            .enter(self.began, flow.hash, seats, flow.schema, &user.name, limit)
            .await
        {
            Ok(seat) => {
                self.metrics.dispatched(labels.0, labels.1);
                self.metrics.waited(labels.0, labels.1, arrived.elapsed());
                pass._seat = Some(seat);
                Ok(Some(pass))
            }
            Err(Refused(reason)) => {
                self.metrics.rejected(labels.0, labels.1, reason);
                let mut answer = too_many();
                pass.mark(answer.headers_mut());
                Err(answer)
            }
        }
    }
}

/// Upstream's answer, in plain text.
fn too_many() -> Answer {
    let mut answer = respond::text(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many requests, please try again later.\n",
    );
    answer
        .headers_mut()
        .insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn request<'a>(user: &'a User, info: &'a RequestInfo) -> Request<'a> {
    let resource = info.is_resource.then(|| Resource {
        group: &info.group,
        name: &info.resource,
        subresource: &info.subresource,
        namespace: &info.namespace,
    });
    Request {
        user: &user.name,
        groups: &user.groups,
        verb: &info.verb,
        resource,
        path: &info.path,
    }
}

/// How many seats a request takes: lists, and watches that begin with one, by what they show.
fn width_of(api: &KubeApi, info: &RequestInfo, query: &[(String, String)], most: u32) -> u32 {
    let parameter = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let lists = match info.verb.as_str() {
        "list" => true,
        "watch" => parameter("sendInitialEvents").is_some_and(|value| value == "true" || value == "1"),
        _ => false,
    };
    if !lists {
        return 1;
    }
    let gvr = GroupVersionResource::new(info.group.clone(), info.version.clone(), info.resource.clone());
    let Some(stored) = api.0.registry.stored(&gvr) else {
        return 1;
    };
    let list = width::List {
        stored: stored as u64,
        limit: parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(0),
        single: info.selected,
        cached: parameter("continue").is_none(),
        selects: parameter("labelSelector").or(parameter("fieldSelector")).is_some(),
    };
    width::list(&list, most)
}

#[cfg(test)]
mod tests;
