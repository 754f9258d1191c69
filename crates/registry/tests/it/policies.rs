//! Validating and mutating admission policies.

use kube_types::dynamic::{Value, json};
use registry::{RequestBody, StatusError, WriteOptions};

use crate::world::{World, target};

const GROUP: &str = "admissionregistration.k8s.io/v1";

fn constraints() -> Value {
    json!({"resourceRules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"],
        "resources": ["configmaps"]}]})
}

async fn policy(world: &World, kind: &str, name: &str, mut spec: Value, binding: Value) -> Result<(), StatusError> {
    if spec.get("matchConstraints").is_none() {
        spec["matchConstraints"] = constraints();
    }
    let (policies, bindings) = match kind {
        "Validating" => ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
        _ => ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
    };
    world
        .create(
            &format!("{GROUP}/{policies}"),
            json!({"metadata": {"name": name}, "spec": spec}),
        )
        .await?;
    let mut spec = binding;
    spec["policyName"] = name.into();
    world
        .create(
            &format!("{GROUP}/{bindings}"),
            json!({"metadata": {"name": format!("{name}-binding")}, "spec": spec}),
        )
        .await?;
    Ok(())
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"metadata": {"name": name}, "data": data})
}

async fn make(world: &World, name: &str, data: Value) -> Result<Value, StatusError> {
    world.create("v1/configmaps/default", config_map(name, data)).await
}

#[tokio::test]
async fn a_policy_refuses_warns_and_explains() {
    let world = World::new().await;
    let spec = json!({
    "variables": [{"name": "size", "expression": "object.data.size()"}],
    "matchConditions": [{"name": "not-system", "expression": "!request.name.startsWith('kube-')"}],
    "validations": [
        {"expression": "variables.size <= 2", "messageExpression": "'too many: ' + string(variables.size)"},
        {"expression": "!('bad' in object.data)", "message": "no bad data", "reason": "Forbidden"},
        {"expression": "namespaceObject.metadata.name == 'default'"},
    ]});
    let deny = json!({"validationActions": ["Deny"]});
    policy(&world, "Validating", "p", spec, deny).await.unwrap();
    make(&world, "fine", json!({"a": "1"})).await.unwrap();
    let refused = make(&world, "big", json!({"a": "1", "b": "2", "c": "3"}))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.reason(), refused.message()),
        (
            422,
            "Invalid",
            "configmaps \"big\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p-binding' denied request: \
             too many: 3"
        )
    );
    let refused = make(&world, "bad", json!({"bad": "1"})).await.unwrap_err();
    assert_eq!((refused.code(), refused.reason()), (403, "Forbidden"));
    make(&world, "kube-big", json!({"a": "1", "b": "2", "c": "3"}))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_warning_lets_pass() {
    let world = World::new().await;
    let spec = json!({"validations": [{"expression": "object.data.a == '1'"}]});
    policy(&world, "Validating", "w", spec, json!({"validationActions": ["Warn"]}))
        .await
        .unwrap();
    let context = world.context();
    let body = RequestBody::json(config_map("x", json!({"a": "2"})).to_string());
    world
        .registry
        .create(
            &context,
            &target("v1/configmaps/default"),
            body,
            WriteOptions::default(),
        )
        .await
        .unwrap();
    assert_eq!(
        context.warnings.take(),
        [
            "Validation failed for ValidatingAdmissionPolicy 'w' with binding 'w-binding': failed expression: \
             object.data.a == '1'"
        ]
    );
}

#[tokio::test]
async fn parameters_are_read_when_they_are_needed() {
    let world = World::new().await;
    let spec = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [{"expression": "!has(params.data.max) || object.data.size() <= int(params.data.max)"}]});
    let binding = json!({"validationActions": ["Deny"],
        "matchResources": {"objectSelector": {"matchExpressions": [{"key": "param", "operator": "DoesNotExist"}]}},
        "paramRef": {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}});
    policy(&world, "Validating", "limited", spec, binding).await.unwrap();
    let refused = make(&world, "early", json!({})).await.unwrap_err();
    assert!(
        refused
            .message()
            .ends_with("no params found for policy binding with `Deny` parameterNotFoundAction"),
        "{}",
        refused.message()
    );
    let limits = json!({"metadata": {"name": "limits", "labels": {"param": ""}}, "data": {"max": "1"}});
    world.create("v1/configmaps/default", limits).await.unwrap();
    make(&world, "one", json!({"a": "1"})).await.unwrap();
    assert!(make(&world, "two", json!({"a": "1", "b": "2"})).await.is_err());
}

