//! Every served kind through every verb: made, read, listed, followed, changed, deleted; dry run, conflict, bad input.

use kube_types::dynamic::{Value, json};
use registry::kinds::Verb;
use registry::{MediaType, RequestBody, ResourceKind, WriteOptions};

use crate::custom_resources;
use crate::minimal::minimal;
use crate::world::{World, target};

fn path(kind: &ResourceKind) -> String {
    let prefix = if kind.group.is_empty() {
        String::new()
    } else {
        format!("{}/", kind.group)
    };
    format!(
        "{prefix}{}/{}/{}",
        kind.version,
        kind.plural,
        if kind.namespaced { "default" } else { "-" }
    )
}

async fn prepared() -> World {
    let world = World::new().await;
    world
        .create("v1/serviceaccounts/default", json!({"metadata": {"name": "default"}}))
        .await
        .unwrap();
    world
}

#[tokio::test]
async fn every_kind_takes_every_verb() {
    let world = prepared().await;
    custom_resources::define(&world, custom_resources::widgets()).await;
    // Definitions change by themselves; what they do has tests of its own.
    let is_tried = |kind: &ResourceKind| kind.storage.is_some() && kind.kind != "CustomResourceDefinition";
    for kind in world.registry.kinds().iter().filter(|kind| is_tried(kind)) {
        one_kind(&world, kind).await;
    }
}

async fn one_kind(world: &World, kind: &ResourceKind) {
    let collection = path(kind);
    let what = format!("{collection} ({})", kind.kind);
    let object = minimal(kind);
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let one = format!("{collection}/{name}");

    let dry = WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    };
    let wished = world.create_with(&collection, object.clone(), dry).await;
    assert_eq!(
        wished.unwrap_or_else(|e| panic!("{what}: {e}"))["metadata"]["name"],
        name.as_str()
    );
    assert_eq!(
        world.get(&one).await.unwrap_err().code(),
        404,
        "{what}: a dry run stores nothing"
    );

    let mut events = world
        .watch(&collection, &format!("fieldSelector=metadata.name={name}"))
        .await
        .unwrap();
    let made = world
        .create(&collection, object.clone())
        .await
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(
        (&made["kind"], &made["apiVersion"]),
        (&json!(kind.kind), &json!(kind.api_version())),
        "{what}"
    );
    assert!(
        made["metadata"]["uid"].is_string() && made["metadata"]["creationTimestamp"].is_string(),
        "{what}"
    );
    assert_eq!(world.get(&one).await.unwrap(), made, "{what}");
    assert_eq!(events.next().await, ("ADDED".to_owned(), made.clone()), "{what}");
    assert_eq!(
        world.create(&collection, object.clone()).await.unwrap_err().reason(),
        "AlreadyExists",
        "{what}"
    );

    let list = world.list(&collection, "labelSelector=l=1").await.unwrap();
    assert_eq!(list["kind"], json!(kind.list_kind), "{what}");
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{what}");
    assert_eq!(
        list["items"][0].get("kind").is_some(),
        kind.custom.is_some(),
        "{what}: items of lists carry no kind, but for custom resources"
    );

    let patched = world.patch(&one, json!({"metadata": {"labels": {"l": "2"}}})).await;
    let patched = patched.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(patched["metadata"]["labels"]["l"], "2", "{what}");
    assert_eq!(
        patched["metadata"]["generation"], made["metadata"]["generation"],
        "{what}: labels are not counted"
    );
    assert_eq!(events.next().await, ("MODIFIED".to_owned(), patched.clone()), "{what}");
    let replaced = world
        .update(&one, patched.clone())
        .await
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(
        replaced, patched,
        "{what}: a write that changes nothing makes no revision"
    );
    assert_eq!(
        world.update(&one, made.clone()).await.unwrap_err().reason(),
        "Conflict",
        "{what}"
    );

    bad_input(world, kind, &what).await;
    if kind.subresource("status").is_some() {
        let status = world.get(&format!("{one}/status")).await.unwrap();
        let through = world.update(&format!("{one}/status"), status.clone()).await;
        assert_eq!(through.unwrap_or_else(|e| panic!("{what}: {e}")), status, "{what}");
    }
    world
        .delete(&one, "gracePeriodSeconds=0&propagationPolicy=Background")
        .await
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    if kind.kind == "Namespace" {
        return;
    }
    if is_protected(&made) {
        assert_eq!(events.next().await.0, "MODIFIED", "{what}");
        release(world, &one).await;
    }
    assert_eq!(events.next().await.0, "DELETED", "{what}");
    assert_eq!(world.get(&one).await.unwrap_err().code(), 404, "{what}");
    if kind.has(Verb::DeleteCollection) {
        world
            .create(&collection, object)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        world
            .delete_collection(&collection, "labelSelector=l=1", "propagationPolicy=Background")
            .await
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        if is_protected(&made) {
            release(world, &one).await;
        }
        assert_eq!(world.get(&one).await.unwrap_err().code(), 404, "{what}");
    }
}

/// Whether the server gave the object a finalizer, so that it does not go before its users.
fn is_protected(made: &Value) -> bool {
    made["metadata"]["finalizers"].is_array()
}

