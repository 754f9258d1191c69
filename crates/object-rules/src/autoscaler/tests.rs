//! What `autoscaler` promises, as tables.

use super::*;

fn scaler(change: Value) -> Object {
    let mut spec = json!({"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"}});
    for (field, value) in change.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let mut scaler = Object::from_value(json!({"spec": spec})).unwrap();
    (HORIZONTAL_POD_AUTOSCALER.defaults)(&mut scaler);
    scaler
}

#[test]
fn behavior_is_filled_only_where_some_is_given() {
    assert_eq!(scaler(json!({})).0["spec"].get("behavior"), None);
    let filled = scaler(json!({"behavior": {"scaleDown": {"selectPolicy": "Min"}}}));
    assert_eq!(
        filled.0["spec"]["behavior"],
        json!({"scaleDown": {"selectPolicy": "Min", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]}})
    );
}

#[test]
fn what_is_wrong_with_an_autoscaler_is_said_in_upstreams_words() {
    for (change, problem) in [
        (
            json!({"maxReplicas": 0}),
            "spec.maxReplicas: Invalid value: 0: must be greater than 0",
        ),
        (
            json!({"metrics": [{}]}),
            "spec.metrics[0].type: Required value: must specify a metric source type",
        ),
        (
            json!({"metrics": [{"type": "Disk"}]}),
            r#"spec.metrics[0].type: Unsupported value: "Disk": supported values: "ContainerResource", "External", "Object", "Pods", "Resource""#,
        ),
        (
            json!({"metrics": [{"type": "Resource"}]}),
            "spec.metrics[0].resource: Required value: must populate information for the given metric source",
        ),
        (
            json!({"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]}),
            "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
        ),
        (
            json!({"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 3600}]}}}),
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 3600: must be less than or equal to 1800",
        ),
    ] {
        let mut errors = Errors::new();
        validate(&scaler(change), &mut errors);
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [problem]);
    }
}
