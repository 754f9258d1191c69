//! What `batch` promises, as tests.

use super::*;
use kube_types::dynamic::json;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

#[test]
fn a_short_job_is_filled_and_selects_its_own_pods() {
    let mut job = object(
        json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec":
        {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}),
    );
    (JOB.defaults)(&mut job);
    (JOB.prepare_create)(&mut job);
    let mut errors = Errors::new();
    (JOB.validate)(&job, &mut errors);
    assert_eq!(errors, Errors::new());
    assert_eq!(
        job.0["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"],
        "u"
    );
    assert_eq!(job.0["spec"]["template"]["metadata"]["labels"]["job-name"], "j");
    assert_eq!(
        (&job.0["spec"]["completions"], &job.0["spec"]["backoffLimit"]),
        (&json!(1), &json!(6))
    );
}

#[test]
fn a_job_says_what_happens_when_a_pod_ends() {
    let mut job = object(
        json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec":
        {"containers": [{"name": "c", "image": "i"}]}}}}),
    );
    (JOB.defaults)(&mut job);
    (JOB.prepare_create)(&mut job);
    let mut errors = Errors::new();
    (JOB.validate)(&job, &mut errors);
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#]
    );
}

#[test]
fn schedules_have_five_fields_or_a_name() {
    for (schedule, sound) in [
        ("* * * * *", true),
        ("@hourly", true),
        ("@every 5m", true),
        ("* * *", false),
        ("@never", false),
    ] {
        assert_eq!(schedule_problem(schedule).is_none(), sound, "{schedule}");
    }
}
