//! Whether a job has failed or succeeded. What was once decided stands, as the condition that announces the end says.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use plan::since;

use super::failure_policy::{self, Verdict};
use super::{counting, indexes, pods};

/// Announces that the job will have failed.
const FAILURE: &str = "FailureTarget";
/// Announces that the job will be complete.
const SUCCESS: &str = "SuccessCriteriaMet";

/// How a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub is_success: bool,
    pub reason: String,
    pub message: String,
}

impl End {
    fn failure(reason: &str, message: impl Into<String>) -> Self {
        Self {
            is_success: false,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    fn success(reason: &str, message: impl Into<String>) -> Self {
        Self {
            is_success: true,
            ..Self::failure(reason, message)
        }
    }

    /// The condition that announces the end, and the one that tells it.
    pub fn conditions(&self) -> (&'static str, &'static str) {
        if self.is_success {
            (SUCCESS, "Complete")
        } else {
            (FAILURE, "Failed")
        }
    }
}

/// How the job ends, if that can be said. `ended` are the pods that ended and are not counted for good, `active` those that run.
pub(super) fn of(
    job: &Job,
    spec: &JobSpec,
    status: &JobStatus,
    ended: &[&Pod],
    active: usize,
    now: Timestamp,
) -> Option<End> {
    announced(job)
        .or_else(|| by_policy(spec, ended))
        .or_else(|| past_limits(spec, status, now))
        .or_else(|| by_success_policy(spec, status))
        .or_else(|| by_indexes(spec, status))
        .or_else(|| completed(spec, status, active))
}

fn announced(job: &Job) -> Option<End> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let announced = |condition: &&k8s_openapi::api::batch::v1::JobCondition| {
        condition.status == "True" && matches!(condition.type_.as_str(), FAILURE | SUCCESS)
    };
    let found = conditions.iter().find(announced)?;
    Some(End {
        is_success: found.type_ == SUCCESS,
        reason: found.reason.clone().unwrap_or_default(),
        message: found.message.clone().unwrap_or_default(),
    })
}

fn by_policy(spec: &JobSpec, ended: &[&Pod]) -> Option<End> {
    let failed = ended.iter().filter(|pod| crate::pod::phase(pod) == "Failed");
    let message = failed
        .into_iter()
        .find_map(|pod| match failure_policy::verdict(spec, pod) {
            Verdict::FailJob(message) => Some(message),
            Verdict::Count | Verdict::Ignore | Verdict::FailIndex => None,
        })?;
    Some(End::failure("PodFailurePolicy", message))
}

fn past_limits(spec: &JobSpec, status: &JobStatus, now: Timestamp) -> Option<End> {
    let failed = status.failed.unwrap_or(0) + counting::pending_failures(status);
    // With a limit for each index the common one is as good as none, unless it is given.
    let default = if spec.backoff_limit_per_index.is_some() {
        i32::MAX
    } else {
        6
    };
    if failed > spec.backoff_limit.unwrap_or(default) {
        let message = "Job has reached the specified backoff limit";
        return Some(End::failure("BackoffLimitExceeded", message));
    }
    let failed_indexes = indexes::parse(status.failed_indexes.as_deref()).len();
    if spec
        .max_failed_indexes
        .is_some_and(|most| failed_indexes > usize::try_from(most).unwrap_or(0))
    {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(End::failure("MaxFailedIndexesExceeded", message));
    }
    let limit = Duration::from_secs(u64::try_from(spec.active_deadline_seconds?).unwrap_or(0));
    let start = status.start_time.as_ref()?;
    let message = "Job was active longer than specified deadline";
    (since(start, now) >= limit).then(|| End::failure("DeadlineExceeded", message))
}

fn by_success_policy(spec: &JobSpec, status: &JobStatus) -> Option<End> {
    let done = indexes::parse(status.completed_indexes.as_deref());
    let rules = &spec.success_policy.as_ref().filter(|_| pods::is_indexed(spec))?.rules;
    let met = rules.iter().position(|rule| {
        let wanted = rule.succeeded_indexes.as_deref().map(|text| indexes::parse(Some(text)));
        let reached = match &wanted {
            Some(wanted) => done.intersection(wanted).count(),
            None => done.len(),
        };
        let needed = match (rule.succeeded_count, &wanted) {
            (Some(count), _) => usize::try_from(count).unwrap_or(0),
            (None, Some(wanted)) => wanted.len(),
            (None, None) => return false,
        };
        reached >= needed
    })?;
    Some(End::success("SuccessPolicy", format!("Matched rules at index {met}")))
}

/// Every index has come to its end, and not all of them well.
fn by_indexes(spec: &JobSpec, status: &JobStatus) -> Option<End> {
    let wanted = usize::try_from(spec.completions?).unwrap_or(0);
    let failed = indexes::parse(status.failed_indexes.as_deref()).len();
    let done = indexes::parse(status.completed_indexes.as_deref()).len();
    let all = spec.backoff_limit_per_index.is_some() && failed > 0 && failed + done >= wanted;
    all.then(|| End::failure("FailedIndexes", "Job has failed indexes"))
}

/// Without a number of completions one success is enough, once all other pods have ended.
fn completed(spec: &JobSpec, status: &JobStatus, active: usize) -> Option<End> {
    let succeeded = status.succeeded.unwrap_or(0) + counting::pending_successes(status);
    let reached = match spec.completions {
        Some(wanted) if pods::is_indexed(spec) => {
            super::count(indexes::parse(status.completed_indexes.as_deref()).len()) >= wanted
        }
        Some(wanted) => succeeded >= wanted,
        None => succeeded > 0 && active == 0,
    };
    let message = "Reached expected number of succeeded pods";
    reached.then(|| End::success("CompletionsReached", message))
}
