//! Every served kind through every verb over HTTP, with JSON and protobuf bodies: what works, what is refused, and how.

mod case;
mod changes;
mod parts;
mod refusals;
mod verbs;

use kube_types::dynamic::{Value, json};
use registry::ResourceKind;

use self::case::{Case, Form, JSON};
use crate::world::World;

/// A custom resource with every subresource.
const DEFINITION: &str = r#"{"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com",
    "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
    "versions": [{"name": "v1", "served": true, "storage": true,
        "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "required": ["color"],
                "properties": {"color": {"type": "string"}, "replicas": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"phase": {"type": "string"},
                "replicas": {"type": "integer"}, "selector": {"type": "string"}}}}}}}]}}"#;

/// Kinds whose objects the server changes by itself at any moment; they have tests of their own.
const BY_THEMSELVES: &[&str] = &["CustomResourceDefinition", "APIService", "FlowSchema"];

/// A server with what objects of some kinds need, and with a custom resource.
async fn prepared() -> World {
    let world = World::start().await;
    let account = r#"{"metadata": {"name": "default"}}"#;
    let (code, made) = world
        .json("POST", "/api/v1/namespaces/default/serviceaccounts", account)
        .await;
    assert_eq!(code, 201, "{made}");
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, made) = world.json("POST", definitions, DEFINITION).await;
    assert_eq!(code, 201, "{made}");
    let served = || async {
        let (code, list) = world
            .json("GET", "/apis/example.com/v1/namespaces/default/widgets", "")
            .await;
        if code == 200 { Ok(()) } else { Err(list.to_string()) }
    };
    supervision::wait_until("widgets are served", std::time::Duration::from_secs(60), served)
        .await
        .unwrap();
    world
}

/// Every stored kind in each form of bodies that it has.
fn cases(world: &World) -> Vec<Case<'_>> {
    let kinds = world.api.registry().kinds();
    let is_tried =
        |kind: &&std::sync::Arc<ResourceKind>| kind.storage.is_some() && !BY_THEMSELVES.contains(&&*kind.kind);
    kinds
        .iter()
        .filter(is_tried)
        .flat_map(|kind| {
            let forms = if kind.custom.is_some() {
                vec![Form::Json]
            } else {
                vec![Form::Json, Form::Protobuf]
            };
            forms.into_iter().map(|form| Case::new(world, kind.clone(), form))
        })
        .collect()
}

#[tokio::test]
async fn every_kind_takes_every_verb_in_every_form() {
    let world = prepared().await;
    for case in cases(&world) {
        verbs::check(&case).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn every_kind_takes_every_patch_and_is_applied() {
    let world = prepared().await;
    for case in cases(&world) {
        changes::check(&case).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn every_status_and_scale_is_read_and_written() {
    let world = prepared().await;
    for case in cases(&world) {
        parts::check(&case).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn every_kind_refuses_bad_input_in_upstreams_words() {
    let world = prepared().await;
    for case in cases(&world) {
        refusals::bad_input(&case).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn every_kind_is_denied_to_who_has_no_right() {
    let world = prepared().await;
    for case in cases(&world) {
        refusals::denied(&case).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn kinds_that_are_not_stored_are_answered_in_both_forms() {
    let world = prepared().await;
    let kinds = world.api.registry().kinds();
    for kind in kinds
        .iter()
        .filter(|kind| kind.storage.is_none() && !kind.verbs.is_empty())
    {
        for form in [Form::Json, Form::Protobuf] {
            let case = Case::new(&world, kind.clone(), form);
            let object = match &*kind.kind {
                "LocalSubjectAccessReview" | "SubjectAccessReview" | "SelfSubjectAccessReview" => {
                    let attributes = json!({"namespace": "default", "verb": "get", "resource": "pods"});
                    json!({"spec": {"user": "jane", "resourceAttributes": attributes}})
                }
                "SelfSubjectRulesReview" => json!({"spec": {"namespace": "default"}}),
                "TokenReview" => json!({"spec": {"token": "x"}}),
                "SelfSubjectReview" => json!({}),
                // `Binding`, which has a test of its own, and `ComponentStatus`, which cannot be made.
                _ => continue,
            };
            let mut object = case.typed(object);
            if kind.kind == "SelfSubjectAccessReview" {
                object["spec"].as_object_mut().unwrap().remove("user");
            }
            let answer = case.send("POST", &case.collection(), &object).await;
            assert_eq!(answer.code, 201, "{}: {}", case.what(), answer.body);
            assert!(answer.body["status"].is_object(), "{}: {}", case.what(), answer.body);
            let read = case.send("GET", &case.collection(), &Value::Null).await;
            assert_eq!((read.code, &read.body["reason"]), (405, &json!("MethodNotAllowed")));
            let broken = case
                .raw("POST", &case.collection(), JSON, b"{\"metadata\":7}".to_vec())
                .await;
            assert_eq!(broken.code, 400, "{}: {}", case.what(), broken.body);
        }
    }
    world.stop().await;
}
