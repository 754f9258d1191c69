//! Jobs run to their end and every pod is counted once.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodStatus, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, ObjectMeta};

use super::*;
use crate::simulation::Simulation;

fn job(edit: impl FnOnce(&mut JobSpec)) -> Job {
    let labels = Some([("job".to_owned(), "sum".to_owned())].into());
    let mut spec = JobSpec {
        completions: Some(2),
        parallelism: Some(2),
        backoff_limit: Some(1),
        selector: Some(Selector {
            match_labels: labels.clone(),
            ..Selector::default()
        }),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels,
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                containers: vec![Container::default()],
                ..PodSpec::default()
            }),
        },
        ..JobSpec::default()
    };
    edit(&mut spec);
    Job {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("sum".into()),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

fn started(edit: impl FnOnce(&mut JobSpec)) -> Simulation {
    let mut simulation = Simulation::new(vec![Box::new(Jobs)]);
    simulation.create(job(edit));
    simulation.settle(6);
    simulation
}

/// Every pod that has not ended ends in `phase`.
fn end(simulation: &mut Simulation, phase: &str) {
    let names: Vec<String> = simulation
        .world
        .pods
        .all()
        .filter(|pod| !pod::is_terminal(pod))
        .filter_map(|pod| pod.metadata.name.clone())
        .collect();
    for name in names {
        simulation.edit::<Pod>("shop", &name, false, |pod| {
            pod.status = Some(PodStatus {
                phase: Some(phase.into()),
                ..PodStatus::default()
            });
        });
    }
    simulation.settle(8);
}

fn status(simulation: &Simulation) -> JobStatus {
    simulation
        .world
        .jobs
        .named("shop", "sum")
        .unwrap()
        .status
        .clone()
        .unwrap()
}

fn ends(status: &JobStatus) -> Vec<&str> {
    status
        .conditions
        .iter()
        .flatten()
        .map(|condition| condition.type_.as_str())
        .collect()
}

#[test]
fn a_job_completes_and_lets_its_pods_go() {
    let mut simulation = started(|_| {});
    assert_eq!(simulation.world.pods.len(), 2);
    assert!(simulation.world.pods.all().all(|pod| counting::is_tracked(pod)));
    end(&mut simulation, "Succeeded");
    let status = status(&simulation);
    assert_eq!(
        (status.succeeded, status.active, ends(&status)),
        (Some(2), None, vec!["SuccessCriteriaMet", "Complete"])
    );
    assert!(simulation.world.pods.all().all(|pod| !counting::is_tracked(pod)));
    assert!(simulation.events.contains(&"Completed: Job completed".to_owned()));
}

#[test]
fn failures_are_retried_later_and_later_until_the_limit() {
    let mut simulation = started(|spec| {
        spec.completions = Some(1);
        spec.parallelism = Some(1);
    });
    end(&mut simulation, "Failed");
    assert_eq!(simulation.world.pods.len(), 1, "the next one waits");
    simulation.advance(11);
    simulation.settle(6);
    assert_eq!(simulation.world.pods.len(), 2);
    end(&mut simulation, "Failed");
    let status = status(&simulation);
    assert_eq!(
        (status.failed, ends(&status)),
        (Some(2), vec!["FailureTarget", "Failed"])
    );
    assert_eq!(
        status.conditions.unwrap()[1].reason.as_deref(),
        Some("BackoffLimitExceeded")
    );
}

#[test]
fn each_index_is_completed_once() {
    let mut simulation = started(|spec| {
        spec.completion_mode = Some("Indexed".into());
        spec.completions = Some(3);
    });
    let mut indexes: Vec<_> = simulation
        .world
        .pods
        .all()
        .filter_map(|pod| pods::index_of(pod))
        .collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1]);
    end(&mut simulation, "Succeeded");
    assert_eq!(status(&simulation).completed_indexes.as_deref(), Some("0,1"));
    end(&mut simulation, "Succeeded");
    let status = status(&simulation);
    assert_eq!(
        (status.completed_indexes.as_deref(), status.succeeded),
        (Some("0-2"), Some(3))
    );
    assert_eq!(ends(&status), ["SuccessCriteriaMet", "Complete"]);
}

#[test]
fn a_suspended_job_has_no_pods_until_it_is_resumed() {
    let mut simulation = started(|spec| spec.suspend = Some(true));
    assert_eq!(
        (simulation.world.pods.len(), ends(&status(&simulation))),
        (0, vec!["Suspended"])
    );
    simulation.edit::<Job>("shop", "sum", true, |job| {
        job.spec.as_mut().unwrap().suspend = Some(false)
    });
    simulation.settle(6);
    assert_eq!(simulation.world.pods.len(), 2);
}

#[test]
fn a_job_goes_after_its_time_to_live() {
    let mut simulation = started(|spec| spec.ttl_seconds_after_finished = Some(30));
    end(&mut simulation, "Succeeded");
    let job = simulation.world.jobs.named("shop", "sum").unwrap().clone();
    let plan = Controller::plan(&Jobs, &job, &simulation.world, simulation.now);
    assert_eq!(plan.look_again_in, Some(Duration::from_secs(30)));
    simulation.advance(30);
    let plan = Controller::plan(&Jobs, &job, &simulation.world, simulation.now);
    assert!(matches!(
        plan.steps[0].change,
        Change::Delete {
            propagation: Some(Propagation::Foreground),
            ..
        }
    ));
}
