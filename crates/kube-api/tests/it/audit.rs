//! The audit log of a server: who did what, as much as the policy wants.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use access_rules::User;
use axum::body::Body;
use clock::SystemClock;
use http::Request;
use http_body_util::BodyExt;
use kube_api::{AccessOptions, AuditLog, LogOptions, read_policy};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::world::{World, get};

async fn start(directory: &Path, rules: &str) -> (World, PathBuf) {
    let policy = directory.join("policy.yaml");
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n{rules}");
    std::fs::write(&policy, text).unwrap();
    let path = directory.join("log").join("audit.log");
    let log = AuditLog::open(
        read_policy(&policy).unwrap(),
        LogOptions::at(&path),
        Arc::new(SystemClock),
    );
    let access = AccessOptions {
        audit: Some(Arc::new(log.unwrap())),
        ..AccessOptions::default()
    };
    (World::start_access(access).await, path)
}

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn requests_are_written_as_the_policy_says() {
    let directory = tempfile::tempdir().unwrap();
    let rules = "- {level: RequestResponse, omitManagedFields: true, verbs: [create], resources: [{group: '', resources: [configmaps]}]}\n\
                 - {level: Metadata, resources: [{group: '', resources: [configmaps]}]}\n";
    let (world, path) = start(directory.path(), rules).await;
    let map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"words"},"data":{"a":"b"}}"#;
    assert_eq!(world.json("POST", CONFIG_MAPS, map).await.0, 201);
    world.send(get("/api/v1/namespaces/default/secrets")).await;
    assert_eq!(world.json("DELETE", &format!("{CONFIG_MAPS}/none"), "").await.0, 404);
    let jane = User::authenticated("jane", ["dev"]);
    world.send_as(jane, get(CONFIG_MAPS)).await;
    let [made, missed, refused] = events(&path).try_into().unwrap();
    assert_eq!(
        json!([
            made["kind"],
            made["apiVersion"],
            made["level"],
            made["stage"],
            made["verb"],
            made["requestURI"]
        ]),
        json!([
            "Event",
            "audit.k8s.io/v1",
            "RequestResponse",
            "ResponseComplete",
            "create",
            CONFIG_MAPS
        ])
    );
    assert_eq!(
        made["objectRef"],
        json!({"resource": "configmaps", "namespace": "default", "name": "words", "apiVersion": "v1"})
    );
    assert_eq!(made["requestObject"]["data"], json!({"a": "b"}));
    assert_eq!(made["responseStatus"], json!({"metadata": {}, "code": 201}));
    let answered = &made["responseObject"]["metadata"];
    assert!(
        answered["uid"].is_string() && answered.get("managedFields").is_none(),
        "{answered}"
    );
    assert_eq!(made["annotations"]["authorization.k8s.io/decision"], "allow");
    assert_eq!(missed["responseStatus"]["reason"], "NotFound");
    assert_eq!(missed["responseStatus"]["code"], 404);
    assert!(missed.get("requestObject").is_none() && missed.get("responseObject").is_none());
    assert_eq!(
        json!([
            refused["user"]["username"],
            refused["responseStatus"]["code"],
            refused["annotations"]["authorization.k8s.io/decision"]
        ]),
        json!(["jane", 403, "forbid"])
    );
    world.stop().await;
}

#[tokio::test]
async fn a_watch_is_written_when_it_begins_and_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (world, path) = start(directory.path(), "- {level: Metadata}\n").await;
    let request = get(&format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=100"));
    let answer = world
        .api
        .in_process(User::master("admin"))
        .oneshot(request)
        .await
        .unwrap();
    let [begun] = events(&path).try_into().unwrap();
    assert_eq!(
        json!([begun["stage"], begun["verb"]]),
        json!(["ResponseStarted", "watch"])
    );
    drop(answer);
    let [_, ended] = events(&path).try_into().unwrap();
    assert_eq!(ended["stage"], "ResponseComplete");
    assert_eq!(ended["auditID"], begun["auditID"]);
    world.stop().await;
}

#[tokio::test]
async fn what_admission_notes_and_who_was_impersonated_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let (world, path) = start(directory.path(), "- {level: Metadata, verbs: [create]}\n").await;
    let account = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}"#;
    world
        .json("POST", "/api/v1/namespaces/default/serviceaccounts", account)
        .await;
    let pod =
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#;
    let request = Request::post("/api/v1/namespaces/default/pods")
        .header("content-type", "application/json")
        .header("impersonate-user", "bob")
        .header("impersonate-group", "system:masters")
        .body(Body::from(pod))
        .unwrap();
    let answer = world
        .api
        .in_process(User::master("admin"))
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    answer.into_body().collect().await.unwrap();
    let all = events(&path);
    let event = all.last().unwrap();
    assert_eq!(event["user"]["username"], "admin");
    assert_eq!(event["impersonatedUser"]["username"], "bob");
    assert_eq!(
        event["annotations"]["pod-security.kubernetes.io/enforce-policy"],
        "privileged:latest"
    );
    world.stop().await;
}

#[test]
fn a_policy_that_cannot_be_used_is_refused_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.yaml");
    std::fs::write(&path, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n").unwrap();
    let refused = read_policy(&path).unwrap_err().to_string();
    assert!(refused.ends_with("loaded illegal policy with 0 rules"), "{refused}");
    std::fs::write(
        &path,
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Loud}]\n",
    )
    .unwrap();
    assert!(read_policy(&path).is_err());
}
