//! Starts Jobs at the times of a schedule, and forgets old ones.
//!
//! Source of the rules: upstream's `ControllerV2.syncCronJob`. A job's name follows from its time, so one that was made and not yet noted in the status
//! is found again by its name.

mod history;
mod schedule;
mod times;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube_types::ObjectKey;
use plan::{
    Change, Controller, EventRecord, Kind, Observation, Plan, Propagation, Step, Target, World, controller_of,
    controller_reference, is_controlled_by, object_reference,
};

pub use schedule::Schedule;
use times::Times;

/// Annotation of a job with the time that it was meant for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The CronJob controller.
pub struct CronJobs;

impl Controller for CronJobs {
    type Root = CronJob;
    const NAME: &'static str = "cronjob-controller";
    const WATCHES: &'static [Kind] = &[Kind::Job];

    fn roots_of(&self, changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        let namespace = changed.metadata().namespace.as_deref().unwrap_or_default();
        let owner = controller_of(changed.metadata()).filter(|owner| owner.kind == "CronJob");
        let key = owner.map(|owner| ObjectKey::namespaced(namespace, &owner.name));
        key.into_iter().collect()
    }

    fn plan(&self, cron: &CronJob, world: &World, now: Timestamp) -> Plan {
        let spec = &cron.spec;
        let uid = cron.metadata.uid.as_deref().unwrap_or_default();
        let jobs: Vec<&Arc<Job>> = world.jobs.controlled_by(uid).collect();
        let mut status = cron.status.clone().unwrap_or_default();
        let mut plan = Plan::default();
        note_jobs(cron, &jobs, &mut status, &mut plan);
        let look = Look {
            cron,
            spec,
            world,
            jobs: &jobs,
            now,
        };
        let started = match cron.metadata.deletion_timestamp {
            Some(_) => Vec::new(),
            None => look.start(&mut status, &mut plan),
        };
        status.active = status.active.take().filter(|active| !active.is_empty());
        if cron.status.clone().unwrap_or_default() != status {
            let mut told = cron.clone();
            told.status = Some(status);
            plan.then(Change::update_status(told));
        }
        plan.steps.extend(started);
        if cron.metadata.deletion_timestamp.is_none() {
            plan.steps.extend(history::clean_up(cron, spec, &jobs));
        }
        plan
    }
}

/// Brings the list of running jobs up to date, and the times of the last start and success.
fn note_jobs(cron: &CronJob, jobs: &[&Arc<Job>], status: &mut CronJobStatus, plan: &mut Plan) {
    let active = status.active.get_or_insert_default();
    for job in jobs {
        let uid = job.metadata.uid.clone();
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let known = active.iter().any(|reference| reference.uid == uid);
        match (known, history::end_of(job)) {
            (true, Some(end)) => {
                active.retain(|reference| reference.uid != uid);
                let message = format!("Saw completed job: {name}, condition: {end}");
                plan.events
                    .push(EventRecord::normal(object_reference(cron), "SawCompletedJob", message));
            }
            (false, None) if job.metadata.deletion_timestamp.is_some() => {}
            (false, None) => match scheduled_for(job) {
                Some(_) => active.push(reference(job)),
                None => {
                    let message = format!("Saw a job that the controller did not create or forgot: {name}");
                    plan.events
                        .push(EventRecord::warning(object_reference(cron), "UnexpectedJob", message));
                }
            },
            (true, None) | (false, Some(_)) => {}
        }
        // One that began and ended between two looks was started all the same.
        if let Some(time) = scheduled_for(job) {
            status.last_schedule_time = status.last_schedule_time.take().max(Some(time));
        }
        let completed = job.status.as_ref().and_then(|status| status.completion_time.clone());
        if completed.is_some() {
            status.last_successful_time = status.last_successful_time.take().max(completed);
        }
    }
    let is_there = |reference: &ObjectReference| jobs.iter().any(|job| job.metadata.uid == reference.uid);
    for missing in active.iter().filter(|reference| !is_there(reference)) {
        let name = missing.name.as_deref().unwrap_or_default();
        let message = format!("Active job went missing: {name}");
        plan.events
            .push(EventRecord::normal(object_reference(cron), "MissingJob", message));
    }
    active.retain(is_there);
}

/// What one decision is made from.
struct Look<'a> {
    cron: &'a CronJob,
    spec: &'a CronJobSpec,
    world: &'a World,
    jobs: &'a [&'a Arc<Job>],
    now: Timestamp,
}

