//! Writes: names, versions, field validation, generated names, events of both groups.

use kube_types::dynamic::json;
use registry::options::FieldValidation;
use registry::{MediaType, RequestBody, WriteOptions};

use crate::world::{World, target};

#[tokio::test]
async fn names_are_made_up_and_not_given_twice() {
    let world = World::new().await;
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let made = world
            .create("v1/configmaps/default", json!({"metadata": {"generateName": "a-"}}))
            .await
            .unwrap();
        let name = made["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with("a-") && name.len() == 7, "{name}");
        names.insert(name);
    }
    assert_eq!(names.len(), 20);
}

#[tokio::test]
async fn what_is_unknown_is_warned_of_or_refused() {
    let world = World::new().await;
    let text = r#"{"metadata":{"name":"a"},"data":{"x":"1"},"dat":{},"data":{"x":"2"}}"#;
    let send = |validation| {
        let options = WriteOptions {
            field_validation: validation,
            dry_run: true,
            ..WriteOptions::default()
        };
        let context = world.context();
        let registry = world.registry.clone();
        async move {
            let reply = registry
                .create(
                    &context,
                    &target("v1/configmaps/default"),
                    RequestBody::json(text),
                    options,
                )
                .await;
            (reply.map(|reply| reply.code), context.warnings.take())
        }
    };
    let (reply, warnings) = send(FieldValidation::Warn).await;
    assert_eq!(reply.unwrap(), 201);
    assert_eq!(warnings, [r#"duplicate field "data""#, r#"unknown field "dat""#]);
    let (reply, warnings) = send(FieldValidation::Ignore).await;
    assert_eq!((reply.unwrap(), warnings.len()), (201, 0));
    let (reply, _) = send(FieldValidation::Strict).await;
    assert_eq!(
        reply.unwrap_err().message(),
        r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data", unknown field "dat""#
    );
}

#[tokio::test]
async fn bodies_may_be_yaml_and_broken_ones_are_refused() {
    let world = World::new().await;
    let send = |kind: MediaType, text: &'static str| {
        let registry = world.registry.clone();
        let context = world.context();
        async move {
            let body = RequestBody::new(kind, text);
            registry
                .create(
                    &context,
                    &target("v1/configmaps/default"),
                    body,
                    WriteOptions::default(),
                )
                .await
        }
    };
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  x: \"1\"\n";
    assert_eq!(send(MediaType::Yaml, yaml).await.unwrap().code, 201);
    for (kind, text) in [
        (MediaType::Json, "{"),
        (MediaType::Json, "[]"),
        (MediaType::Yaml, "a: ["),
    ] {
        let error = send(kind, text).await.unwrap_err();
        assert_eq!(error.code(), 400);
        let begin = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind";
        assert!(error.message().starts_with(begin), "{error}");
    }
    assert_eq!(
        send(MediaType::Other("application/cbor".into()), "")
            .await
            .unwrap_err()
            .code(),
        415
    );
}

#[tokio::test]
async fn names_namespaces_and_versions_must_agree() {
    let world = World::new().await;
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let path = "v1/configmaps/default/a";
    for (result, message) in [
        (
            world
                .create(
                    "v1/configmaps/default",
                    json!({"metadata": {"name": "b", "namespace": "other"}}),
                )
                .await,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            world.update(path, json!({"metadata": {"name": "b"}})).await,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            world
                .create(
                    "v1/configmaps/default",
                    json!({"apiVersion": "v2", "metadata": {"name": "b"}}),
                )
                .await,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            world
                .create(
                    "v1/configmaps/default",
                    json!({"metadata": {"name": "b", "resourceVersion": "1"}}),
                )
                .await,
            "resourceVersion should not be set on objects to be created",
        ),
    ] {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.message()), (400, message));
    }
    let uid = world
        .update(path, json!({"metadata": {"name": "a", "uid": "x"}}))
        .await
        .unwrap_err();
    assert!(
        uid.message()
            .starts_with(r#"Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: /registry/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: x, UID in object meta: "#),
        "{uid}"
    );
}

#[tokio::test]
async fn leases_are_made_by_put_and_need_their_version_afterwards() {
    let world = World::new().await;
    let path = "coordination.k8s.io/v1/leases/default/l";
    let made = world
        .update(
            path,
            json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}),
        )
        .await
        .unwrap();
    assert_eq!(made["spec"]["holderIdentity"], "a");
    let blind = world
        .update(
            path,
            json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "b"}}),
        )
        .await
        .unwrap_err();
    assert_eq!(
        blind.message(),
        r#"leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"#
    );
}

#[tokio::test]
async fn events_are_the_same_in_both_groups() {
    let world = World::new().await;
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "R", "message": "m", "type": "Warning"});
    world.create("v1/events/default", event).await.unwrap();
    let newer = world.get("events.k8s.io/v1/events/default/e").await.unwrap();
    assert_eq!(
        (&newer["note"], &newer["regarding"]["name"]),
        (&json!("m"), &json!("p"))
    );
    let selected = world
        .list(
            "events.k8s.io/v1/events/default",
            "fieldSelector=involvedObject.name=p,type=Warning",
        )
        .await
        .unwrap();
    assert_eq!(selected["items"][0]["note"], "m");
}

#[tokio::test]
async fn a_patch_that_does_not_fit_the_kind_is_invalid_and_shows_what_it_would_make() {
    let world = World::new().await;
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let error = world
        .patch("v1/configmaps/default/a", json!({"data": [1]}))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.reason()), (422, "Invalid"));
    let message = error.message();
    assert!(
        message.starts_with(r#" "" is invalid: patch: Invalid value: "{"#),
        "{message}"
    );
    assert!(
        message.ends_with("json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"),
        "{message}"
    );
}
