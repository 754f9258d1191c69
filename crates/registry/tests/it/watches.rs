//! Watches: where they begin, what they show, how they end.

use kube_types::dynamic::json;

use crate::world::World;

#[tokio::test]
async fn objects_enter_and_leave_a_selection() {
    let world = World::new().await;
    let mut events = world
        .watch("v1/configmaps/default", "labelSelector=on=yes")
        .await
        .unwrap();
    let path = "v1/configmaps/default/a";
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let entered = world
        .patch(path, json!({"metadata": {"labels": {"on": "yes"}}}))
        .await
        .unwrap();
    let stayed = world.patch(path, json!({"data": {"x": "1"}})).await.unwrap();
    let left = world
        .patch(path, json!({"metadata": {"labels": {"on": "no"}}}))
        .await
        .unwrap();
    assert_eq!(events.next().await, ("ADDED".to_owned(), entered));
    assert_eq!(events.next().await, ("MODIFIED".to_owned(), stayed.clone()));
    let (kind, object) = events.next().await;
    assert_eq!(kind, "DELETED");
    assert_eq!(
        object["metadata"]["labels"], stayed["metadata"]["labels"],
        "as the client knew it"
    );
    assert_eq!(
        object["metadata"]["resourceVersion"], left["metadata"]["resourceVersion"],
        "at the change's revision"
    );
}

#[tokio::test]
async fn a_watch_goes_on_from_a_revision() {
    let world = World::new().await;
    let first = world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "b"}}))
        .await
        .unwrap();
    let mut events = world
        .watch("v1/configmaps/default", &format!("resourceVersion={version}"))
        .await
        .unwrap();
    assert_eq!(events.next().await.1["metadata"]["name"], "b");
}

#[tokio::test]
async fn too_old_a_revision_is_an_error_event() {
    let world = World::new().await;
    let world = world.restart().await;
    let mut events = world.watch("v1/configmaps/default", "resourceVersion=1").await.unwrap();
    let (kind, object) = events.next().await;
    assert_eq!((kind.as_str(), &object["code"]), ("ERROR", &json!(410)));
    events.end().await;
}

#[tokio::test]
async fn a_watch_list_marks_the_end_of_the_present() {
    let world = World::new().await;
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = world.watch("v1/configmaps/default", query).await.unwrap();
    assert_eq!(events.next().await.0, "ADDED");
    let (kind, object) = events.next().await;
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(object["kind"], "ConfigMap");
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "b"}}))
        .await
        .unwrap();
    assert_eq!(events.next().await.1["metadata"]["name"], "b");
}

#[tokio::test]
async fn a_watch_without_initial_events_begins_now() {
    let world = World::new().await;
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let query = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let mut events = world.watch("v1/configmaps/default", query).await.unwrap();
    world
        .create("v1/configmaps/default", json!({"metadata": {"name": "b"}}))
        .await
        .unwrap();
    assert_eq!(events.next().await.1["metadata"]["name"], "b");
}

#[tokio::test]
async fn a_watch_ends_at_its_time() {
    let world = World::new().await;
    world.watch("v1/pods", "timeoutSeconds=1").await.unwrap().end().await;
}

#[tokio::test]
async fn a_deletion_has_its_own_revision() {
    let world = World::new().await;
    let made = world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut events = world
        .watch("v1/configmaps/default/a", &format!("resourceVersion={version}"))
        .await
        .unwrap();
    world.delete("v1/configmaps/default/a", "").await.unwrap();
    let (kind, object) = events.next().await;
    assert_eq!(kind, "DELETED");
    let revision = |object: &kube_types::dynamic::Value| {
        object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(revision(&object) > revision(&made));
}
