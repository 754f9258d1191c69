//! Which ended jobs of a CronJob are kept.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job};
use plan::Step;

use super::deletion;

/// How a job ended: `Complete` or `Failed`.
pub(super) fn end_of(job: &Job) -> Option<&str> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let ended = conditions
        .iter()
        .find(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True");
    ended.map(|condition| condition.type_.as_str())
}

/// Deletes the oldest ended jobs beyond the limits.
pub(super) fn clean_up(cron: &CronJob, spec: &CronJobSpec, jobs: &[&Arc<Job>]) -> Vec<Step> {
    let surplus = |end: &str, limit: Option<i32>, default: i32| {
        let limit = usize::try_from(limit.unwrap_or(default)).unwrap_or(0);
        let mut ended: Vec<&Arc<Job>> = jobs
            .iter()
            .copied()
            .filter(|job| end_of(job) == Some(end) && job.metadata.deletion_timestamp.is_none())
            .collect();
        let began = |job: &Arc<Job>| job.status.as_ref().and_then(|status| status.start_time.clone());
        ended.sort_by_key(|job| (began(job), job.metadata.name.clone()));
        let count = ended.len().saturating_sub(limit);
        ended.into_iter().take(count)
    };
    let succeeded = surplus("Complete", spec.successful_jobs_history_limit, 3);
    let failed = surplus("Failed", spec.failed_jobs_history_limit, 1);
    succeeded.chain(failed).map(|job| deletion(cron, job)).collect()
}
