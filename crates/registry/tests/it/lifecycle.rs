//! One object's life: made, read, changed, followed, deleted.

use kube_types::dynamic::json;

use crate::world::World;

#[tokio::test]
async fn a_config_map_lives_and_dies() {
    let world = World::new().await;
    let mut events = world.watch("v1/configmaps/default", "").await.unwrap();
    let made = world
        .create(
            "v1/configmaps/default",
            json!({"metadata": {"name": "a"}, "data": {"x": "1"}}),
        )
        .await;
    let made = made.unwrap();
    assert_eq!(made["kind"], "ConfigMap");
    assert_eq!(world.get("v1/configmaps/default/a").await.unwrap(), made);
    assert_eq!(events.next().await, ("ADDED".to_owned(), made.clone()));

    let again = world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap_err();
    assert_eq!(
        (again.code(), again.message()),
        (409, r#"configmaps "a" already exists"#)
    );

    let changed = world
        .patch("v1/configmaps/default/a", json!({"data": {"x": "2"}}))
        .await
        .unwrap();
    assert_eq!(changed["data"]["x"], "2");
    assert_eq!(events.next().await, ("MODIFIED".to_owned(), changed.clone()));
    let same = world
        .patch("v1/configmaps/default/a", json!({"data": {"x": "2"}}))
        .await
        .unwrap();
    assert_eq!(same, changed);

    let stale = world.update("v1/configmaps/default/a", made).await.unwrap_err();
    assert_eq!(stale.code(), 409);
    let gone = world.delete("v1/configmaps/default/a", "").await.unwrap();
    assert_eq!(
        (&gone["kind"], &gone["details"]["name"]),
        (&json!("Status"), &json!("a"))
    );
    assert_eq!(events.next().await.0, "DELETED");
    let missing = world.get("v1/configmaps/default/a").await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (404, r#"configmaps "a" not found"#)
    );
}

#[tokio::test]
async fn objects_survive_the_process() {
    let world = World::new().await;
    let made = world
        .create("v1/configmaps/default", json!({"metadata": {"name": "a"}}))
        .await
        .unwrap();
    let world = world.restart().await;
    assert_eq!(world.get("v1/configmaps/default/a").await.unwrap(), made);
}
