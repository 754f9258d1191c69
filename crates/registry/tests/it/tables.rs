//! Tables as kubectl shows them, and partial objects.

use kube_types::dynamic::{Value, json};
use registry::{Context, Form, IncludeObject, ListOptions, User};

use crate::world::{World, target};

async fn table(world: &World, path: &str, include: IncludeObject) -> Value {
    let context = Context {
        form: Form::Table { include },
        ..Context::for_user(User::master("admin"))
    };
    let reply = world
        .registry
        .list(&context, &target(path), ListOptions::default())
        .await
        .unwrap();
    serde_json::from_slice(&reply.body.into_bytes()).unwrap()
}

fn text(table: &Value) -> String {
    let row = |cells: Vec<String>| cells.join(" | ");
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = vec![row(table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| shown(&column["name"]))
        .collect())];
    for each in table["rows"].as_array().unwrap() {
        lines.push(row(each["cells"].as_array().unwrap().iter().map(shown).collect()));
    }
    lines.join("\n")
}

#[tokio::test]
async fn rows_are_those_of_upstreams_printers() {
    let world = World::new().await;
    world
        .create("v1/serviceaccounts/default", json!({"metadata": {"name": "default"}}))
        .await
        .unwrap();
    let containers = json!([{"name": "c", "image": "nginx"}]);
    world
        .create(
            "v1/pods/default",
            json!({"metadata": {"name": "p"}, "spec": {"containers": containers}}),
        )
        .await
        .unwrap();
    let status = json!({"status": {"phase": "Running", "podIP": "10.0.0.9", "containerStatuses": [{"name": "c", "ready": true,
        "restartCount": 2, "image": "nginx", "imageID": "", "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2025-12-31T23:59:00Z"}}}]}});
    world.patch("v1/pods/default/p/status", status).await.unwrap();
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}}});
    world.create("apps/v1/deployments/default", deployment).await.unwrap();
    let balanced = json!({"metadata": {"name": "lb"}, "spec": {"type": "LoadBalancer", "clusterIP": "10.100.0.9",
        "ports": [{"port": 80, "nodePort": 30080}]}});
    world.create("v1/services/default", balanced).await.unwrap();
    let node = json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": ""}}});
    world.create("v1/nodes", node).await.unwrap();
    world.clock.advance(jiff::SignedDuration::from_secs(90));
    let mut shown = Vec::new();
    for path in [
        "v1/pods/default",
        "apps/v1/deployments/default",
        "v1/services/default",
        "v1/nodes",
        "v1/namespaces",
    ] {
        shown.push(text(&table(&world, path, IncludeObject::Metadata).await));
    }
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[tokio::test]
async fn every_kind_has_a_cell_for_each_column() {
    let world = World::new().await;
    let now = jiff::Timestamp::UNIX_EPOCH;
    for kind in world.registry.kinds().iter() {
        let cells = (kind.printer.cells)(&kube_types::dynamic::Map::new(), now);
        assert_eq!(cells.len(), kind.printer.columns.len(), "{}", kind.kind);
    }
}

#[tokio::test]
async fn partial_objects_carry_metadata_only() {
    let world = World::new().await;
    let context = Context {
        form: Form::PartialObjectList,
        ..Context::for_user(User::master("admin"))
    };
    let reply = world
        .registry
        .list(&context, &target("v1/namespaces"), ListOptions::default())
        .await
        .unwrap();
    let list: Value = serde_json::from_slice(&reply.body.into_bytes()).unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0].get("status"), None);
}
