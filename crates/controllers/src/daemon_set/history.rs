//! Revisions of a DaemonSet's template, kept as ControllerRevisions for `kubectl rollout history` and `undo`.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::{Change, Step, World, controller_reference};

use super::REVISION_HASH;
use crate::{revision, template};

/// The revision of the present template.
pub(super) struct Revision {
    /// Its hash, which its pods carry.
    pub hash: String,
    /// Makes or renumbers it.
    pub step: Option<Step>,
}

/// The revision of the set's template, made when it is new and given the highest number when an old one came back.
pub(super) fn present(set: &DaemonSet, world: &World) -> Revision {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let hash = template::hash(&template, set.status.as_ref().and_then(|status| status.collision_count));
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let known: Vec<&Arc<ControllerRevision>> = world.controller_revisions.controlled_by(uid).collect();
    let newest = known.iter().map(|revision| revision.revision).max().unwrap_or(0);
    let found = known.iter().find(|revision| hash_of(revision) == Some(&hash));
    let step = match found {
        Some(present) if present.revision == newest => None,
        Some(present) => {
            let mut renumbered = present.as_ref().clone();
            renumbered.revision = newest + 1;
            Some(Change::update(renumbered).into())
        }
        None => Some(Change::create(made(set, &template, &hash, newest + 1)).into()),
    };
    Revision { hash, step }
}

/// Removes old revisions beyond the limit that no pod was made from.
pub(super) fn clean_up(set: &DaemonSet, current: &str, pods: &[Arc<Pod>], world: &World) -> Vec<Step> {
    let limit = set
        .spec
        .as_ref()
        .and_then(|spec| spec.revision_history_limit)
        .unwrap_or(10);
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let used: BTreeSet<&String> = pods
        .iter()
        .filter_map(|pod| pod.metadata.labels.as_ref()?.get(REVISION_HASH))
        .collect();
    let known = world.controller_revisions.controlled_by(uid);
    let mut idle: Vec<&Arc<ControllerRevision>> = known
        .filter(|revision| hash_of(revision).is_some_and(|hash| hash != current && !used.contains(hash)))
        .collect();
    idle.sort_by_key(|revision| revision.revision);
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    idle.into_iter()
        .take(surplus)
        .map(|revision| Change::delete(revision.as_ref()).into())
        .collect()
}

fn hash_of(revision: &ControllerRevision) -> Option<&String> {
    revision.metadata.labels.as_ref()?.get(REVISION_HASH)
}

fn made(set: &DaemonSet, template: &PodTemplateSpec, hash: &str, number: i64) -> ControllerRevision {
    let mut labels = template
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.labels.clone())
        .unwrap_or_default();
    labels.insert(REVISION_HASH.to_owned(), hash.to_owned());
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
