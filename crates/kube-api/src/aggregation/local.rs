//! The APIServices of what this server answers itself: made at the start for built-in groups, and kept for custom
//! resources as long as they are served. Source: `controllers/autoregister`, `controller/crdregistration`.

use std::collections::{BTreeMap, BTreeSet};

use kube_types::GroupVersionResource;
use kube_types::dynamic::{Object, Value, json};
use registry::{DeleteOptions, KindTable, RequestBody, StatusError, Target, WriteOptions};

use super::{GROUP, PLURAL, own_context};
use crate::api::KubeApi;

/// Label of APIServices that a server made, saying how it keeps them.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
const ON_START: &str = "onstart";
const ALWAYS: &str = "true";

/// Priorities of custom resources' groups and versions.
const CUSTOM: (i64, i64) = (1000, 100);
/// Above every group that can be declared: aggregation itself has no APIService.
const AGGREGATION: (i64, i64) = (20_001, 18);

/// Group, version, priority of the group, priority of the version. Source: `apiVersionPriorities`.
const BUILT_IN: &[(&str, &str, i64, i64)] = &[
    ("", "v1", 18_000, 1),
    ("apps", "v1", 17_800, 15),
    ("events.k8s.io", "v1", 17_750, 15),
    ("authentication.k8s.io", "v1", 17_700, 15),
    ("authorization.k8s.io", "v1", 17_600, 15),
    ("autoscaling", "v1", 17_500, 15),
    ("autoscaling", "v2", 17_500, 30),
    ("batch", "v1", 17_400, 15),
    ("certificates.k8s.io", "v1", 17_300, 15),
    ("networking.k8s.io", "v1", 17_200, 15),
    ("policy", "v1", 17_100, 15),
    ("rbac.authorization.k8s.io", "v1", 17_000, 15),
    ("storage.k8s.io", "v1", 16_800, 15),
    ("apiextensions.k8s.io", "v1", 16_700, 15),
    ("admissionregistration.k8s.io", "v1", 16_700, 15),
    ("scheduling.k8s.io", "v1", 16_600, 15),
    ("coordination.k8s.io", "v1", 16_500, 15),
    ("node.k8s.io", "v1", 16_300, 15),
    ("discovery.k8s.io", "v1", 16_200, 15),
    ("flowcontrol.apiserver.k8s.io", "v1", 16_100, 21),
    ("resource.k8s.io", "v1", 16_200, 20),
];

/// Priorities of a group and version that this server answers itself.
pub(crate) fn priorities(group: &str, version: &str) -> (i64, i64) {
    if group == GROUP {
        return AGGREGATION;
    }
    let known = BUILT_IN.iter().find(|(of, at, _, _)| *of == group && *at == version);
    known.map_or(CUSTOM, |(_, _, of_group, of_version)| (*of_group, *of_version))
}

/// An APIService that shall be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    spec: Value,
    /// Made once, and left alone when somebody deletes it.
    once: bool,
}

/// What is to be done about one APIService.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Create(Value),
    Update(Object),
    Delete,
}

/// What shall be there for the kinds that are served, by name.
pub(super) fn wanted(kinds: &KindTable) -> BTreeMap<String, Wanted> {
    let mut wanted = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| kind.group != GROUP) {
        let (of_group, of_version) = priorities(&kind.group, &kind.version);
        let mut spec =
            json!({"version": kind.version, "groupPriorityMinimum": of_group, "versionPriority": of_version});
        if !kind.group.is_empty() {
            spec["group"] = Value::from(&*kind.group);
        }
        let once = kind.custom.is_none();
        wanted.insert(format!("{}.{}", kind.version, kind.group), Wanted { spec, once });
    }
    wanted
}

