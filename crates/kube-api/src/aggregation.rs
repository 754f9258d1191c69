//! API aggregation: groups and versions that a Service of the cluster answers, as APIServices declare them.
//!
//! Requests are authenticated and authorized here and then sent on to the service's endpoints with the front proxy's
//! certificate and the user in headers ([`proxy`]). [`check`] keeps asking each such server whether it is there, and what
//! it serves; [`local`] keeps the APIServices of what this server answers itself. Source: `kube-aggregator`.

mod check;
mod connection;
mod documents;
mod judge;
pub(crate) mod local;
mod proxy;
#[cfg(test)]
mod tests;
mod trusted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access_rules::User;
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kube_types::dynamic::{Object, Value};
use registry::{Context, StatusError};
use supervision::Restart;
use tokio::sync::Notify;

pub(crate) use documents::Documents;
pub(crate) use proxy::{answer, fetch};

use crate::api::KubeApi;
use crate::trust::Trust;

const GROUP: &str = "apiregistration.k8s.io";
const PLURAL: &str = "apiservices";
/// How often everything is looked at when nothing is seen to change.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const RESTART: Restart = Restart::always().pauses(Duration::from_millis(20), Duration::from_secs(2));

/// Everything that is aggregated, and the connections to it.
#[derive(Default)]
pub(crate) struct Aggregation {
    state: ArcSwap<Aggregated>,
    /// Taken while `state` is replaced.
    changing: Mutex<()>,
    connections: connection::Pool,
    /// APIServices with a task that checks them.
    checked: Mutex<BTreeSet<String>>,
    /// Told when such a task has ended.
    check_ended: Notify,
}

/// What is aggregated at one moment.
#[derive(Clone, Default)]
pub(crate) struct Aggregated {
    /// By group and version.
    routes: BTreeMap<(String, String), Arc<Route>>,
    /// What the servers said of themselves, by APIService.
    documents: BTreeMap<String, Arc<Documents>>,
}

/// A group and version that a Service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Name of the APIService.
    pub name: String,
    pub group: String,
    pub version: String,
    pub backend: Backend,
    /// The last check has passed.
    pub available: bool,
    pub group_priority: i64,
    pub version_priority: i64,
}

/// Where an aggregated API server is, and how it proves to be the one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backend {
    pub namespace: String,
    pub service: String,
    pub port: u16,
    pub trust: Trust,
}

impl Route {
    /// Reads an APIService; `None` for one without a Service.
    fn read(service: &Object) -> Option<Self> {
        let spec = service.0.get("spec")?;
        let backend = spec.get("service").filter(|backend| backend.is_object())?;
        let text = |node: &Value, field: &str| node[field].as_str().unwrap_or_default().to_owned();
        let port = backend["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let bundle = spec["caBundle"].as_str().filter(|bundle| !bundle.is_empty());
        let trust = if spec["insecureSkipTLSVerify"] == true {
            Trust::Anybody
        } else {
            // The schema has seen to it that it is base64.
            Trust::Bundle(bundle.and_then(|bundle| STANDARD.decode(bundle).ok().map(Bytes::from)))
        };
        Some(Self {
            name: service.name().unwrap_or_default().to_owned(),
            group: text(spec, "group"),
            version: text(spec, "version"),
            backend: Backend {
                namespace: text(backend, "namespace"),
                service: text(backend, "name"),
                port: port.unwrap_or(443),
                trust,
            },
            available: judge::is_available(service),
            group_priority: spec["groupPriorityMinimum"].as_i64().unwrap_or(0),
            version_priority: spec["versionPriority"].as_i64().unwrap_or(0),
        })
    }

    /// The path under which the group and version are, without a slash at the end.
    pub fn path(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        }
    }
}

impl Aggregated {
    /// What is aggregated, by group and version.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// The route of a group and version.
    pub fn route(&self, group: &str, version: &str) -> Option<&Arc<Route>> {
        if self.routes.is_empty() {
            return None;
        }
        self.routes.get(&(group.to_owned(), version.to_owned()))
    }

