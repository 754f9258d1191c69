//! What `limits` promises, as tables.

use super::*;
use kube_types::dynamic::json;

fn problems(rules: &Rules, spec: Value) -> Vec<String> {
    let mut errors = Errors::new();
    (rules.validate)(&Object::from_value(json!({"spec": spec})).unwrap(), &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_of_containers_follow_from_what_is_said() {
    let mut range = Object::from_value(json!({"spec": {"limits": [
        {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}, {"type": "Pod", "max": {"cpu": "4"}}]}}))
    .unwrap();
    (LIMIT_RANGE.defaults)(&mut range);
    assert_eq!(
        range.0["spec"]["limits"],
        json!([{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}, "default": {"cpu": "2"},
            "defaultRequest": {"cpu": "2", "memory": "1Mi"}}, {"type": "Pod", "max": {"cpu": "4"}}])
    );
}

#[test]
fn what_is_wrong_with_limits_is_said_in_upstreams_words() {
    for (limits, problem) in [
        (
            json!([{"type": "Pod", "default": {"cpu": "1"}}]),
            "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
        ),
        (
            json!([{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]),
            "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
        ),
        (
            json!([{"type": "Container", "defaultRequest": {"cpu": "2"}, "default": {"cpu": "1"}}]),
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than default limit value 1",
        ),
        (
            json!([{"type": "Pod"}, {"type": "Pod"}]),
            "spec.limits[1].type: Duplicate value: \"Pod\"",
        ),
        (
            json!([{"type": "PersistentVolumeClaim"}]),
            "spec.limits[0]: Required value: either minimum or maximum storage value is required, but neither was provided",
        ),
    ] {
        assert_eq!(problems(&LIMIT_RANGE, json!({"limits": limits})), [problem]);
    }
}

#[test]
fn what_is_wrong_with_quotas_is_said_in_upstreams_words() {
    for (spec, problem) in [
        (
            json!({"hard": {"gold": "1"}}),
            "spec.hard[gold]: Invalid value: \"gold\": must be a standard resource for quota",
        ),
        (
            json!({"hard": {"pods": "-1"}}),
            "spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
        ),
        (
            json!({"hard": {"pods": "1500m"}}),
            "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
        ),
        (
            json!({"scopes": ["BestEffort", "NotBestEffort"]}),
            r#"spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes"#,
        ),
        (
            json!({"scopes": ["All"]}),
            r#"spec.scopes: Invalid value: ["All"]: unsupported scope"#,
        ),
    ] {
        assert_eq!(problems(&RESOURCE_QUOTA, spec), [problem]);
    }
    let sound =
        json!({"hard": {"requests.cpu": "1500m", "count/deployments.apps": "2", "requests.nvidia.com/gpu": "1"}});
    assert!(problems(&RESOURCE_QUOTA, sound).is_empty());
}
