//! Jobs at their times, whatever was missed, and how many of them are kept.

use k8s_openapi::api::batch::v1::{JobCondition, JobTemplateSpec};

use super::*;
use crate::simulation::Simulation;

fn cron(schedule: &str) -> CronJob {
    CronJob {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("report".into()),
            ..ObjectMeta::default()
        },
        spec: CronJobSpec {
            schedule: schedule.into(),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some([("a".to_owned(), "b".to_owned())].into()),
                    ..ObjectMeta::default()
                }),
                ..JobTemplateSpec::default()
            },
            ..CronJobSpec::default()
        },
        status: None,
    }
}

/// A cluster whose clock shows 2026-01-01T00:00:00Z when the CronJob is made.
fn simulation(edit: impl FnOnce(&mut CronJobSpec)) -> Simulation {
    let mut simulation = Simulation::new(vec![Box::new(CronJobs)]);
    let mut cron = cron("*/10 * * * *");
    edit(&mut cron.spec);
    simulation.create(cron);
    simulation.settle(5);
    simulation
}

fn jobs(simulation: &Simulation) -> Vec<String> {
    let names = simulation
        .world
        .jobs
        .all()
        .map(|job| job.metadata.name.clone().unwrap());
    names.collect()
}

fn status(simulation: &Simulation) -> CronJobStatus {
    let cron = simulation.world.cron_jobs.named("shop", "report").unwrap();
    cron.status.clone().unwrap_or_default()
}

fn end(simulation: &mut Simulation, name: &str, kind: &str) {
    let now = simulation.now;
    simulation.edit::<Job>("shop", name, false, |job| {
        let status = job.status.get_or_insert_default();
        status.start_time = Some(Time(now));
        status.completion_time = (kind == "Complete").then_some(Time(now));
        status.conditions = Some(vec![JobCondition {
            type_: kind.into(),
            status: "True".into(),
            ..JobCondition::default()
        }]);
    });
}

/// Minutes since the epoch at the beginning, which name the jobs.
const START: i64 = 29_453_760;

#[test]
fn a_job_begins_at_its_time_and_is_noted_until_it_ends() {
    let mut simulation = simulation(|_| {});
    assert_eq!(jobs(&simulation), Vec::<String>::new());
    simulation.advance(601);
    simulation.settle(5);
    let name = format!("report-{}", START + 10);
    assert_eq!(jobs(&simulation), std::slice::from_ref(&name));
    let job = simulation.world.jobs.named("shop", &name).unwrap();
    assert_eq!(
        job.metadata.annotations.as_ref().unwrap()[SCHEDULED],
        "2026-01-01T00:10:00Z"
    );
    assert_eq!(job.metadata.labels.as_ref().unwrap()["a"], "b");
    assert_eq!(status(&simulation).active.unwrap()[0].name.as_ref(), Some(&name));
    assert_eq!(
        status(&simulation).last_schedule_time.unwrap().0.to_string(),
        "2026-01-01T00:10:00Z"
    );
    end(&mut simulation, &name, "Complete");
    simulation.settle(5);
    let now = status(&simulation);
    assert_eq!(now.active, None);
    assert!(now.last_successful_time.is_some());
    assert_eq!(
        simulation.events,
        [
            format!("SuccessfulCreate: Created job {name}"),
            format!("SawCompletedJob: Saw completed job: {name}, condition: Complete"),
        ]
    );
}

#[test]
fn a_running_job_lets_the_next_begin_unless_forbidden_or_replaced() {
    for (policy, expected) in [("Allow", vec![10, 20]), ("Forbid", vec![10]), ("Replace", vec![20])] {
        let mut simulation = simulation(|spec| spec.concurrency_policy = Some(policy.into()));
        simulation.advance(601);
        simulation.settle(5);
        simulation.advance(600);
        simulation.settle(5);
        let expected: Vec<String> = expected
            .iter()
            .map(|minutes| format!("report-{}", START + minutes))
            .collect();
        assert_eq!(jobs(&simulation), expected, "{policy}");
    }
}

#[test]
fn of_missed_times_the_last_is_made_up_for_if_the_deadline_allows() {
    let mut simulation = simulation(|_| {});
    simulation.advance(3600 * 24);
    simulation.settle(5);
    assert_eq!(jobs(&simulation), [format!("report-{}", START + 1440)]);
    assert!(simulation.events[0].starts_with("TooManyMissedTimes"));
    let mut late = self::simulation(|spec| spec.starting_deadline_seconds = Some(60));
    late.advance(700);
    late.settle(5);
    assert_eq!(jobs(&late), Vec::<String>::new(), "the time is 100 s ago");
    late.advance(540);
    late.settle(5);
    assert_eq!(jobs(&late), [format!("report-{}", START + 20)]);
}

#[test]
fn a_suspended_one_starts_nothing() {
    let mut simulation = simulation(|spec| spec.suspend = Some(true));
    simulation.advance(3600);
    simulation.settle(5);
    assert_eq!(jobs(&simulation), Vec::<String>::new());
}

#[test]
fn ended_jobs_beyond_the_limits_go() {
    let mut simulation = simulation(|spec| {
        spec.successful_jobs_history_limit = Some(2);
        spec.failed_jobs_history_limit = Some(1);
    });
    simulation.advance(1);
    for kind in ["Complete", "Failed", "Complete", "Failed", "Complete"] {
        simulation.advance(600);
        simulation.settle(5);
        let name = status(&simulation).active.unwrap()[0].name.clone().unwrap();
        end(&mut simulation, &name, kind);
    }
    simulation.settle(5);
    let expected: Vec<String> = [30, 40, 50]
        .iter()
        .map(|minutes| format!("report-{}", START + minutes))
        .collect();
    assert_eq!(jobs(&simulation), expected);
}

#[test]
fn a_job_made_by_hand_is_named_as_unexpected_and_left_alone() {
    let mut simulation = simulation(|_| {});
    let cron = simulation.world.cron_jobs.named("shop", "report").unwrap().clone();
    let mut job = Job::default();
    job.metadata.namespace = Some("shop".into());
    job.metadata.name = Some("by-hand".into());
    job.metadata.owner_references = Some(vec![controller_reference(cron.as_ref())]);
    simulation.create(job);
    simulation.settle(5);
    assert_eq!(status(&simulation).active, None);
    assert!(simulation.events[0].starts_with("UnexpectedJob"));
}

#[test]
fn what_is_not_understood_is_told() {
    let unknown = simulation(|spec| spec.time_zone = Some("Nowhere/Land".into()));
    assert!(unknown.events[0].starts_with("UnknownTimeZone: invalid timeZone: \"Nowhere/Land\""));
    let broken = simulation(|spec| spec.schedule = "x * * * *".into());
    assert!(broken.events[0].starts_with("UnparseableSchedule: unparseable schedule: \"x * * * *\""));
}
