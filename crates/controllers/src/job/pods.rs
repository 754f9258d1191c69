//! The pods of a job: how many, when, and which index each has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use plan::{Change, Step, controller_reference, since};

use super::counting::{self, FINALIZER};
use super::failure_policy::{self, Verdict};
use super::{indexes, told};
use crate::pod;

/// Annotation and label with a pod's completion index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Annotation with how often a pod's index had failed before.
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

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
    let lost = super::count(indexes::parse(status.failed_indexes.as_deref()).len());
    let succeeded = status.succeeded.unwrap_or(0) + counting::pending_successes(status);
    let wanted = match spec.completions {
        Some(completions) => parallelism.min(completions - succeeded - lost).max(0),
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
    let ending = if waits_for_the_end(spec) {
        owned
            .iter()
            .filter(|pod| pod::is_deleting(pod) && !pod::is_terminal(pod))
            .collect()
    } else {
        Vec::new()
    };
    let missing = wanted.saturating_sub(active.len() + ending.len());
    if missing == 0 {
        return (Vec::new(), None);
    }
    creations(
        job,
        spec,
        status,
        active.iter().copied().chain(ending),
        missing,
        owned,
        now,
    )
}

/// Starts what is missing, unless it failed a short time ago.
fn creations<'a>(
    job: &Job,
    spec: &JobSpec,
    status: &JobStatus,
    taken: impl Iterator<Item = &'a Arc<Pod>>,
    missing: usize,
    owned: &[Arc<Pod>],
    now: Timestamp,
) -> (Vec<Step>, Option<Duration>) {
    let failed: Vec<&Arc<Pod>> = owned.iter().filter(|pod| pod::phase(pod) == "Failed").collect();
    if spec.backoff_limit_per_index.is_none()
        && let Some(left) = delay_left(&failed, now)
    {
        return (Vec::new(), Some(left));
    }
    if !is_indexed(spec) {
        return ((0..missing).map(|_| creation(job, spec, None, 0)).collect(), None);
    }
    let mut steps = Vec::new();
    let mut wait: Option<Duration> = None;
    for index in free_indexes(spec, status, taken) {
        let of_index: Vec<&Arc<Pod>> = failed
            .iter()
            .copied()
            .filter(|pod| index_of(pod) == Some(index))
            .collect();
        let left = spec
            .backoff_limit_per_index
            .and_then(|_limit| delay_left(&of_index, now));
        match left {
            Some(left) => wait = Some(wait.map_or(left, |wait| wait.min(left))),
            None => steps.push(creation(job, spec, Some(index), failures(spec, &of_index))),
        }
    }
    steps.truncate(missing);
    (steps, wait)
}

/// Does a pod count as there until it has ended altogether? Source of the rule: `onlyReplaceFailedPods`.
fn waits_for_the_end(spec: &JobSpec) -> bool {
    match spec.pod_replacement_policy.as_deref() {
        Some(policy) => policy == "Failed",
        None => spec.pod_failure_policy.is_some(),
    }
}

/// How often an index has failed, as its failed pods tell.
fn failures(spec: &JobSpec, failed: &[&Arc<Pod>]) -> i32 {
    let counted = failed.iter().map(|pod| {
        let ignored = failure_policy::verdict(spec, pod) == Verdict::Ignore;
        failures_before(pod) + i32::from(!ignored)
    });
    counted.max().unwrap_or(0)
}

/// How often the pod's index had failed before the pod was made.
fn failures_before(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    let text = annotations.and_then(|annotations| annotations.get(FAILURES));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Is the index of this failed pod lost?
pub(super) fn has_failed_for_good(spec: &JobSpec, pod: &Pod, verdict: &Verdict) -> bool {
    let Some(limit) = spec.backoff_limit_per_index else {
        return false;
    };
    match verdict {
        Verdict::FailIndex => true,
        Verdict::Count | Verdict::FailJob(_) => failures_before(pod) >= limit,
        Verdict::Ignore => false,
    }
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

fn free_indexes<'a>(spec: &JobSpec, status: &JobStatus, taken: impl Iterator<Item = &'a Arc<Pod>>) -> Vec<i32> {
    let mut done = indexes::parse(status.completed_indexes.as_deref());
    done.extend(indexes::parse(status.failed_indexes.as_deref()));
    let running: BTreeSet<i32> = taken.filter_map(|pod| index_of(pod)).collect();
    (0..spec.completions.unwrap_or(0))
        .filter(|index| !done.contains(index) && !running.contains(index))
        .collect()
}

/// Time until the next pod may be started after failures in a row.
fn delay_left(failed: &[&Arc<Pod>], now: Timestamp) -> Option<Duration> {
    let ended = |pod: &Arc<Pod>| {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        statuses
            .iter()
            .filter_map(|container| container.state.as_ref()?.terminated.as_ref()?.finished_at.clone())
            .max()
    };
    let last = failed
        .iter()
        .filter_map(|pod| ended(pod).or_else(|| pod.metadata.creation_timestamp.clone()))
        .max()?;
    let doublings = u32::try_from(failed.len() - 1).unwrap_or(u32::MAX).min(16);
    let delay = FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY);
    delay.checked_sub(since(&last, now)).filter(|left| !left.is_zero())
}

fn creation(job: &Job, spec: &JobSpec, index: Option<i32>, failures: i32) -> Step {
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
        if spec.backoff_limit_per_index.is_some() {
            let annotations = pod.metadata.annotations.get_or_insert_default();
            annotations.insert(FAILURES.to_owned(), failures.to_string());
        }
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
