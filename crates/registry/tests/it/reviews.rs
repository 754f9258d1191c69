//! Questions about access: what is wrong with one, and what selectors change.

use kube_types::dynamic::{Value, json};

use crate::world::World;

const REVIEWS: &str = "authorization.k8s.io/v1/subjectaccessreviews";

async fn review(world: &World, user: &str, groups: Value, resource: Value) -> Value {
    let object = json!({"spec": {"user": user, "groups": groups, "resourceAttributes": resource}});
    world.create(REVIEWS, object).await.unwrap()["status"].clone()
}

#[tokio::test]
async fn a_node_lists_its_own_pods_by_selector() {
    let world = World::new().await;
    let pods = |selector: Value| {
        let mut resource = json!({"verb": "list", "resource": "pods"});
        if !selector.is_null() {
            resource["fieldSelector"] = selector;
        }
        resource
    };
    let groups = || json!(["system:nodes", "system:authenticated"]);
    let own = json!({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]});
    let raw = json!({"rawSelector": "spec.nodeName=n1"});
    for selector in [own, raw] {
        let status = review(&world, "system:node:n1", groups(), pods(selector.clone())).await;
        assert_eq!(status["allowed"], true, "{status}");
        let status = review(&world, "system:node:n2", groups(), pods(selector)).await;
        assert_eq!(status["allowed"], false, "{status}");
    }
    let status = review(&world, "system:node:n1", groups(), pods(Value::Null)).await;
    assert_eq!(
        status["reason"],
        "can only list/watch pods with spec.nodeName field selector"
    );
    let several = json!({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1", "n2"]}]});
    let status = review(&world, "system:node:n1", groups(), pods(several)).await;
    assert_eq!(
        (&status["allowed"], &status["evaluationError"]),
        (
            &json!(false),
            &json!("fieldSelectors do not yet support multiple values")
        )
    );
}

#[tokio::test]
async fn a_question_that_is_none_is_refused() {
    let world = World::new().await;
    let pods = json!({"verb": "list", "resource": "pods"});
    let selected =
        |selector: Value| json!({"user": "u", "resourceAttributes": {"verb": "list", "fieldSelector": selector}});
    for (spec, problem) in [
        (
            json!({"user": "u"}),
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            json!({"resourceAttributes": pods}),
            "at least one of user or group must be specified",
        ),
        (
            json!({"user": "u", "resourceAttributes": pods, "nonResourceAttributes": {"path": "/"}}),
            "cannot be specified in combination with resourceAttributes",
        ),
        (
            selected(json!({})),
            "when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
        ),
        (
            selected(json!({"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists"}]})),
            "may not specified at the same time as requirements",
        ),
        (
            selected(json!({"requirements": [{"operator": "In"}]})),
            "key: Required value: must be specified",
        ),
    ] {
        let refused = world.create(REVIEWS, json!({"spec": spec})).await.unwrap_err();
        assert_eq!(refused.code(), 422);
        assert!(refused.message().contains(problem), "{refused}");
    }
    let local = "authorization.k8s.io/v1/localsubjectaccessreviews/default";
    let elsewhere = json!({"spec": {"user": "u", "resourceAttributes": {"verb": "list", "namespace": "other"}}});
    let refused = world.create(local, elsewhere).await.unwrap_err();
    assert!(refused.message().contains("must match metadata.namespace"), "{refused}");
    let path = json!({"spec": {"user": "u", "nonResourceAttributes": {"path": "/"}}});
    let refused = world.create(local, path).await.unwrap_err();
    assert!(
        refused.message().contains("disallowed on this kind of request"),
        "{refused}"
    );
}