/// The steps from what is there to what shall be there. `settled` are the names whose once-only step is done, `at_start`
/// those that were there when the server began.
pub(super) fn plan(
    wanted: &BTreeMap<String, Wanted>,
    present: &[Object],
    settled: &BTreeSet<String>,
    at_start: &BTreeSet<String>,
) -> Vec<(String, Step)> {
    let mut steps = Vec::new();
    let present: BTreeMap<&str, &Object> = present
        .iter()
        .filter_map(|object| Some((object.name()?, object)))
        .collect();
    for (name, wanted) in wanted {
        if wanted.once && settled.contains(name) {
            continue;
        }
        match present.get(name.as_str()) {
            None => steps.push((name.clone(), Step::Create(made(name, wanted)))),
            Some(there) if there.labels().contains_key(MANAGED) && !is_as(there, &wanted.spec) => {
                let mut changed = Object::clone(there);
                changed.0.insert("spec".to_owned(), wanted.spec.clone());
                steps.push((name.clone(), Step::Update(changed)));
            }
            // Somebody else's, or as it shall be.
            Some(_) => {}
        }
    }
    for (name, there) in present {
        let labels = there.labels();
        let goes = match labels.get(MANAGED).map(String::as_str) {
            Some(ALWAYS) => true,
            Some(ON_START) => at_start.contains(name) && !settled.contains(name),
            _ => false,
        };
        if goes && !wanted.contains_key(name) {
            steps.push((name.to_owned(), Step::Delete));
        }
    }
    steps
}

fn made(name: &str, wanted: &Wanted) -> Value {
    let managed = if wanted.once { ON_START } else { ALWAYS };
    json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": name, "labels": {MANAGED: managed}}, "spec": wanted.spec})
}

fn is_as(there: &Object, spec: &Value) -> bool {
    let present = there.0.get("spec").unwrap_or(&Value::Null);
    let fields = [
        "group",
        "version",
        "groupPriorityMinimum",
        "versionPriority",
        "service",
        "caBundle",
    ];
    fields.iter().all(|field| present.get(*field) == spec.get(*field))
}

/// Carries the steps out and remembers what was done once.
pub(super) struct Keeper {
    at_start: BTreeSet<String>,
    settled: BTreeSet<String>,
}

impl Keeper {
    pub fn new(present: &[Object]) -> Self {
        Self {
            at_start: present
                .iter()
                .filter_map(|object| object.name().map(str::to_owned))
                .collect(),
            settled: BTreeSet::new(),
        }
    }

    /// One round; what fails is tried again in the next.
    pub async fn settle(&mut self, api: &KubeApi, present: &[Object]) {
        let wanted = wanted(&api.0.registry.kinds());
        let steps = plan(&wanted, present, &self.settled, &self.at_start);
        // Written together, so that the store makes them durable together.
        let failed = futures::future::join_all(steps.iter().map(|(name, step)| async move {
            match carry_out(api, name, step).await {
                Ok(()) => None,
                Err(error) => {
                    tracing::debug!(name, %error, "an APIService is looked at again later");
                    Some(name.clone())
                }
            }
        }))
        .await;
        let failed: BTreeSet<String> = failed.into_iter().flatten().collect();
        let once = wanted.iter().filter(|(_, wanted)| wanted.once).map(|(name, _)| name);
        let gone = steps.iter().map(|(name, _)| name);
        self.settled
            .extend(once.chain(gone).filter(|name| !failed.contains(*name)).cloned());
    }
}

async fn carry_out(api: &KubeApi, name: &str, step: &Step) -> Result<(), StatusError> {
    let registry = &api.0.registry;
    let gvr = GroupVersionResource::new(GROUP, "v1", PLURAL);
    let (context, target) = (own_context(), Target::object(gvr.clone(), None, name));
    let done = match step {
        Step::Create(object) => {
            let body = RequestBody::json(object.to_string());
            let collection = Target::collection(gvr, None);
            registry
                .create(&context, &collection, body, WriteOptions::default())
                .await
        }
        Step::Update(object) => {
            let body = RequestBody::json(Value::Object(object.0.clone()).to_string());
            registry.update(&context, &target, body, WriteOptions::default()).await
        }
        Step::Delete => registry.delete(&context, &target, DeleteOptions::default()).await,
    };
    match done {
        Ok(_) => Ok(()),
        // Another API server was faster.
        Err(error) if error.reason() == "AlreadyExists" || error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
