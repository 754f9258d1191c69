//! Counts ended pods once: noted, released, counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use plan::{Change, MetadataPatch, Step, Target};

use super::failure_policy::{self, Verdict};
use super::{indexes, pods};
use crate::pod;

/// Keeps an ended pod until it is counted.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// Has the pod not been counted yet?
pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata
        .finalizers
        .iter()
        .flatten()
        .any(|finalizer| finalizer == FINALIZER)
}

/// Lets a pod go.
pub(super) fn release(pod: &Pod) -> Step {
    let kept = pod
        .metadata
        .finalizers
        .iter()
        .flatten()
        .filter(|finalizer| *finalizer != FINALIZER)
        .cloned()
        .collect();
    let patch = MetadataPatch {
        finalizers: Some(kept),
        ..MetadataPatch::default()
    };
    Change::PatchMetadata {
        target: Target::unchanged(pod),
        patch,
    }
    .into()
}

/// Are there pods that are noted and not counted?
pub(super) fn is_pending(status: &JobStatus) -> bool {
    pending_failures(status) + pending_successes(status) > 0
}

/// Noted failures.
pub(super) fn pending_failures(status: &JobStatus) -> i32 {
    let noted = status
        .uncounted_terminated_pods
        .as_ref()
        .and_then(|pods| pods.failed.as_ref());
    noted.map_or(0, |noted| super::count(noted.len()))
}

/// Noted successes.
pub(super) fn pending_successes(status: &JobStatus) -> i32 {
    let noted = status
        .uncounted_terminated_pods
        .as_ref()
        .and_then(|pods| pods.succeeded.as_ref());
    noted.map_or(0, |noted| super::count(noted.len()))
}

/// Moves notes whose pods were released into the counts and notes pods that ended since. Gives those to release.
pub(super) fn count(status: &mut JobStatus, spec: &JobSpec, owned: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    let tracked: BTreeSet<&str> = owned
        .iter()
        .filter(|pod| is_tracked(pod))
        .filter_map(|pod| pod.metadata.uid.as_deref())
        .collect();
    let mut notes = status.uncounted_terminated_pods.take().unwrap_or_default();
    let settle = |list: &mut Option<Vec<String>>, count: &mut Option<i32>| {
        let noted = list.take().unwrap_or_default();
        let (kept, released): (Vec<String>, Vec<String>) =
            noted.into_iter().partition(|uid| tracked.contains(uid.as_str()));
        *count = Some(count.unwrap_or(0) + super::count(released.len())).filter(|count| *count != 0);
        *list = Some(kept);
    };
    settle(&mut notes.succeeded, &mut status.succeeded);
    settle(&mut notes.failed, &mut status.failed);
    let mut completed = indexes::parse(status.completed_indexes.as_deref());
    let mut failed_indexes = indexes::parse(status.failed_indexes.as_deref());
    let mut to_release = Vec::new();
    for pod in owned.iter().filter(|pod| is_tracked(pod)) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let (succeeded, failed) = (
            notes.succeeded.get_or_insert_default(),
            notes.failed.get_or_insert_default(),
        );
        let known = succeeded.contains(&uid) || failed.contains(&uid);
        match pod::phase(pod) {
            "Succeeded" if pods::is_indexed(spec) => {
                // A second success of an index counts for nothing.
                let fresh = pods::index_of(pod).is_some_and(|index| completed.insert(index));
                if fresh && !known {
                    succeeded.push(uid);
                }
            }
            "Succeeded" if !known => succeeded.push(uid),
            "Succeeded" => {}
            "Failed" => {
                let verdict = failure_policy::verdict(spec, pod);
                if pods::has_failed_for_good(spec, pod, &verdict) {
                    failed_indexes.extend(pods::index_of(pod));
                }
                if !known && verdict != Verdict::Ignore {
                    failed.push(uid);
                }
            }
            // A pod that is deleted before it ended has failed, once nothing runs of it any more.
            _ if pod::is_deleting(pod) && pod::node_name(pod).is_empty() => failed.push(uid),
            _ => continue,
        }
        to_release.push(pod.clone());
    }
    status.completed_indexes = pods::is_indexed(spec)
        .then(|| indexes::format(&completed))
        .filter(|text| !text.is_empty());
    status.failed_indexes = spec
        .backoff_limit_per_index
        .map(|_limit| indexes::format(&failed_indexes));
    for list in [&mut notes.succeeded, &mut notes.failed] {
        *list = list.take().filter(|list| !list.is_empty());
    }
    status.uncounted_terminated_pods = Some(notes);
    to_release
}