    /// What the server behind a route said of itself last.
    pub fn documents(&self, route: &Route) -> Option<&Arc<Documents>> {
        self.documents.get(&route.name)
    }

    fn with_services(&self, services: &[Object]) -> Self {
        let routes: BTreeMap<_, _> = services
            .iter()
            .filter_map(Route::read)
            .map(|route| ((route.group.clone(), route.version.clone()), Arc::new(route)))
            .collect();
        let names: BTreeSet<&str> = routes.values().map(|route| route.name.as_str()).collect();
        let kept = |(name, _): &(&String, &Arc<Documents>)| names.contains(name.as_str());
        let documents = self.documents.iter().filter(kept);
        Self {
            documents: documents
                .map(|(name, documents)| (name.clone(), documents.clone()))
                .collect(),
            routes,
        }
    }
}

impl Aggregation {
    /// What is aggregated now. The same as long as nothing changes.
    pub fn now(&self) -> Arc<Aggregated> {
        self.state.load_full()
    }

    /// The route of a request's path, if a Service answers it.
    pub fn route_of(&self, path: &str) -> Option<Arc<Route>> {
        let state = self.state.load();
        if state.routes.is_empty() {
            return None;
        }
        let mut parts = path.split('/').skip(1);
        let (group, version) = match parts.next()? {
            "apis" => (parts.next()?, parts.next()?),
            "api" => ("", parts.next()?),
            _ => return None,
        };
        state.route(group, version).cloned()
    }

    fn set_services(&self, services: &[Object]) -> Arc<Aggregated> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.now();
        let next = old.with_services(services);
        // Whoever keeps what follows from the state must not make it anew for nothing.
        if next.routes == old.routes && next.documents.len() == old.documents.len() {
            return old;
        }
        let next = Arc::new(next);
        self.state.store(next.clone());
        next
    }

    fn set_documents(&self, name: &str, documents: Arc<Documents>) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Aggregated::clone(&self.now());
        if next.documents.get(name).is_some_and(|known| *known == documents) {
            return;
        }
        next.documents.insert(name.to_owned(), documents);
        self.state.store(Arc::new(next));
    }
}

/// Starts what keeps APIServices and what follows from them, until the API's supervisor is cancelled.
pub(crate) fn start(api: &KubeApi) {
    let tasks = &api.0.supervisor;
    let keeping = api.clone();
    tasks.spawn_restarting("API services", RESTART, move || keep(keeping.clone()));
    let trusted = api.clone();
    tasks.spawn_restarting("extension-apiserver-authentication", RESTART, move || {
        trusted::keep(trusted.clone())
    });
}

async fn keep(api: KubeApi) -> Result<(), StatusError> {
    let registry = &api.0.registry;
    let stored = |group: &str, plural: &str| {
        let changes = registry.changes(group, plural);
        changes.ok_or_else(|| StatusError::internal(format!("{plural} are not served")))
    };
    let mut services = stored(GROUP, PLURAL)?;
    let mut definitions = stored("apiextensions.k8s.io", "customresourcedefinitions")?;
    let mut local = local::Keeper::new(&registry.objects(GROUP, PLURAL, None));
    loop {
        services.borrow_and_update();
        definitions.borrow_and_update();
        let present = registry.objects(GROUP, PLURAL, None);
        let aggregated = api.0.aggregation.set_services(&present);
        for route in aggregated.routes() {
            check::start(&api, &route.name);
        }
        let is_used = |backend: &Backend| aggregated.routes().any(|route| route.backend == *backend);
        api.0.aggregation.connections.retain(is_used);
        local.settle(&api, &present).await;
        let changed = async {
            tokio::select! {
                changed = services.changed() => changed.is_ok(),
                changed = definitions.changed() => changed.is_ok(),
                () = api.0.aggregation.check_ended.notified() => true,
            }
        };
        // Whether something changed or the time is over, the next thing is to look.
        if let Ok(false) = tokio::time::timeout(LOOK_AGAIN, changed).await {
            return Ok(());
        }
    }
}

/// The API server's own identity.
fn own_context() -> Context {
    Context::for_user(User::master("system:apiserver"))
}
