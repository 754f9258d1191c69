//! Priority and fairness as clients see it: the objects that are there, the headers, and a refusal when a level is full.

use std::convert::Infallible;
use std::time::Duration;

use access_rules::User;
use axum::body::{Body, Bytes};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::world::{World, get};

const GROUP: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";
const LIMIT: Duration = Duration::from_secs(60);

/// Looks again until it is as it should be.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(LIMIT, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not within the limit"))
}

/// Waits until the objects that every cluster has are there, with their status: then nothing writes any more.
pub async fn kept(world: &World) {
    until("objects of priority and fairness", async || {
        let (_, levels) = world
            .json("GET", &format!("{GROUP}/prioritylevelconfigurations"), "")
            .await;
        let (_, schemas) = world.json("GET", &format!("{GROUP}/flowschemas"), "").await;
        let schemas = schemas["items"].as_array()?;
        let all = levels["items"].as_array()?.len() == 8 && schemas.len() == 13;
        let marked = schemas.iter().all(|schema| schema["status"]["conditions"].is_array());
        (all && marked).then_some(())
    })
    .await;
}

async fn create(world: &World, path: &str, object: Value) -> Value {
    let (code, made) = world.json("POST", path, &object.to_string()).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    made
}

#[tokio::test]
async fn the_mandatory_and_suggested_objects_are_there_and_come_again() {
    let world = World::start().await;
    let names = async |plural: &str| -> Vec<String> {
        let (_, list) = world.json("GET", &format!("{GROUP}/{plural}"), "").await;
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    until("levels", async || {
        (names("prioritylevelconfigurations").await.len() == 8).then_some(())
    })
    .await;
    until("schemas", async || {
        (names("flowschemas").await.len() == 13).then_some(())
    })
    .await;
    let path = format!("{GROUP}/flowschemas/probes");
    let condition = until("status", async || {
        let (_, schema) = world.json("GET", &path, "").await;
        schema["status"]["conditions"].as_array().map(|all| all[0].clone())
    })
    .await;
    assert_eq!(
        (&condition["type"], &condition["status"]),
        (&json!("Dangling"), &json!("False"))
    );
    world.json("DELETE", &path, "").await;
    until("the deleted one", async || {
        (world.json("GET", &path, "").await.0 == StatusCode::OK).then_some(())
    })
    .await;
    let catch_all = format!("{GROUP}/prioritylevelconfigurations/catch-all");
    let changed = json!({"spec": {"limited": {"nominalConcurrencyShares": 99}}});
    world.json("PATCH", &catch_all, &changed.to_string()).await;
    until("the mandatory one as it was", async || {
        let (_, level) = world.json("GET", &catch_all, "").await;
        (level["spec"]["limited"]["nominalConcurrencyShares"] == 5).then_some(())
    })
    .await;
    world.stop().await;
}

/// A level with one seat and no queues, for what jane asks.
async fn narrow(world: &World) -> String {
    let level = json!({"metadata": {"name": "narrow"}, "spec": {"type": "Limited", "limited": {
        "nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}}});
    create(world, &format!("{GROUP}/prioritylevelconfigurations"), level).await;
    let rules = json!([{"subjects": [{"kind": "User", "user": {"name": "jane"}}],
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"],
            "clusterScope": true}]}]);
    let schema = json!({"metadata": {"name": "narrow"}, "spec": {"matchingPrecedence": 50,
        "priorityLevelConfiguration": {"name": "narrow"}, "rules": rules}});
    let made = create(world, &format!("{GROUP}/flowschemas"), schema).await;
    let binding = json!({"metadata": {"name": "jane"}, "subjects": [{"kind": "User", "name": "jane"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}});
    create(world, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await;
    made["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_full_level_refuses_and_others_go_on() {
    let world = World::start().await;
    let uid = narrow(&world).await;
    let jane = || User::authenticated("jane", ["people"]);
    let path = "/api/v1/namespaces/default/configmaps";
    until("the schema in force", async || {
        let (_, headers, _) = world.send_as(jane(), get(path)).await;
        let schema = headers.get("x-kubernetes-pf-flowschema-uid")?.to_str().ok()?.to_owned();
        (schema == uid).then_some(())
    })
    .await;
    // A body that does not come keeps the only seat.
    let body = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
    let request = Request::builder().method("POST").uri(path).body(body).unwrap();
    let mut holding = Box::pin(world.api.in_process(jane()).oneshot(request));
    assert!(futures::poll!(holding.as_mut()).is_pending());
    let (code, headers, body) = world.send_as(jane(), get(path)).await;
    assert_eq!(code, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(headers["retry-after"], "1");
    assert!(headers.contains_key("audit-id"), "{headers:?}");
    assert_eq!(headers["x-kubernetes-pf-flowschema-uid"], uid.as_str());
    assert_eq!(&body[..], b"Too many requests, please try again later.\n");
    let (_, _, dump) = world
        .send(get("/debug/api_priority_and_fairness/dump_priority_levels"))
        .await;
    assert!(
        String::from_utf8_lossy(&dump).contains("narrow, 0, false, false, 0, 1,"),
        "{dump:?}"
    );
    assert_eq!(
        world.send(get(path)).await.0,
        StatusCode::OK,
        "administrators are exempt"
    );
    drop(holding);
    assert_eq!(world.send_as(jane(), get(path)).await.0, StatusCode::OK);
    let (_, _, metrics) = world.send(get("/metrics")).await;
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    assert!(
        metrics.contains("apiserver_flowcontrol_rejected_requests_total{priority_level=\"narrow\""),
        "{metrics}"
    );
    world.stop().await;
}
