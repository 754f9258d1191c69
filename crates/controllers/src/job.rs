//! Runs a Job's pods to completion and counts each of them exactly once.
//!
//! A finalizer keeps an ended pod until it is counted: first its uid is noted in the status, then the finalizer goes, then
//! the note becomes part of the count. Whatever is interrupted in between is found again.

mod counting;
mod failure_policy;
mod indexes;
mod pods;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;
use plan::{
    Change, Controller, EventRecord, EventType, Kind, Observation, Plan, Propagation, Step, Target, World,
    controller_of, object_reference, since, whole_seconds,
};

use crate::claim::{Claim, claim};
use crate::pod;
use verdict::End;

/// The Job controller.
pub struct Jobs;

impl Controller for Jobs {
    type Root = Job;
    const NAME: &'static str = "job-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod];

    fn roots_of(&self, changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        let namespace = changed.metadata().namespace.as_deref().unwrap_or_default();
        let owner = controller_of(changed.metadata()).filter(|owner| owner.kind == "Job");
        owner
            .map(|owner| ObjectKey::namespaced(namespace, &owner.name))
            .into_iter()
            .collect()
    }

    fn plan(&self, job: &Job, world: &World, now: Timestamp) -> Plan {
        let Some(spec) = job
            .spec
            .as_ref()
            .filter(|spec| spec.managed_by.as_deref().is_none_or(is_ours))
        else {
            return Plan::nothing();
        };
        if job.metadata.deletion_timestamp.is_some() {
            return Plan::nothing();
        }
        if let Some(finished) = finished_at(job) {
            return after_the_end(job, spec, world, &finished, now);
        }
        let selector =
            LabelSelector::from_optional(spec.selector.as_ref()).unwrap_or_else(|_unreadable| LabelSelector::nothing());
        let Claim { owned, steps } = claim::<Job, Pod>(job, &selector, world);
        let mut plan = Plan {
            steps,
            ..Plan::default()
        };
        let mut status = job.status.clone().unwrap_or_default();
        let noted = counting::count(&mut status, spec, &owned);
        let active: Vec<&Arc<Pod>> = owned.iter().filter(|pod| pod::is_active(pod)).collect();
        let suspended = spec.suspend.unwrap_or(false);
        if !suspended && status.start_time.is_none() {
            status.start_time = Some(whole_seconds(now));
        }
        let ended: Vec<&Pod> = noted.iter().map(AsRef::as_ref).collect();
        let end = verdict::of(job, spec, &status, &ended, active.len(), now);
        let uncounted = counting::is_pending(&status);
        let mut work = Vec::new();
        if end.is_some() || suspended {
            work.extend(active.iter().map(|pod| pods::deletion(job, pod)));
        } else {
            let (steps, delay) = pods::manage(job, spec, &status, &active, &owned, now);
            work = steps;
            delay.into_iter().for_each(|delay| plan.look_again(delay));
        }
        observe(&mut status, &owned, &active);
        suspend_condition(job, &mut status, suspended, now);
        if let Some(end) = &end {
            let is_over = active.is_empty() && !uncounted && status.terminating == Some(0);
            finish(job, &mut status, end, is_over, now, &mut plan);
        }
        if job.status.as_ref() != Some(&status) {
            let mut told = job.clone();
            told.status = Some(status);
            plan.then(Change::update_status(told));
        }
        // Only after the status holds the notes may the finalizers go.
        plan.steps.extend(noted.into_iter().map(|pod| counting::release(&pod)));
        plan.steps.extend(work);
        deadline_left(job, spec, now)
            .into_iter()
            .for_each(|left| plan.look_again(left));
        plan
    }
}

fn is_ours(manager: &str) -> bool {
    manager == "kubernetes.io/job-controller"
}

/// When the job ended, well or badly.
fn finished_at(job: &Job) -> Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let mut ends = conditions
        .iter()
        .filter(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed"));
    ends.find(|condition| condition.status == "True")?
        .last_transition_time
        .clone()
}