/// What a controller does when nobody uses the object any more.
async fn release(world: &World, one: &str) {
    let released = world.patch(one, json!({"metadata": {"finalizers": null}})).await;
    released.unwrap();
}

async fn bad_input(world: &World, kind: &ResourceKind, what: &str) {
    let collection = path(kind);
    let strict = WriteOptions {
        field_validation: registry::options::FieldValidation::Strict,
        ..WriteOptions::default()
    };
    let unknown = world
        .create_with(
            &collection,
            json!({"metadata": {"name": "x"}, "noSuchField": 1}),
            strict,
        )
        .await;
    let error = unknown.unwrap_err();
    assert_eq!(error.code(), 400, "{what}");
    assert!(
        error
            .message()
            .ends_with("strict decoding error: unknown field \"noSuchField\""),
        "{what}: {error}"
    );
    let typed = world
        .create(&collection, json!({"metadata": {"name": 7}}))
        .await
        .unwrap_err();
    assert!(
        typed
            .message()
            .contains("cannot unmarshal number into Go struct field ObjectMeta.metadata.name"),
        "{what}: {typed}"
    );
    let unnamed = world
        .create(&collection, json!({"metadata": {"labels": {"a b": "c"}}}))
        .await
        .unwrap_err();
    assert_eq!(unnamed.code(), 422, "{what}");
    assert!(
        unnamed
            .message()
            .contains("metadata.name: Required value: name or generateName is required"),
        "{what}"
    );
    let other = world
        .create(&collection, json!({"kind": "Other", "metadata": {"name": "x"}}))
        .await
        .unwrap_err();
    assert_eq!(other.code(), 400, "{what}");
}

#[tokio::test]
async fn kinds_that_are_not_stored_are_answered() {
    let world = prepared().await;
    for (path, object, field, expected) in [
        (
            "authentication.k8s.io/v1/selfsubjectreviews",
            json!({}),
            "userInfo",
            json!({"username": "admin", "groups": ["system:masters", "system:authenticated"]}),
        ),
        (
            "authentication.k8s.io/v1/tokenreviews",
            json!({"spec": {"token": "default/default", "audiences": ["a"]}}),
            "authenticated",
            json!(true),
        ),
        (
            "authorization.k8s.io/v1/selfsubjectaccessreviews",
            json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}),
            "allowed",
            json!(true),
        ),
        (
            "authorization.k8s.io/v1/subjectaccessreviews",
            json!({"spec": {"user": "nobody", "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
            "allowed",
            json!(false),
        ),
        (
            "authorization.k8s.io/v1/localsubjectaccessreviews/default",
            json!({"spec": {"user": "nobody", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}),
            "allowed",
            json!(false),
        ),
        (
            "authorization.k8s.io/v1/selfsubjectrulesreviews",
            json!({"spec": {"namespace": "default"}}),
            "incomplete",
            json!(false),
        ),
    ] {
        let answer = world
            .create(path, object)
            .await
            .unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(answer["status"][field], expected, "{path}");
    }
}

#[tokio::test]
async fn every_kind_is_applied_again_without_a_write_and_gives_back_what_is_left_out() {
    let world = prepared().await;
    custom_resources::define(&world, custom_resources::widgets()).await;
    let is_tried = |kind: &ResourceKind| kind.storage.is_some() && kind.kind != "CustomResourceDefinition";
    for kind in world.registry.kinds().iter().filter(|kind| is_tried(kind)) {
        applied(&world, kind).await;
    }
}

async fn applied(world: &World, kind: &ResourceKind) {
    let mut object = minimal(kind);
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = (*kind.kind).into();
    let name = match &*kind.kind {
        "IPAddress" => "10.100.77.2".to_owned(),
        "APIService" => "v1.one.example".to_owned(),
        name => format!("{}-{}{}", name.to_lowercase(), kind.group, kind.version),
    };
    object["metadata"]["name"] = name.as_str().into();
    let path = format!("{}/{name}", path(kind));
    let apply = async |object: &Value| {
        let body = RequestBody::new(MediaType::ApplyPatch, object.to_string());
        let options = WriteOptions {
            field_manager: "test".to_owned(),
            force: Some(true),
            ..WriteOptions::default()
        };
        let reply = world
            .registry
            .patch(&world.context(), &target(&path), body, options)
            .await;
        let reply = reply.unwrap_or_else(|error| panic!("{path}: {error}"));
        let value: Value = serde_json::from_slice(&reply.body.into_bytes()).unwrap();
        (reply.code, value)
    };
    let (code, made) = apply(&object).await;
    assert_eq!(code, 201, "{path}");
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "test", "{path}");
    let (code, again) = apply(&object).await;
    assert_eq!(code, 200, "{path}");
    assert_eq!(
        again["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"],
        "{path}: applied again\n{made}\n{again}"
    );
    object["metadata"]["labels"] = json!({"other": "1"});
    let (_, changed) = apply(&object).await;
    let labels = changed["metadata"]["labels"].as_object().unwrap();
    assert!(
        labels.contains_key("other") && !labels.contains_key("l"),
        "{path}: {labels:?}"
    );
}
