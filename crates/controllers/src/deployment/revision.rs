//! The set of the present template: found, made, numbered; and old sets beyond the history limit removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_types::ObjectKey;
use plan::{Change, EventRecord, Step, World, controller_reference, object_reference};

use super::Rollout;
use crate::replica_set::replicas;
use crate::template::{self, POD_TEMPLATE_HASH};

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Longest text of remembered revisions (upstream's `maxRevHistoryLengthInChars`).
const LONGEST_HISTORY: usize = 2000;

/// Annotations of a deployment that its sets do not inherit.
const NOT_INHERITED: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

impl<'a> Rollout<'a> {
    /// Tells the set of the present template from the others.
    pub(super) fn new(
        deployment: &'a Deployment,
        mut owned: Vec<Arc<ReplicaSet>>,
        world: &'a World,
        now: Timestamp,
    ) -> Self {
        owned.sort_by(|left, right| {
            let age = |set: &ReplicaSet| set.metadata.creation_timestamp.clone();
            age(left)
                .cmp(&age(right))
                .then_with(|| left.metadata.name.cmp(&right.metadata.name))
        });
        let template = &spec_of(deployment).template;
        let position = owned.iter().position(|set| template::is_of(set, template));
        let mut old: Vec<ReplicaSet> = owned.iter().map(|set| set.as_ref().clone()).collect();
        let new = position.map(|position| old.remove(position));
        Self {
            deployment,
            new,
            old,
            observed: owned,
            steps: Vec::new(),
            world,
            status: None,
            collided: false,
            revision: None,
            look_again_in: None,
            now,
        }
    }

    /// The deployment's specification.
    pub(super) fn spec(&self) -> &'a DeploymentSpec {
        spec_of(self.deployment)
    }

    /// Every set, the old ones first.
    pub(super) fn sets(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.old.iter().chain(&self.new)
    }

    /// Brings revision and inherited annotations of an existing set of the present template up to date.
    pub(super) fn reuse_new_set(&mut self) {
        let revision = self.next_revision();
        let (deployment, limit) = (self.deployment, LONGEST_HISTORY);
        let min_ready = self.spec().min_ready_seconds;
        let Some(new) = &mut self.new else { return };
        let annotations = new.metadata.annotations.get_or_insert_default();
        inherit(deployment, annotations);
        raise_revision(annotations, revision, limit);
        if let Some(spec) = &mut new.spec {
            spec.min_ready_seconds = min_ready;
        }
        let revision = new
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(REVISION))
            .cloned();
        self.number_deployment(revision);
    }

    /// Makes the set of the present template when there is none.
    pub(super) fn ensure_new_set(&mut self) {
        if self.new.is_some() {
            return self.reuse_new_set();
        }
        let collisions = self
            .deployment
            .status
            .as_ref()
            .and_then(|status| status.collision_count);
        let hash = template::hash(&self.spec().template, collisions);
        let revision = self.next_revision().to_string();
        let mut set = new_set(self.deployment, &hash, &revision);
        if self.world.replica_sets.get(&ObjectKey::of(&set)).is_some() {
            // Somebody else's set has the name: the next hash is made with another count.
            self.collided = true;
            return;
        }
        self.new = Some(set.clone());
        let size = self.new_set_size();
        if let Some(spec) = &mut set.spec {
            spec.replicas = Some(size);
        }
        self.annotate_size(&mut set);
        let name = set.metadata.name.clone().unwrap_or_default();
        let mut step = Step::from(Change::create(set.clone()));
        step.on_failure = Some(EventRecord::warning(
            object_reference(self.deployment),
            "ReplicaSetCreateError",
            format!("Failed to create new replica set \"{name}\": {{error}}"),
        ));
        if size > 0 {
            step.on_success = Some(self.scaled_event("up", &name, 0, size));
        }
        self.steps.push(step);
        self.new = Some(set);
        self.number_deployment(Some(revision));
    }

    /// Removes old sets beyond `revisionHistoryLimit`, lowest revision first, unless they still have something to do.
    pub(super) fn clean_up(&mut self) {
        let Some(limit) = self.spec().revision_history_limit else {
            return;
        };
        let mut alive: Vec<&ReplicaSet> = self
            .old
            .iter()
            .filter(|set| set.metadata.deletion_timestamp.is_none())
            .collect();
        let surplus = alive.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        alive.sort_by_key(|set| revision_of(set));
        let idle = |set: &&ReplicaSet| {
            let status = set.status.clone().unwrap_or_default();
            status.replicas == 0 && replicas(set) == 0 && set.metadata.generation <= status.observed_generation
        };
        let doomed = alive.into_iter().take(surplus).filter(idle);
        let steps: Vec<Step> = doomed.map(|set| Change::delete(set).into()).collect();
        self.steps.extend(steps);
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(revision_of).max().unwrap_or(0) + 1
    }

    fn number_deployment(&mut self, revision: Option<String>) {
        let annotations = self.deployment.metadata.annotations.as_ref();
        let present = annotations.and_then(|annotations| annotations.get(REVISION));
        self.revision = revision.filter(|revision| present != Some(revision));
    }
}

/// The revision a set carries; zero when it carries none that can be read.
pub(super) fn revision_of(set: &ReplicaSet) -> i64 {
    let annotation = set
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(REVISION));
    annotation.and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

fn spec_of(deployment: &Deployment) -> &DeploymentSpec {
    static NONE: std::sync::LazyLock<DeploymentSpec> = std::sync::LazyLock::new(DeploymentSpec::default);
    deployment.spec.as_ref().unwrap_or(&NONE)
}

fn new_set(deployment: &Deployment, hash: &str, revision: &str) -> ReplicaSet {
    let spec = spec_of(deployment);
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(POD_TEMPLATE_HASH.to_owned(), hash.to_owned());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector
        .match_labels
        .get_or_insert_default()
        .insert(POD_TEMPLATE_HASH.to_owned(), hash.to_owned());
    let mut annotations = BTreeMap::new();
    inherit(deployment, &mut annotations);
    annotations.insert(REVISION.to_owned(), revision.to_owned());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{hash}")),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    }
}

fn inherit(deployment: &Deployment, annotations: &mut BTreeMap<String, String>) {
    let own = deployment.metadata.annotations.iter().flatten();
    let inherited = own.filter(|(key, _)| !NOT_INHERITED.contains(&key.as_str()));
    annotations.extend(inherited.map(|(key, value)| (key.clone(), value.clone())));
}

/// Gives the set the newest revision and remembers the one it had, as a rollback reuses an old set.
fn raise_revision(annotations: &mut BTreeMap<String, String>, revision: i64, longest: usize) {
    let old = annotations.get(REVISION).cloned().unwrap_or_default();
    if old.parse::<i64>().unwrap_or(0) >= revision {
        return;
    }
    annotations.insert(REVISION.to_owned(), revision.to_string());
    if old.is_empty() {
        return;
    }
    let mut history: Vec<String> = annotations
        .get(REVISION_HISTORY)
        .map(|history| history.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    history.push(old);
    while history.join(",").len() > longest {
        history.remove(0);
    }
    annotations.insert(REVISION_HISTORY.to_owned(), history.join(","));
}
