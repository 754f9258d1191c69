//! Admission webhooks: which are called, with what, and what follows from their answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use kube_types::dynamic::{Value, json};
use registry::webhook::{CallError, Caller, Endpoint, Place};
use registry::{RequestBody, User, WriteOptions};

use crate::world::{World, target};

const GROUP: &str = "admissionregistration.k8s.io/v1";

/// Answers by the URL that is called: a JSON patch, a denial, or a failure; remembers what it was asked.
#[derive(Default)]
struct Servers {
    answers: BTreeMap<String, Value>,
    asked: Mutex<Vec<(String, Value)>>,
}

impl Caller for Servers {
    fn post<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        body: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, CallError>> {
        Box::pin(async move {
            let Place::Url(url) = &endpoint.place else {
                return Err(CallError("no service".to_owned()));
            };
            let review: Value = serde_json::from_slice(&body).unwrap();
            self.asked
                .lock()
                .unwrap()
                .push((url.clone(), review["request"].clone()));
            let Some(answer) = self.answers.get(url) else {
                return Err(CallError(format!(
                    "failed to call webhook: Post {url:?}: connection refused"
                )));
            };
            let mut response = answer.clone();
            response["uid"] = review["request"]["uid"].clone();
            if let Some(patch) = response.as_object_mut().unwrap().remove("operations") {
                response["patch"] = STANDARD.encode(patch.to_string()).into();
                response["patchType"] = "JSONPatch".into();
            }
            let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
            Ok(Bytes::from(review.to_string()))
        })
    }
}

fn add_data(key: &str) -> Value {
    json!({"allowed": true, "operations": [{"op": "add", "path": format!("/data/{key}"), "value": "x"}]})
}

async fn world(answers: &[(&str, Value)]) -> (World, Arc<Servers>) {
    let world = World::new().await;
    let servers = Arc::new(Servers {
        answers: answers
            .iter()
            .map(|(url, answer)| (format!("https://{url}"), answer.clone()))
            .collect(),
        asked: Mutex::default(),
    });
    world.registry.attach_caller(servers.clone());
    (world, servers)
}

fn webhook(url: &str, more: Value) -> Value {
    let mut webhook = json!({"name": format!("{url}.example.com"), "clientConfig": {"url": format!("https://{url}")},
        "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]});
    for (field, value) in more.as_object().unwrap() {
        webhook[field] = value.clone();
    }
    webhook
}

async fn configure(world: &World, mutating: bool, name: &str, webhooks: Vec<Value>) {
    let plural = if mutating { "mutating" } else { "validating" };
    let path = format!("{GROUP}/{plural}webhookconfigurations");
    world
        .create(&path, json!({"metadata": {"name": name}, "webhooks": webhooks}))
        .await
        .unwrap();
}

impl Servers {
    fn names(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|(url, _)| url.trim_start_matches("https://").to_owned())
            .collect()
    }
}

fn config_map(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "web"}}, "data": {"a": "1"}})
}

#[tokio::test]
async fn webhooks_change_objects_by_name_and_again_when_they_want_to() {
    let (world, servers) = world(&[("one", add_data("one")), ("two", add_data("two"))]).await;
    configure(&world, true, "b", vec![webhook("two", json!({}))]).await;
    configure(
        &world,
        true,
        "a",
        vec![webhook("one", json!({"reinvocationPolicy": "IfNeeded"}))],
    )
    .await;
    let made = world.create("v1/configmaps/default", config_map("x")).await.unwrap();
    assert_eq!(made["data"], json!({"a": "1", "one": "x", "two": "x"}));
    assert_eq!(servers.names(), ["one", "two", "one"]);
    let (_, request) = servers.asked.lock().unwrap()[1].clone();
    assert_eq!(request["object"]["data"], json!({"a": "1", "one": "x"}));
    assert!(request["object"]["metadata"].get("uid").is_none(), "{request}");
    for (field, wanted) in [
        ("name", json!("x")),
        ("namespace", json!("default")),
        ("operation", json!("CREATE")),
        ("kind", json!({"group": "", "version": "v1", "kind": "ConfigMap"})),
        (
            "requestResource",
            json!({"group": "", "version": "v1", "resource": "configmaps"}),
        ),
        ("dryRun", json!(false)),
        ("oldObject", Value::Null),
    ] {
        assert_eq!(request[field], wanted, "{field}");
    }
    assert_eq!(request["userInfo"]["username"], "admin");
}

#[tokio::test]
async fn a_webhook_refuses_in_its_own_words() {
    let denial = json!({"allowed": false, "status": {"code": 418, "message": "not today"}, "warnings": ["careful"]});
    let (world, _) = world(&[("no", denial)]).await;
    configure(&world, false, "v", vec![webhook("no", json!({}))]).await;
    let context = world.context();
    let refused = world
        .registry
        .create(
            &context,
            &target("v1/configmaps/default"),
            RequestBody::json(config_map("x").to_string()),
            WriteOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            418,
            "admission webhook \"no.example.com\" denied the request: not today"
        )
    );
    assert_eq!(context.warnings.take(), ["careful"]);
    assert!(world.get("v1/configmaps/default/x").await.is_err());
}

