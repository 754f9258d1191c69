//! One row for each rule.

use super::*;

fn service(name: &str, spec: Value) -> Object {
    Object::from_value(json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}))
    .unwrap()
}

fn problems(name: &str, spec: Value) -> Vec<String> {
    let mut errors = Errors::new();
    validate(&service(name, spec), &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn good_services_pass() {
    let remote = json!({"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100,
        "versionPriority": 100, "insecureSkipTLSVerify": true,
        "service": {"namespace": "kube-system", "name": "metrics-server"}});
    assert_eq!(problems("v1beta1.metrics.k8s.io", remote), Vec::<String>::new());
    let core = json!({"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1});
    assert_eq!(problems("v1.", core), Vec::<String>::new());
}

#[test]
fn each_rule_has_upstreams_words() {
    let spec = json!({"group": "", "version": "v2", "groupPriorityMinimum": 0, "versionPriority": 1001,
        "insecureSkipTLSVerify": true, "caBundle": "YWJj", "service": {"name": "x"}});
    assert_eq!(
        problems("other", spec),
        [
            "metadata.name: Invalid value: \"other\": must be `spec.version+\".\"+spec.group`: \"v2.\"",
            "spec.group: Required value: only v1 may have an empty group and it better be legacy kube",
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
            "spec.service.namespace: Required value",
            "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
        ]
    );
    let local = json!({"group": "a.b", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
        "caBundle": "YWI=", "insecureSkipTLSVerify": true});
    assert_eq!(
        problems("v1.a.b", local),
        [
            "spec.caBundle: Invalid value: \"2 bytes\": local APIServices may not have a caBundle",
            "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
        ]
    );
}

#[test]
fn local_services_are_available_from_the_beginning() {
    let mut local = service("v1.", json!({"version": "v1"}));
    local_is_available(&mut local);
    let condition = &local.0["status"]["conditions"][0];
    assert_eq!(
        (&condition["reason"], &condition["lastTransitionTime"]),
        (&json!("Local"), &json!("2026-01-01T00:00:00Z"))
    );
    let mut remote = service(
        "v1.x",
        json!({"version": "v1", "group": "x", "service": {"name": "a", "namespace": "b"}}),
    );
    local_is_available(&mut remote);
    assert!(!remote.0.contains_key("status"));
}
