//! The pods of a job: how many, when, and which index each has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use plan::{Change, Step, controller_reference, since};

use super::counting::{self, FINALIZER};
use super::{indexes, told};
use crate::pod;

/// Annotation and label with a pod's completion index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Delay after the first failed pod; doubles with each further one (upstream's `JobBackOff`).
const FIRST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// Does each pod have an index of its own?
pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// The pod's completion index.
pub(super) fn index_of(pod: &Pod) -> Option<i32> {
    pod.metadata.annotations.as_ref()?.get(INDEX)?.parse().ok()
}

/// The pods to create or delete now, and when to look again because pods failed a short time ago.
pub(super) fn manage(
    job: &Job,
    spec: &JobSpec,
    status: &JobStatus,
    active: &[&Arc<Pod>],
    owned: &[Arc<Pod>],
    now: Timestamp,
) -> (Vec<Step>, Option<Duration>) {
    let parallelism = spec.parallelism.unwrap_or(1);
    let succeeded = status.succeeded.unwrap_or(0) + counting::pending_successes(status);
    let wanted = match spec.completions {
        Some(completions) => parallelism.min(completions - succeeded).max(0),
        // A queue of work: once one pod has succeeded, no more are started.
        None if succeeded > 0 => super::count(active.len()).min(parallelism),
        None => parallelism,
    };
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if active.len() > wanted {
        let mut surplus: Vec<&&Arc<Pod>> = active.iter().collect();
        surplus.sort_by_key(|pod| {
            (
                pod::is_ready(pod),
                std::cmp::Reverse(index_of(pod)),
                pod.metadata.creation_timestamp.clone(),
            )
        });
        let steps = surplus
            .into_iter()
            .take(active.len() - wanted)
            .map(|pod| deletion(job, pod));
        return (steps.collect(), None);
    }
    let missing = wanted - active.len();
    if missing == 0 {
        return (Vec::new(), None);
    }
    if let Some(left) = delay_left(owned, now) {
        return (Vec::new(), Some(left));
    }
    let free = is_indexed(spec).then(|| free_indexes(spec, status, active));
    let steps = (0..missing).filter_map(|number| match &free {
        Some(free) => free.get(number).map(|index| creation(job, spec, Some(*index))),
        None => Some(creation(job, spec, None)),
    });
    (steps.collect(), None)
}

/// Deletes a pod of the job.
pub(super) fn deletion(job: &Job, pod: &Pod) -> Step {
    told(
        job,
        Change::delete(pod),
        ("SuccessfulDelete", "Deleted pod: {name}"),
        ("FailedDelete", "Error deleting: {error}"),
    )
}

fn free_indexes(spec: &JobSpec, status: &JobStatus, active: &[&Arc<Pod>]) -> Vec<i32> {
    let done = indexes::parse(status.completed_indexes.as_deref());
    let running: BTreeSet<i32> = active.iter().filter_map(|pod| index_of(pod)).collect();
    (0..spec.completions.unwrap_or(0))
        .filter(|index| !done.contains(index) && !running.contains(index))
        .collect()
}

/// Time until the next pod may be started after failures in a row.
fn delay_left(owned: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    let ended = |pod: &Arc<Pod>| {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        statuses
            .iter()
            .filter_map(|container| container.state.as_ref()?.terminated.as_ref()?.finished_at.clone())
            .max()
    };
    let failed: Vec<&Arc<Pod>> = owned.iter().filter(|pod| pod::phase(pod) == "Failed").collect();
    let last = failed
        .iter()
        .filter_map(|pod| ended(pod).or_else(|| pod.metadata.creation_timestamp.clone()))
        .max()?;
    let doublings = u32::try_from(failed.len() - 1).unwrap_or(u32::MAX).min(16);
    let delay = FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY);
    delay.checked_sub(since(&last, now)).filter(|left| !left.is_zero())
}

fn creation(job: &Job, spec: &JobSpec, index: Option<i32>) -> Step {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let prefix = index.map_or_else(|| name.to_owned(), |index| format!("{name}-{index}"));
    let namespace = job.metadata.namespace.as_deref();
    let mut pod = pod::from_template(&spec.template, namespace, &prefix, controller_reference(job));
    pod.metadata
        .finalizers
        .get_or_insert_default()
        .push(FINALIZER.to_owned());
    if let Some(index) = index {
        let text = index.to_string();
        pod.metadata
            .annotations
            .get_or_insert_default()
            .insert(INDEX.to_owned(), text.clone());
        pod.metadata
            .labels
            .get_or_insert_default()
            .insert(INDEX.to_owned(), text);
        let pod_spec = pod.spec.get_or_insert_default();
        pod_spec.hostname = Some(prefix);
        let containers = pod_spec
            .init_containers
            .iter_mut()
            .flatten()
            .chain(&mut pod_spec.containers);
        for container in containers {
            let env = container.env.get_or_insert_default();
            if env.iter().all(|variable| variable.name != "JOB_COMPLETION_INDEX") {
                env.push(index_variable());
            }
        }
    }
    told(
        job,
        Change::create(pod),
        ("SuccessfulCreate", "Created pod: {name}"),
        ("FailedCreate", "Error creating: {error}"),
    )
}

fn index_variable() -> EnvVar {
    let field = ObjectFieldSelector {
        api_version: None,
        field_path: format!("metadata.labels['{INDEX}']"),
    };
    EnvVar {
        name: "JOB_COMPLETION_INDEX".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(field),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}
