//! Tables of what is refused, and round trips.
#![allow(clippy::too_many_lines, reason = "tables are long")]

use super::*;

fn problems(rules: &Rules, mut object: Value) -> Vec<String> {
    object["metadata"] = json!({"name": object["name"].as_str().unwrap_or("mine")});
    let mut object = Object::from_value(object).unwrap();
    object.0.remove("name");
    (rules.defaults)(&mut object);
    let mut errors = Errors::new();
    (rules.validate)(&object, &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

fn schema(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut object = json!({"spec": {"priorityLevelConfiguration": {"name": "workload-low"},
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": [{"kind": "User", "user": {"name": "kim"}}],
            "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["a"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/healthz/*"]}]}]}});
    change(&mut object);
    problems(&FLOW_SCHEMA, object)
}

fn level(spec: Value) -> Vec<String> {
    problems(&PRIORITY_LEVEL, json!({ "spec": spec }))
}

#[test]
fn a_sound_schema_has_no_problems() {
    assert_eq!(schema(|_| {}), Vec::<String>::new());
}

#[test]
fn schemas_are_refused_in_upstreams_words() {
    const RULE: &str = "/spec/rules/0";
    let set = |path: &'static str, value: Value| {
        schema(move |object| {
            let (parent, member) = path.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[member] = value;
        })
    };
    let rule = |member: &str, value: Value| {
        let member = member.to_owned();
        schema(move |object| object.pointer_mut(RULE).unwrap()[member] = value)
    };
    let resource = |member: &str, value: Value| {
        let member = member.to_owned();
        schema(move |object| object.pointer_mut(RULE).unwrap()["resourceRules"][0][member] = value)
    };
    let path = |value: Value| {
        schema(move |object| object.pointer_mut(RULE).unwrap()["nonResourceRules"][0]["nonResourceURLs"] = value)
    };
    let verbs = r#"supported values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch""#;
    let cases: Vec<(Vec<String>, String)> = vec![
        (set("/spec/matchingPrecedence", json!(0)), "spec.matchingPrecedence: Invalid value: 0: must be a positive value".into()),
        (set("/spec/matchingPrecedence", json!(10_001)), "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000".into()),
        (set("/spec/matchingPrecedence", json!(1)), "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1".into()),
        (set("/spec/distinguisherMethod", json!({"type": "ByColor"})), r#"spec.distinguisherMethod.type: Unsupported value: "ByColor": supported values: "ByNamespace", "ByUser""#.into()),
        (set("/spec/priorityLevelConfiguration", json!({"name": ""})), "spec.priorityLevelConfiguration.name: Required value: must reference a priority level".into()),
        (rule("subjects", json!([])), "spec.rules[0].subjects: Required value: subjects must contain at least one value".into()),
        (rule("subjects", json!([{"kind": "Robot"}])), r#"spec.rules[0].subjects[0].kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User""#.into()),
        (rule("subjects", json!([{"kind": "Group"}])), "spec.rules[0].subjects[0].group: Required value: group is required when subject kind is 'Group'".into()),
        (rule("subjects", json!([{"kind": "Group", "group": {"name": "a"}, "user": {"name": "b"}}])), "spec.rules[0].subjects[0].user: Forbidden: user is forbidden when subject kind is not 'User'".into()),
        (rule("subjects", json!([{"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": ""}}])), "spec.rules[0].subjects[0].serviceAccount.namespace: Required value: must specify namespace for service account".into()),
        (resource("verbs", json!([])), "spec.rules[0].resourceRules[0].verbs: Required value: verbs must contain at least one value".into()),
        (resource("verbs", json!(["*", "get"])), r#"spec.rules[0].resourceRules[0].verbs: Invalid value: ["*","get"]: if '*' is present, must not specify other verbs"#.into()),
        (resource("verbs", json!(["fly"])), format!(r#"spec.rules[0].resourceRules[0].verbs: Unsupported value: ["fly"]: {verbs}"#)),
        (resource("apiGroups", json!([])), "spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group".into()),
        (resource("resources", json!(["*", "pods"])), r#"spec.rules[0].resourceRules[0].resources: Invalid value: ["*","pods"]: if '*' is present, must not specify other resources"#.into()),
        (resource("namespaces", json!([])), "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace".into()),
        (path(json!(["/a b"])), r#"spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "/a b": must not contain white-space"#.into()),
        (path(json!(["a"])), r#"spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "a": must start with slash"#.into()),
        (path(json!(["/a*"])), r#"spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "/a*": wildcard can only do suffix matching"#.into()),
        (path(json!(["//a"])), r#"spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "//a": must not contain double slash"#.into()),
    ];
    for (found, wanted) in cases {
        assert_eq!(found, [wanted]);
    }
    let neither = schema(|object| {
        let rule = object.pointer_mut(RULE).unwrap();
        rule["resourceRules"] = json!([]);
        rule["nonResourceRules"] = json!([]);
    });
    let wanted =
        "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty";
    assert_eq!(neither, [wanted]);
}

#[test]
fn mandatory_schemas_stay_as_they_are() {
    let exempt = |groups: &[&str]| {
        json!({"name": "exempt", "spec": {"matchingPrecedence": 1,
            "priorityLevelConfiguration": {"name": "exempt"}, "rules": [anything(groups)]}})
    };
    assert!(problems(&FLOW_SCHEMA, exempt(&["system:masters"])).is_empty());
    let changed = problems(&FLOW_SCHEMA, exempt(&["others"]));
    assert_eq!(changed.len(), 1);
    assert!(
        changed[0].ends_with("spec of 'exempt' must equal the fixed value"),
        "{changed:?}"
    );
    let level = problems(
        &PRIORITY_LEVEL,
        json!({"name": "exempt", "spec": {"type": "Exempt", "exempt": {"lendablePercent": 50}}}),
    );
    assert!(level.is_empty(), "{level:?}");
    let level = json!({"name": "catch-all", "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 6,
        "limitResponse": {"type": "Reject"}}}});
    let changed = problems(&PRIORITY_LEVEL, level);
    assert!(
        changed[0].ends_with("spec of 'catch-all' must equal the fixed value"),
        "{changed:?}"
    );
}

#[test]
fn levels_are_refused_in_upstreams_words() {
    let queuing = |queuing: Value| json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": queuing}}});
    let limited = |limited: Value| json!({"type": "Limited", "limited": limited});
    let reject = json!({"type": "Reject"});
    assert_eq!(level(queuing(json!({}))), Vec::<String>::new());
    let cases = [
        (
            json!({"type": "Exempt"}),
            vec!["spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"],
        ),
        (
            json!({"type": "Open"}),
            vec![r#"spec.type: Unsupported value: "Open": supported values: "Exempt", "Limited""#],
        ),
        (
            json!({"type": "Limited"}),
            vec!["spec.limited: Required value: must not be empty when type is Limited"],
        ),
        (
            json!({"type": "Limited", "exempt": {}, "limited": {"limitResponse": reject}}),
            vec!["spec.exempt: Forbidden: must be nil if the type is Limited"],
        ),
        (
            limited(json!({"limitResponse": reject, "nominalConcurrencyShares": -1})),
            vec!["spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer"],
        ),
        (
            limited(json!({"limitResponse": reject, "lendablePercent": 101})),
            vec!["spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive"],
        ),
        (
            limited(json!({"limitResponse": reject, "borrowingLimitPercent": -1})),
            vec!["spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer"],
        ),
        (
            limited(json!({"limitResponse": {"type": "Wait"}})),
            vec![r#"spec.limited.limitResponse.type: Unsupported value: "Wait": supported values: "Queue", "Reject""#],
        ),
        (
            limited(json!({"limitResponse": {"type": "Queue"}})),
            vec![
                "spec.limited.limitResponse.queuing: Required value: must not be empty if limited.limitResponse.type is Limited",
            ],
        ),
        (
            limited(json!({"limitResponse": {"type": "Reject", "queuing": {}}})),
            vec![
                "spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited",
            ],
        ),
        (
            queuing(json!({"queues": 0})),
            vec![
                "spec.limited.limitResponse.queuing.queues: Invalid value: 0: must be positive",
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: should not be greater than queues (0)",
            ],
        ),
        (
            queuing(json!({"queues": 1024, "handSize": 8})),
            vec![
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 1024 and handSize 8 should not be greater than 60",
            ],
        ),
        (
            queuing(json!({"queueLengthLimit": 0})),
            vec!["spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: 0: must be positive"],
        ),
    ];
    for (spec, wanted) in cases {
        assert_eq!(level(spec), wanted);
    }
}
