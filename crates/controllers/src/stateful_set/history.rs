//! Revisions of a StatefulSet's template, kept as ControllerRevisions.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::{Change, Step, World, controller_reference};

use super::State;
use super::pods::revision_of;
use crate::{revision, template};

/// Label of a revision with the hash of its template.
const HASH: &str = "controller.kubernetes.io/hash";

/// The two revisions that count, and what must be written for it.
pub(super) struct Revisions {
    /// Name and template that updates lead to.
    pub update: (String, PodTemplateSpec),
    /// Name and template that pods below the partition keep.
    pub current: (String, PodTemplateSpec),
    pub steps: Vec<Step>,
}

/// The revision of the set's template, made when it is new and given the highest number when an old one came back; and the one that the status
/// calls current.
pub(super) fn revisions(set: &StatefulSet, world: &World) -> Revisions {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let status = set.status.as_ref();
    let hash = template::hash(
        &template,
        status
            .and_then(|status| status.collision_count)
            .filter(|count| *count > 0),
    );
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let known: Vec<&Arc<ControllerRevision>> = world.controller_revisions.controlled_by(uid).collect();
    let newest = known.iter().map(|revision| revision.revision).max().unwrap_or(0);
    let found = known.iter().find(|revision| hash_of(revision) == Some(&hash));
    let mut steps = Vec::new();
    let name = match found {
        Some(found) => {
            if found.revision != newest {
                let mut renumbered = found.as_ref().clone();
                renumbered.revision = newest + 1;
                steps.push(Change::update(renumbered).into());
            }
            found.metadata.name.clone().unwrap_or_default()
        }
        None => {
            let made = made(set, &template, &hash, newest + 1);
            let name = made.metadata.name.clone().unwrap_or_default();
            steps.push(Change::create(made).into());
            name
        }
    };
    let update = (name, template);
    let wanted = status.and_then(|status| status.current_revision.as_deref());
    let current = known
        .iter()
        .find(|revision| wanted.is_some() && revision.metadata.name.as_deref() == wanted)
        .and_then(|found| Some((found.metadata.name.clone()?, revision::template(found)?)));
    Revisions {
        current: current.unwrap_or_else(|| update.clone()),
        update,
        steps,
    }
}

/// Removes old revisions beyond the limit that no pod was made from.
pub(super) fn clean_up(state: &State<'_>) -> Vec<Step> {
    let spec = state.set.spec.as_ref();
    let limit = spec.and_then(|spec| spec.revision_history_limit).unwrap_or(10);
    let uid = state.set.metadata.uid.as_deref().unwrap_or_default();
    let mut used: BTreeSet<&str> = state.owned.iter().filter_map(|pod| revision_of(pod)).collect();
    used.extend([state.update.0.as_str(), state.current.0.as_str()]);
    let known = state.world.controller_revisions.controlled_by(uid);
    let mut idle: Vec<&Arc<ControllerRevision>> = known
        .filter(|revision| !used.contains(revision.metadata.name.as_deref().unwrap_or_default()))
        .collect();
    idle.sort_by_key(|revision| revision.revision);
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    let old = idle.into_iter().take(surplus);
    old.map(|revision| Change::delete(revision.as_ref()).into()).collect()
}

fn hash_of(revision: &ControllerRevision) -> Option<&String> {
    revision.metadata.labels.as_ref()?.get(HASH)
}

fn made(set: &StatefulSet, template: &PodTemplateSpec, hash: &str, number: i64) -> ControllerRevision {
    let metadata = template.metadata.as_ref();
    let mut labels = metadata
        .and_then(|metadata| metadata.labels.clone())
        .unwrap_or_default();
    labels.insert(HASH.to_owned(), hash.to_owned());
    ControllerRevision {
        metadata: ObjectMeta {
            namespace: set.metadata.namespace.clone(),
            name: Some(format!("{}-{hash}", set.metadata.name.as_deref().unwrap_or_default())),
            labels: Some(labels),
            annotations: set.metadata.annotations.clone(),
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        data: revision::data(template),
        revision: number,
    }
}
