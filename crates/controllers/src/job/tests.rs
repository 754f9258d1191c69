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

/// A policy with one rule.
fn policy(rule: &str) -> Option<k8s_openapi::api::batch::v1::PodFailurePolicy> {
    Some(serde_json::from_str(&format!(r#"{{"rules":[{rule}]}}"#)).unwrap())
}

/// The pod of an index, or any, fails with an exit code.
fn fail(simulation: &mut Simulation, index: Option<i32>, code: i32) {
    let fits = |pod: &&Arc<Pod>| pod::is_active(pod) && (index.is_none() || pods::index_of(pod) == index);
    let chosen = simulation.world.pods.all().find(fits).unwrap().clone();
    let name = chosen.metadata.name.clone().unwrap();
    let status = format!(
        r#"{{"phase":"Failed","containerStatuses":[{{"name":"main","ready":false,"restartCount":0,"image":"","imageID":"",
            "state":{{"terminated":{{"exitCode":{code}}}}}}}]}}"#
    );
    simulation.edit::<Pod>("shop", &name, false, |pod| {
        pod.status = Some(serde_json::from_str(&status).unwrap())
    });
    simulation.settle(8);
}

#[test]
fn a_failure_policy_ends_the_job_or_does_not_count() {
    let rule = r#"{"action":"FailJob","onExitCodes":{"operator":"In","values":[42]}}"#;
    let mut fatal = started(|spec| {
        spec.pod_failure_policy = policy(rule);
        spec.backoff_limit = Some(6);
    });
    fail(&mut fatal, None, 42);
    assert_eq!(ends(&status(&fatal)), ["FailureTarget"], "a pod still runs");
    fatal.finish_deletions();
    fatal.settle(8);
    let now = status(&fatal);
    assert_eq!(ends(&now), ["FailureTarget", "Failed"]);
    let told = &now.conditions.as_ref().unwrap()[1];
    assert_eq!(told.reason.as_deref(), Some("PodFailurePolicy"));
    let message = told.message.as_deref().unwrap();
    assert!(
        message.starts_with("Container main for pod shop/sum-")
            && message.ends_with("failed with exit code 42 matching FailJob rule at index 0")
    );

    let rule = r#"{"action":"Ignore","onExitCodes":{"operator":"NotIn","values":[1]}}"#;
    let mut harmless = started(|spec| {
        spec.pod_failure_policy = policy(rule);
        spec.backoff_limit = Some(0);
    });
    fail(&mut harmless, None, 7);
    assert_eq!(status(&harmless).failed, None);
    assert_eq!(ends(&status(&harmless)), Vec::<&str>::new());
    fail(&mut harmless, None, 1);
    assert_eq!(ends(&status(&harmless))[0], "FailureTarget");
}

#[test]
fn an_index_that_failed_too_often_is_given_up_and_the_others_go_on() {
    let mut simulation = started(|spec| {
        spec.completion_mode = Some("Indexed".into());
        spec.backoff_limit = None;
        spec.backoff_limit_per_index = Some(1);
    });
    fail(&mut simulation, Some(0), 1);
    simulation.advance(600);
    simulation.settle(8);
    let again = simulation
        .world
        .pods
        .all()
        .find(|pod| !pod::is_terminal(pod) && pods::index_of(pod) == Some(0));
    let annotations = again.unwrap().metadata.annotations.clone().unwrap();
    assert_eq!(annotations["batch.kubernetes.io/job-index-failure-count"], "1");
    fail(&mut simulation, Some(0), 1);
    assert_eq!(status(&simulation).failed_indexes.as_deref(), Some("0"));
    end(&mut simulation, "Succeeded");
    let now = status(&simulation);
    assert_eq!(now.completed_indexes.as_deref(), Some("1"));
    assert_eq!(now.conditions.unwrap()[1].reason.as_deref(), Some("FailedIndexes"));
}

#[test]
fn too_many_failed_indexes_end_the_job() {
    let mut simulation = started(|spec| {
        spec.completion_mode = Some("Indexed".into());
        spec.backoff_limit = None;
        spec.backoff_limit_per_index = Some(0);
        spec.max_failed_indexes = Some(0);
    });
    fail(&mut simulation, Some(1), 1);
    let now = status(&simulation);
    assert_eq!(
        now.conditions.unwrap()[0].reason.as_deref(),
        Some("MaxFailedIndexesExceeded")
    );
}

#[test]
fn a_success_policy_ends_the_job_early() {
    let mut simulation = started(|spec| {
        spec.completion_mode = Some("Indexed".into());
        spec.success_policy = Some(serde_json::from_str(r#"{"rules":[{"succeededIndexes":"1"}]}"#).unwrap());
    });
    let pods = simulation.world.pods.all();
    let leader = pods.into_iter().find(|pod| pods::index_of(pod) == Some(1)).unwrap();
    let name = leader.metadata.name.clone().unwrap();
    simulation.edit::<Pod>("shop", &name, false, |pod| {
        pod.status = Some(PodStatus {
            phase: Some("Succeeded".into()),
            ..PodStatus::default()
        });
    });
    simulation.settle(8);
    assert_eq!(ends(&status(&simulation)), ["SuccessCriteriaMet"]);
    simulation.finish_deletions();
    simulation.settle(8);
    let now = status(&simulation);
    assert_eq!(ends(&now), ["SuccessCriteriaMet", "Complete"]);
    let told = &now.conditions.as_ref().unwrap()[1];
    assert_eq!(
        (told.reason.as_deref(), told.message.as_deref()),
        (Some("SuccessPolicy"), Some("Matched rules at index 0"))
    );
}

#[test]
fn a_pod_on_its_way_out_is_replaced_at_once_or_when_it_has_ended() {
    for (policy, expected) in [("TerminatingOrFailed", 3), ("Failed", 2)] {
        let mut simulation = started(|spec| spec.pod_replacement_policy = Some(policy.into()));
        let name = simulation
            .world
            .pods
            .all()
            .next()
            .unwrap()
            .metadata
            .name
            .clone()
            .unwrap();
        let now = simulation.now;
        simulation.edit::<Pod>("shop", &name, false, |pod| {
            pod.spec.as_mut().unwrap().node_name = Some("node".into());
            pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        });
        simulation.settle(8);
        assert_eq!(simulation.world.pods.len(), expected, "{policy}");
    }
}
