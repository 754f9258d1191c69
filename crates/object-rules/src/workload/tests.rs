//! What `workload` promises, as tests.

use super::*;
use kube_types::dynamic::json;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

fn deployment(change: impl FnOnce(&mut Value)) -> Object {
    let mut value = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}});
    change(&mut value);
    let mut deployment = object(value);
    (DEPLOYMENT.defaults)(&mut deployment);
    deployment
}

fn problems(object: &Object) -> Vec<String> {
    let mut errors = Errors::new();
    (DEPLOYMENT.validate)(object, &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_short_deployment_is_filled_and_sound() {
    let web = deployment(|_| {});
    assert_eq!(problems(&web), Vec::<String>::new());
    insta::assert_snapshot!(serde_json::to_string_pretty(&web).unwrap());
}

#[test]
fn what_is_wrong_is_said_in_upstreams_words() {
    type Change = fn(&mut Value);
    let changes: [Change; 7] = [
        |d| {
            d["spec"].as_object_mut().unwrap().remove("selector");
        },
        |d| d["spec"]["template"]["metadata"]["labels"]["app"] = "other".into(),
        |d| d["spec"]["replicas"] = (-1).into(),
        |d| {
            d["spec"]["strategy"] =
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}})
        },
        |d| d["spec"]["template"]["spec"]["restartPolicy"] = "Never".into(),
        |d| d["spec"]["template"]["spec"]["containers"] = json!([]),
        |d| d["spec"]["progressDeadlineSeconds"] = 0.into(),
    ];
    let all: Vec<String> = changes
        .into_iter()
        .map(|change| problems(&deployment(change)).join("\n"))
        .collect();
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn a_selector_never_changes() {
    let (old, new) = (
        deployment(|_| {}),
        deployment(|d| d["spec"]["selector"]["matchLabels"]["x"] = "y".into()),
    );
    let mut errors = Errors::new();
    (DEPLOYMENT.validate_update)(&new, &old, &mut errors);
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [r#"spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable"#]
    );
}