#[tokio::test]
async fn a_failure_closes_or_opens() {
    let (world, _) = world(&[]).await;
    configure(
        &world,
        false,
        "v",
        vec![webhook("gone", json!({"failurePolicy": "Ignore"}))],
    )
    .await;
    world.create("v1/configmaps/default", config_map("open")).await.unwrap();
    configure(&world, true, "w", vec![webhook("away", json!({}))]).await;
    let refused = world
        .create("v1/configmaps/default", config_map("closed"))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            500,
            "Internal error occurred: failed calling webhook \"away.example.com\": failed to call webhook: Post \
             \"https://away\": connection refused"
        )
    );
}

#[tokio::test]
async fn rules_selectors_and_conditions_choose() {
    let allow = json!({"allowed": true});
    let names = ["object", "namespace", "cluster", "condition", "deletes", "all"];
    let answers: Vec<(&str, Value)> = names.iter().map(|name| (*name, allow.clone())).collect();
    let (world, servers) = world(&answers).await;
    let rule = |operation: &str, scope: &str| {
        json!([{"operations": [operation], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"],
            "scope": scope}])
    };
    let webhooks = vec![
        webhook("object", json!({"objectSelector": {"matchLabels": {"app": "other"}}})),
        webhook(
            "namespace",
            json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "no"}}}),
        ),
        webhook("cluster", json!({"rules": rule("*", "Cluster")})),
        webhook(
            "condition",
            json!({"matchConditions": [{"name": "c", "expression": "request.name == 'never'"}]}),
        ),
        webhook("deletes", json!({"rules": rule("DELETE", "Namespaced")})),
        webhook("all", json!({"rules": rule("*", "*")})),
    ];
    configure(&world, false, "v", webhooks).await;
    world.create("v1/configmaps/default", config_map("x")).await.unwrap();
    assert_eq!(servers.names(), ["all"]);
    world.delete("v1/configmaps/default/x", "").await.unwrap();
    assert_eq!(servers.names(), ["all", "deletes", "all"]);
    let last = servers.asked.lock().unwrap().last().unwrap().1.clone();
    assert_eq!(
        (last["object"].clone(), last["oldObject"]["data"]["a"].clone()),
        (Value::Null, json!("1"))
    );
    world
        .delete(&format!("{GROUP}/validatingwebhookconfigurations/-/v"), "")
        .await
        .unwrap();
    assert_eq!(servers.names().len(), 3, "configurations are not subject to webhooks");
}

#[tokio::test]
async fn a_dry_run_calls_only_webhooks_without_side_effects() {
    let (world, _) = world(&[("one", add_data("one"))]).await;
    configure(
        &world,
        true,
        "a",
        vec![webhook("one", json!({"sideEffects": "NoneOnDryRun"}))],
    )
    .await;
    let dry = WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    };
    let made = world
        .create_with("v1/configmaps/default", config_map("x"), dry.clone())
        .await
        .unwrap();
    assert_eq!(made["data"]["one"], "x");
    let stored = json!({"webhooks": [webhook("one", json!({"sideEffects": "Some"}))]});
    let path = format!("{GROUP}/mutatingwebhookconfigurations/-/a");
    let changed = world
        .registry
        .patch(
            &world.context(),
            &target(&path),
            RequestBody::new(registry::MediaType::MergePatch, stored.to_string()),
            WriteOptions::default(),
        )
        .await;
    let Err(refused) = changed else {
        let refused = world
            .create_with("v1/configmaps/default", config_map("x"), dry)
            .await
            .unwrap_err();
        assert_eq!(
            refused.message(),
            "admission webhook \"one.example.com\" does not support dry run"
        );
        return;
    };
    // Upstream's v1 takes no webhooks with side effects at all.
    assert_eq!(refused.code(), 422);
}

#[tokio::test]
async fn connections_and_posts_to_subresources_are_seen() {
    let (world, servers) = world(&[("any", json!({"allowed": true}))]).await;
    let rules = json!([{"operations": ["CONNECT", "CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
        "resources": ["pods/attach", "serviceaccounts/token"]}]);
    configure(&world, false, "v", vec![webhook("any", json!({"rules": rules}))]).await;
    let mut pod = target("v1/pods/default/p");
    pod.subresource = Some("attach".to_owned());
    let query = [
        ("container".to_owned(), "c".to_owned()),
        ("stdin".to_owned(), "1".to_owned()),
    ];
    let context = registry::Context::for_user(User::authenticated("jane", ["dev"]));
    world.registry.admit_connection(&context, &pod, &query).await.unwrap();
    let (_, request) = servers.asked.lock().unwrap()[0].clone();
    assert_eq!(request["operation"], "CONNECT");
    assert_eq!(request["subResource"], "attach");
    assert_eq!(request["kind"]["kind"], "PodAttachOptions");
    assert_eq!(
        request["object"],
        json!({"kind": "PodAttachOptions", "apiVersion": "v1", "container": "c", "stdin": true})
    );
}
