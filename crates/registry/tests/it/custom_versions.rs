//! Custom resources of two versions, and two definitions that want one name.

use kube_types::dynamic::{Value, json};
use registry::StatusError;

use crate::custom_resources::{DEFINITIONS, WIDGETS, define, established, has_condition, wait, widget, widgets};
use crate::world::World;

fn two_versions() -> Value {
    let mut definition = widgets();
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    let properties = &mut second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    properties["weight"] = json!({"type": "integer"});
    properties.as_object_mut().unwrap().remove("size");
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    definition
}

#[tokio::test]
async fn versions_without_a_webhook_differ_in_name_and_schema() {
    let world = World::new().await;
    define(&world, two_versions()).await;
    let kinds = world.registry.kinds();
    assert_eq!(
        kinds.groups().last().unwrap().versions,
        ["v2", "v1"],
        "the newest first"
    );
    world
        .create(WIDGETS, widget("a", json!({"color": "red"})))
        .await
        .unwrap();
    let second = "example.com/v2/widgets/default";
    let mut events = world.watch(second, "").await.unwrap();
    let (_, seen) = events.next().await;
    assert_eq!(seen["apiVersion"], "example.com/v2");
    assert_eq!(
        seen["spec"],
        json!({"color": "red"}),
        "what the version does not know is not shown"
    );
    let patched = world
        .patch(&format!("{second}/a"), json!({"spec": {"weight": 5}}))
        .await
        .unwrap();
    assert_eq!(
        (&patched["apiVersion"], &patched["spec"]["weight"]),
        (&json!("example.com/v2"), &json!(5))
    );
    assert_eq!(events.next().await.1["apiVersion"], "example.com/v2");
    let list = world
        .list(second, "fieldSelector=spec.color=red&limit=1")
        .await
        .unwrap();
    assert_eq!(list["items"][0]["apiVersion"], "example.com/v2");
    let mut definition = world
        .get(&format!("{DEFINITIONS}/-/widgets.example.com"))
        .await
        .unwrap();
    definition["spec"]["versions"][0]["storage"] = false.into();
    definition["spec"]["versions"][1]["storage"] = true.into();
    let changed = world
        .update(&format!("{DEFINITIONS}/-/widgets.example.com"), definition)
        .await
        .unwrap();
    assert_eq!(changed["status"]["storedVersions"], json!(["v1", "v2"]));
    let before = world.get(&format!("{second}/a")).await.unwrap();
    let same = world.update(&format!("{second}/a"), before.clone()).await.unwrap();
    assert_ne!(
        before["metadata"]["resourceVersion"], same["metadata"]["resourceVersion"],
        "a write without a change brings an object into the stored version"
    );
    let again = world.update(&format!("{second}/a"), same.clone()).await.unwrap();
    assert_eq!(
        again["metadata"]["resourceVersion"],
        same["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn names_in_use_are_not_accepted() {
    let world = World::new().await;
    define(&world, widgets()).await;
    let mut other = widgets();
    other["metadata"]["name"] = "gadgets.example.com".into();
    other["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget", "shortNames": ["wd"]});
    world.create(DEFINITIONS, other).await.unwrap();
    let path = format!("{DEFINITIONS}/-/gadgets.example.com");
    let refused = wait(&world, &path, "refused", |definition| {
        has_condition(definition, "NamesAccepted", "False")
    })
    .await;
    assert!(!has_condition(&refused, "Established", "True"));
    let is_served: Result<Value, StatusError> = world.list("example.com/v1/gadgets", "").await;
    assert_eq!(is_served.unwrap_err().code(), 404);
    world
        .delete(&format!("{DEFINITIONS}/-/widgets.example.com"), "")
        .await
        .unwrap();
    established(&world, "gadgets.example.com").await;
}
