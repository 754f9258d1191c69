//! Deletion: finalizers, propagation, preconditions, namespaces.

use kube_types::dynamic::json;

use crate::world::World;

#[tokio::test]
async fn a_finalizer_holds_an_object_until_it_is_gone() {
    let world = World::new().await;
    let path = "v1/configmaps/default/a";
    let object = json!({"metadata": {"name": "a", "finalizers": ["example.com/f"]}});
    world.create("v1/configmaps/default", object).await.unwrap();
    let held = world.delete(path, "").await.unwrap();
    assert_eq!(held["kind"], "ConfigMap");
    assert_eq!(held["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    let added = world
        .patch(
            path,
            json!({"metadata": {"finalizers": ["example.com/f", "example.com/g"]}}),
        )
        .await
        .unwrap_err();
    assert_eq!(
        added.message(),
        r#"ConfigMap "a" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/g"}"#
    );
    let again = world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap_err();
    assert_eq!(
        again.message(),
        r#"object is being deleted: configmaps "a" already exists"#
    );
    let last = world
        .patch(path, json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    assert_eq!(
        last["metadata"].get("finalizers"),
        None,
        "the object as it was written last"
    );
    assert_eq!(world.get(path).await.unwrap_err().code(), 404);
}

#[tokio::test]
async fn propagation_becomes_a_finalizer() {
    let world = World::new().await;
    for (query, finalizers) in [
        ("propagationPolicy=Foreground", json!(["foregroundDeletion"])),
        ("propagationPolicy=Orphan", json!(["orphan"])),
        ("orphanDependents=true", json!(["orphan"])),
    ] {
        world
            .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
            .await
            .unwrap();
        let held = world.delete("v1/configmaps/default/a", query).await.unwrap();
        assert_eq!(held["metadata"]["finalizers"], finalizers, "{query}");
        world
            .patch("v1/configmaps/default/a", json!({"metadata": {"finalizers": null}}))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn preconditions_are_those_of_the_object() {
    let world = World::new().await;
    let made = world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let wrong = world
        .delete_with("v1/configmaps/default/a", json!({"preconditions": {"uid": "x"}}))
        .await
        .unwrap_err();
    let message = format!(
        r#"Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (x) does not match the UID in record ({uid}). The object might have been deleted and then recreated"#
    );
    assert_eq!((wrong.code(), wrong.message()), (409, message.as_str()));
    world
        .delete_with("v1/configmaps/default/a", json!({"preconditions": {"uid": uid}}))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_namespace_goes_when_its_content_is_gone() {
    let world = World::new().await;
    let made = world
        .create("v1/namespaces", json!({"metadata": {"name": "n"}}))
        .await
        .unwrap();
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "n");
    assert_eq!(
        (&made["spec"]["finalizers"], &made["status"]["phase"]),
        (&json!(["kubernetes"]), &json!("Active"))
    );
    world
        .create("v1/configmaps/n", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let going = world.delete("v1/namespaces/-/n", "").await.unwrap();
    assert_eq!(going["status"]["phase"], "Terminating");
    let late = world
        .create("v1/configmaps/n", json!({"metadata": {"name": "b"}}))
        .await
        .unwrap_err();
    assert_eq!(
        late.message(),
        r#"configmaps "b" is forbidden: unable to create new content in namespace n because it is being terminated"#
    );
    world
        .patch("v1/namespaces/-/n", json!({"spec": {"finalizers": null}}))
        .await
        .unwrap();
    let still = world.get("v1/namespaces/-/n").await.unwrap();
    assert_eq!(
        still["spec"]["finalizers"],
        json!(["kubernetes"]),
        "only /finalize changes them"
    );
    let mut finalized = still;
    finalized["spec"] = json!({});
    world.update("v1/namespaces/-/n/finalize", finalized).await.unwrap();
    assert_eq!(world.get("v1/namespaces/-/n").await.unwrap_err().code(), 404);
}

#[tokio::test]
async fn namespaces_that_every_cluster_has_stay() {
    let world = World::new().await;
    let error = world.delete("v1/namespaces/-/kube-system", "").await.unwrap_err();
    assert_eq!(
        error.message(),
        r#"namespaces "kube-system" is forbidden: this namespace may not be deleted"#
    );
    let missing = world
        .create("v1/configmaps/nowhere", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (404, r#"namespaces "nowhere" not found"#)
    );
}
