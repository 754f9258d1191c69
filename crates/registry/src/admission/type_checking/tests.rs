//! Warnings about expressions, in upstream's words.

use super::*;
use crate::kinds::KindTable;

fn policy(resources: &[(&str, &str)], validation: Value, more: Value) -> Object {
    let rules: Vec<Value> = resources
        .iter()
        .map(|(group, resource)| json!({"apiGroups": [group], "apiVersions": ["v1"], "resources": [resource]}))
        .collect();
    let mut spec = json!({"matchConstraints": {"resourceRules": rules}, "validations": [validation]});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    Object::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
}

fn check(resources: &[(&str, &str)], validation: Value, more: Value) -> Vec<(String, String)> {
    let found = warnings(&policy(resources, validation, more), &KindTable::built_in());
    let text = |warning: &Value, field: &str| warning[field].as_str().unwrap().to_owned();
    found
        .iter()
        .map(|warning| (text(warning, "fieldRef"), text(warning, "warning")))
        .collect()
}

const WORKLOADS: &[(&str, &str)] = &[("apps", "deployments"), ("apps", "replicasets")];

#[test]
fn a_field_that_does_not_exist_is_warned_of_for_each_kind() {
    let found = check(WORKLOADS, json!({"expression": "object.replicas > 1"}), json!({}));
    let warning = "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^\n\n\
                   apps/v1, Kind=ReplicaSet: ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^\n";
    assert_eq!(
        found,
        [("spec.validations[0].expression".to_owned(), warning.to_owned())]
    );
}

#[test]
fn what_is_right_is_not_warned_of() {
    for expression in [
        "object.spec.replicas > 1 && oldObject.spec.replicas > 0",
        "object.spec.template.spec.containers.all(c, c.image.startsWith('a') && c.ports.all(p, p.containerPort > 1))",
        "object.metadata.labels['a'] == 'b' && object.metadata.__namespace__ == 'c'",
        "object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')",
        "object.spec.strategy.rollingUpdate.maxSurge == '25%' || object.spec.strategy.rollingUpdate.maxSurge == 1",
        "request.userInfo.groups.exists(g, g == 'a') && namespaceObject.metadata.labels['a'] == 'b'",
        "authorizer.group('').resource('endpoints').check('create').allowed()",
    ] {
        let found = check(&WORKLOADS[..1], json!({"expression": expression}), json!({}));
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn types_messages_variables_and_params_are_checked() {
    let wrong = |expression: &str, more: Value, problem: &str| {
        let found = check(&WORKLOADS[..1], json!({"expression": expression}), more);
        assert!(
            found.len() == 1 && found[0].1.contains(problem),
            "{expression}: {found:?}"
        );
    };
    wrong(
        "object.spec.replicas == 'x'",
        json!({}),
        "found no matching overload for '_==_' applied to '(int, string)'",
    );
    wrong("request.object == null", json!({}), "undefined field 'object'");
    wrong("namespaceObject.metadata.uid == ''", json!({}), "undefined field 'uid'");
    let variables = json!({"variables": [{"name": "n", "expression": "object.spec.replicas"}]});
    wrong(
        "variables.n.startsWith('a')",
        variables,
        "found no matching overload for 'startsWith'",
    );
    let param = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}});
    wrong("params.limit == '1'", param, "undefined field 'limit'");
    let unknown = json!({"paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"}});
    assert!(check(WORKLOADS, json!({"expression": "params.limit == '1'"}), unknown).is_empty());
    let message = json!({"expression": "true", "messageExpression": "object.foo + 'x'"});
    let found = check(&WORKLOADS[..1], message, json!({}));
    assert_eq!(found[0].0, "spec.validations[0].messageExpression");
}

#[test]
fn quantities_are_not_to_be_seen_as_upstream_has_it() {
    let expression = "object.spec.containers[0].resources.limits['cpu'] == '1'";
    let found = check(&[("", "pods")], json!({"expression": expression}), json!({}));
    assert!(found[0].1.starts_with("/v1, Kind=Pod: ERROR: <input>:1:"), "{found:?}");
    assert!(found[0].1.contains("undefined field 'limits'"), "{found:?}");
}

#[test]
fn wildcards_and_subresources_name_no_kinds() {
    for resources in [("*", "pods"), ("", "*"), ("", "pods/status"), ("example.com", "none")] {
        let found = check(&[resources], json!({"expression": "object.nothing"}), json!({}));
        assert!(found.is_empty(), "{resources:?}: {found:?}");
    }
}

#[test]
fn no_more_than_ten_kinds_of_a_rule_are_checked() {
    let all: Vec<&str> = vec![
        "pods",
        "services",
        "configmaps",
        "secrets",
        "nodes",
        "namespaces",
        "events",
        "endpoints",
        "limitranges",
        "resourcequotas",
        "serviceaccounts",
        "persistentvolumes",
    ];
    let rule = json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": all}]);
    assert_eq!(
        kinds_to_check(&json!({ "resourceRules": rule }), &KindTable::built_in()).len(),
        10
    );
}