/// An ended job lets its last pods go and, after its time to live, goes itself.
fn after_the_end(
    job: &Job,
    spec: &JobSpec,
    world: &World,
    finished: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time,
    now: Timestamp,
) -> Plan {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let kept = world.pods.controlled_by(uid).filter(|pod| counting::is_tracked(pod));
    let mut plan = Plan {
        steps: kept.map(|pod| counting::release(pod)).collect(),
        ..Plan::default()
    };
    let Some(seconds) = spec.ttl_seconds_after_finished else {
        return plan;
    };
    let life = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    match life.checked_sub(since(finished, now)) {
        Some(left) if !left.is_zero() => plan.look_again(left),
        _ => plan.then(Change::Delete {
            target: Target::unchanged(job),
            propagation: Some(Propagation::Foreground),
            grace_seconds: None,
        }),
    }
    plan
}

fn deadline_left(job: &Job, spec: &JobSpec, now: Timestamp) -> Option<Duration> {
    let limit = Duration::from_secs(u64::try_from(spec.active_deadline_seconds?).unwrap_or(0));
    let passed = job
        .status
        .as_ref()?
        .start_time
        .as_ref()
        .map(|start| since(start, now))?;
    limit.checked_sub(passed).filter(|left| !left.is_zero())
}

fn observe(status: &mut JobStatus, owned: &[Arc<Pod>], active: &[&Arc<Pod>]) {
    let terminating = owned
        .iter()
        .filter(|pod| pod::is_deleting(pod) && !pod::is_terminal(pod));
    status.active = nonzero(active.len());
    status.ready = Some(count(active.iter().filter(|pod| pod::is_ready(pod)).count()));
    status.terminating = Some(count(terminating.count()));
}

/// Announces the end; and tells it once every pod has been counted and none runs any more.
fn finish(job: &Job, status: &mut JobStatus, end: &End, is_over: bool, now: Timestamp, plan: &mut Plan) {
    let condition = |kind: &str| JobCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(end.reason.clone()),
        message: Some(end.message.clone()),
        last_probe_time: Some(whole_seconds(now)),
        last_transition_time: Some(whole_seconds(now)),
    };
    let (announcement, told) = end.conditions();
    let conditions = status.conditions.get_or_insert_default();
    if conditions.iter().all(|known| known.type_ != announcement) {
        conditions.push(condition(announcement));
    }
    if !is_over {
        return;
    }
    conditions.push(condition(told));
    let (kind, reason, message) = if end.is_success {
        status.completion_time = Some(whole_seconds(now));
        (EventType::Normal, "Completed", "Job completed")
    } else {
        (EventType::Warning, end.reason.as_str(), end.message.as_str())
    };
    plan.events.push(EventRecord {
        regarding: object_reference(job),
        kind,
        reason: reason.to_owned(),
        message: message.to_owned(),
    });
}

fn suspend_condition(job: &Job, status: &mut JobStatus, suspended: bool, now: Timestamp) {
    let known = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    let was = known.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Suspended" && condition.status == "True")
    });
    if was == suspended {
        return;
    }
    let (holds, reason, message) = if suspended {
        ("True", "JobSuspended", "Job suspended")
    } else {
        ("False", "JobResumed", "Job resumed")
    };
    status.start_time = (!suspended).then(|| whole_seconds(now));
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != "Suspended");
    conditions.push(JobCondition {
        type_: "Suspended".to_owned(),
        status: holds.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(whole_seconds(now)),
        last_transition_time: Some(whole_seconds(now)),
    });
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn nonzero(number: usize) -> Option<i32> {
    Some(count(number)).filter(|number| *number != 0)
}

/// The step's events under the job's name.
fn told(job: &Job, change: Change, done: (&str, &str), failed: (&str, &str)) -> Step {
    Step::from(change)
        .succeeding_with(EventRecord::normal(object_reference(job), done.0, done.1))
        .failing_with(EventRecord::warning(object_reference(job), failed.0, failed.1))
}

#[cfg(test)]
mod tests;