#[tokio::test]
async fn a_failing_expression_counts_as_the_policy_says() {
    let world = World::new().await;
    let spec = json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.data.missing == '1'"}]});
    policy(
        &world,
        "Validating",
        "open",
        spec,
        json!({"validationActions": ["Deny"]}),
    )
    .await
    .unwrap();
    make(&world, "a", json!({"x": "1"})).await.unwrap();
    let spec = json!({"validations": [{"expression": "object.data.missing == '1'"}]});
    policy(
        &world,
        "Validating",
        "strict",
        spec,
        json!({"validationActions": ["Deny"]}),
    )
    .await
    .unwrap();
    let refused = make(&world, "b", json!({"x": "1"})).await.unwrap_err();
    assert!(
        refused
            .message()
            .ends_with("expression 'object.data.missing == '1'' resulted in error: no such key: missing"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn expressions_are_compiled_when_they_are_written() {
    let world = World::new().await;
    for (spec, problem) in [
        (
            json!({"validations": [{"expression": "object.x ="}]}),
            "spec.validations[0].expression: Invalid value: \"object.x =\": compilation failed: ERROR: <input>:1:10: \
             Syntax error",
        ),
        (
            json!({"validations": [{"expression": "'text'"}]}),
            "spec.validations[0].expression: Invalid value: \"'text'\": must evaluate to bool",
        ),
        (
            json!({"validations": [{"expression": "variables.none == 1"}]}),
            "undefined field 'none'",
        ),
        (
            json!({"validations": [{"expression": "params.x == 1"}]}),
            "undeclared reference to 'params' (in container '')",
        ),
    ] {
        let refused = policy(&world, "Validating", "bad", spec, json!({})).await.unwrap_err();
        assert_eq!(refused.code(), 422);
        assert!(refused.message().contains(problem), "{}", refused.message());
    }
}

#[tokio::test]
async fn mutating_policies_apply_and_patch() {
    let world = World::new().await;
    let spec = json!({"reinvocationPolicy": "Never", "failurePolicy": "Fail",
    "matchConstraints": {"resourceRules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
        "resources": ["pods"]}]},
    "matchConditions": [{"name": "no-sidecar", "expression": "!object.spec.containers.exists(c, c.name == 'mesh')"}],
    "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
            "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'mesh', image: 'mesh:1'}]}}"}},
        {"patchType": "JSONPatch", "jsonPatch": {"expression":
            "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'mesh': string(object.spec.containers.size())}}]"}}
    ]});
    policy(&world, "Mutating", "sidecar", spec, json!({})).await.unwrap();
    world
        .create("v1/serviceaccounts/default", json!({"metadata": {"name": "default"}}))
        .await
        .ok();
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}});
    let made = world.create("v1/pods/default", pod).await.unwrap();
    let names: Vec<&str> = made["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        (names.len(), made["metadata"]["labels"]["mesh"].as_str()),
        (2, Some("2")),
        "{made}"
    );
}

/// Source: `apiserver/pkg/admission/plugin/policy/mutating/patch/smd.go`.
#[tokio::test]
async fn an_apply_configuration_may_not_set_what_is_replaced_as_a_whole() {
    for (expression, problem) in [
        (
            "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'app', args: ['x']}]}}",
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args",
        ),
        (
            "Object{metadata: Object.metadata{labels: {'a': 'b'}}, spec: Object.spec{nodeSelector: {'a': 'b'}}}",
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.nodeSelector",
        ),
    ] {
        let world = World::new().await;
        let spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["pods"]}]},
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]});
        policy(&world, "Mutating", "whole", spec, json!({})).await.unwrap();
        let account = json!({"metadata": {"name": "default"}});
        world.create("v1/serviceaccounts/default", account).await.ok();
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}});
        let refused = world.create("v1/pods/default", pod).await.unwrap_err();
        assert!(refused.message().contains(problem), "{}", refused.message());
    }
}

/// Waits until the status of a policy is about its present generation.
async fn checked(world: &World, name: &str) -> Value {
    let query = format!("fieldSelector=metadata.name={name}");
    let mut events = world
        .watch(&format!("{GROUP}/validatingadmissionpolicies"), &query)
        .await
        .unwrap();
    let seen = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        loop {
            let (_, policy) = events.next().await;
            if policy["status"]["observedGeneration"] == policy["metadata"]["generation"] {
                return policy;
            }
        }
    });
    seen.await.unwrap()
}

#[tokio::test]
async fn the_status_of_a_policy_warns_of_fields_that_its_kinds_do_not_have() {
    let world = World::new().await;
    world.registry.start_policy_status(&world.supervisor);
    crate::custom_resources::define(&world, crate::custom_resources::widgets()).await;
    let of_group = |group: &str, resources: &[&str]| {
        json!({"resourceRules": [{"operations": ["*"], "apiGroups": [group], "apiVersions": ["v1"],
            "resources": resources}]})
    };
    let spec = json!({"matchConstraints": of_group("", &["configmaps"]),
        "validations": [{"expression": "object.data['a'] == 'b'"}, {"expression": "object.spec.replicas > 1"}]});
    let path = format!("{GROUP}/validatingadmissionpolicies");
    let create = json!({"metadata": {"name": "p"}, "spec": spec});
    world.create(&path, create).await.unwrap();
    let policy = checked(&world, "p").await;
    let warning =
        "/v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'spec'\n | object.spec.replicas > 1\n | ......^\n";
    assert_eq!(
        policy["status"]["typeChecking"],
        json!({"expressionWarnings": [{"fieldRef": "spec.validations[1].expression", "warning": warning}]})
    );
    let owner = &policy["metadata"]["managedFields"][0];
    assert_eq!(
        (&owner["manager"], &owner["operation"], &owner["subresource"]),
        (
            &json!("validatingadmissionpolicy-status"),
            &json!("Apply"),
            &json!("status")
        )
    );
    // Custom resources have types too, and all of ordinary metadata.
    let spec = json!({"matchConstraints": of_group("example.com", &["widgets"]), "validations": [
        {"expression": "object.spec.size > 1 && object.metadata.labels['a'] == 'b'"},
        {"expression": "object.spec.colour == 'red'"}]});
    world
        .patch(&format!("{path}/-/p"), json!({ "spec": spec }))
        .await
        .unwrap();
    let policy = checked(&world, "p").await;
    let warnings = policy["status"]["typeChecking"]["expressionWarnings"]
        .as_array()
        .unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let warning = warnings[0]["warning"].as_str().unwrap();
    assert!(
        warning.starts_with("example.com/v1, Kind=Widget: ERROR: ") && warning.contains("undefined field 'colour'"),
        "{warning}"
    );
    let right = json!({"spec": {"validations": [{"expression": "object.spec.color == 'red'"}]}});
    world.patch(&format!("{path}/-/p"), right).await.unwrap();
    let warnings = &checked(&world, "p").await["status"]["typeChecking"]["expressionWarnings"];
    assert!(warnings.is_null(), "{warnings}");
}