impl Look<'_> {
    fn warn(&self, plan: &mut Plan, reason: &str, message: impl Into<String>) {
        let event = EventRecord::warning(object_reference(self.cron), reason, message);
        plan.events.push(event);
    }

    /// Starts the job that is due.
    fn start(&self, status: &mut CronJobStatus, plan: &mut Plan) -> Vec<Step> {
        if self.spec.suspend == Some(true) {
            return Vec::new();
        }
        let times = match Times::of(self.cron, self.spec) {
            Ok(times) => times,
            Err((reason, message)) => {
                self.warn(plan, reason, message);
                return Vec::new();
            }
        };
        if let Some(next) = times.next(self.now) {
            plan.look_again(next);
        }
        let Some(due) = times.due(status.last_schedule_time.as_ref(), self.now) else {
            return Vec::new();
        };
        if due.missed > times::MANY {
            let message =
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.warn(plan, "TooManyMissedTimes", message);
        }
        if times.is_too_late(due.at, self.now) {
            let message = format!("Missed scheduled time to start a job: {}", times.shown(due.at));
            self.warn(plan, "MissSchedule", message);
            return Vec::new();
        }
        if status.last_schedule_time == Some(Time(due.at)) {
            return Vec::new();
        }
        self.begin(job(self.cron, self.spec, &times, due.at), status, plan)
    }

    /// Makes a job, if its predecessors let it.
    fn begin(&self, job: Job, status: &mut CronJobStatus, plan: &mut Plan) -> Vec<Step> {
        let name = job.metadata.name.clone().unwrap_or_default();
        let namespace = self.cron.metadata.namespace.as_deref().unwrap_or_default();
        let uid = self.cron.metadata.uid.as_deref().unwrap_or_default();
        if let Some(other) = self.world.jobs.named(namespace, &name) {
            // Ours is noted already; another's keeps the name.
            if !is_controlled_by(&other.metadata, uid) {
                let message = format!("Error creating job: jobs.batch {name:?} already exists");
                self.warn(plan, "FailedCreate", message);
            }
            return Vec::new();
        }
        let active = status.active.get_or_insert_default();
        let mut steps = Vec::new();
        match self.spec.concurrency_policy.as_deref() {
            Some("Forbid") if !active.is_empty() => {
                let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
                let event = EventRecord::normal(object_reference(self.cron), "JobAlreadyActive", message);
                plan.events.push(event);
                return Vec::new();
            }
            Some("Replace") => {
                let is_active = |job: &&&Arc<Job>| active.iter().any(|reference| reference.uid == job.metadata.uid);
                steps.extend(self.jobs.iter().filter(is_active).map(|job| deletion(self.cron, job)));
                active.clear();
            }
            _ => {}
        }
        let subject = || object_reference(self.cron);
        let creation = Step::from(Change::create(job))
            .succeeding_with(EventRecord::normal(
                subject(),
                "SuccessfulCreate",
                format!("Created job {name}"),
            ))
            .failing_with(EventRecord::warning(
                subject(),
                "FailedCreate",
                "Error creating job: {error}",
            ));
        steps.push(creation);
        steps
    }
}

fn deletion(cron: &CronJob, job: &Job) -> Step {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    Step::from(Change::Delete {
        target: Target::of(job),
        propagation: Some(Propagation::Background),
        grace_seconds: None,
    })
    .succeeding_with(EventRecord::normal(
        object_reference(cron),
        "SuccessfulDelete",
        format!("Deleted job {name}"),
    ))
    .failing_with(EventRecord::warning(
        object_reference(cron),
        "FailedDelete",
        "Deleted job: {error}",
    ))
}

/// The job of a time.
fn job(cron: &CronJob, spec: &CronJobSpec, times: &Times, at: Timestamp) -> Job {
    let template = spec.job_template.clone();
    let from = template.metadata.unwrap_or_default();
    let mut annotations = from.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.to_owned(), times.shown(at));
    Job {
        metadata: ObjectMeta {
            name: Some(format!(
                "{}-{}",
                cron.metadata.name.as_deref().unwrap_or_default(),
                at.as_second() / 60
            )),
            namespace: cron.metadata.namespace.clone(),
            labels: from.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(cron)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// The time that one of our jobs was meant for.
fn scheduled_for(job: &Job) -> Option<Time> {
    let text = job.metadata.annotations.as_ref()?.get(SCHEDULED)?;
    text.parse().ok().map(Time)
}

fn reference(job: &Job) -> ObjectReference {
    ObjectReference {
        resource_version: job.metadata.resource_version.clone(),
        ..object_reference(job)
    }
}

#[cfg(test)]
mod tests;
