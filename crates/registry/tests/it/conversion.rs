//! Versions that a webhook converts: reads, writes, selectors and watches in each, and what happens when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use kube_types::dynamic::{Value, json};
use registry::webhook::{CallError, Caller, Endpoint};

use crate::custom_resources::define;
use crate::world::World;

/// A webhook that knows `v1` with one text and `v2` with two.
#[derive(Default)]
struct HostAndPort {
    fails: AtomicBool,
}

impl Caller for HostAndPort {
    fn post<'a>(
        &'a self,
        _endpoint: &'a Endpoint,
        body: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, CallError>> {
        async move {
            if self.fails.load(Ordering::Relaxed) {
                return Err(CallError("failed to call webhook: it is down".to_owned()));
            }
            let review: Value = serde_json::from_slice(&body).unwrap();
            let request = &review["request"];
            let wanted = &request["desiredAPIVersion"];
            let objects = request["objects"].as_array().unwrap().iter();
            let converted: Vec<Value> = objects.map(|object| convert(object.clone(), wanted)).collect();
            let answer = json!({"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response":
                {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": converted}});
            Ok(answer.to_string().into())
        }
        .boxed()
    }
}

fn convert(mut object: Value, wanted: &Value) -> Value {
    object["apiVersion"] = wanted.clone();
    if wanted == "example.com/v2" {
        let text = object["hostPort"].as_str().unwrap().to_owned();
        let (host, port) = text.split_once(':').unwrap();
        object["host"] = host.into();
        object["port"] = port.into();
        object.as_object_mut().unwrap().remove("hostPort");
    } else {
        object["hostPort"] = format!(
            "{}:{}",
            object["host"].as_str().unwrap(),
            object["port"].as_str().unwrap()
        )
        .into();
        object.as_object_mut().unwrap().remove("host");
        object.as_object_mut().unwrap().remove("port");
    }
    object
}

fn hosts() -> Value {
    let version = |name: &str, fields: &[&str]| {
        let properties: Vec<(String, Value)> = fields
            .iter()
            .map(|field| ((*field).to_owned(), json!({"type": "string"})))
            .collect();
        let selectable: Vec<Value> = fields
            .iter()
            .map(|field| json!({"jsonPath": format!(".{field}")}))
            .collect();
        let properties = Value::Object(properties.into_iter().collect());
        json!({"name": name, "served": true, "storage": name == "v1", "selectableFields": selectable,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}})
    };
    json!({"metadata": {"name": "hosts.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "hosts", "kind": "Host"},
        "versions": [version("v1", &["hostPort"]), version("v2", &["host", "port"])],
        "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
            "clientConfig": {"service": {"namespace": "default", "name": "converter", "path": "/convert"}}}}}})
}

#[tokio::test]
async fn a_webhook_converts_what_is_read_written_and_watched() {
    let world = World::new().await;
    let webhook = Arc::new(HostAndPort::default());
    world.registry.attach_caller(webhook.clone());
    define(&world, hosts()).await;
    let (first, second) = ("example.com/v1/hosts/default", "example.com/v2/hosts/default");
    world
        .create(first, json!({"metadata": {"name": "a"}, "hostPort": "one:80"}))
        .await
        .unwrap();
    let made = world
        .create(second, json!({"metadata": {"name": "b"}, "host": "two", "port": "443"}))
        .await
        .unwrap();
    assert_eq!(
        (&made["apiVersion"], &made["host"]),
        (&json!("example.com/v2"), &json!("two"))
    );
    assert_eq!(world.get(&format!("{first}/b")).await.unwrap()["hostPort"], "two:443");
    let list = world.list(second, "fieldSelector=host=one").await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["port"], "80");
    let mut events = world.watch(second, "fieldSelector=host=one").await.unwrap();
    assert_eq!(events.next().await.1["metadata"]["name"], "a");
    world
        .patch(&format!("{first}/b"), json!({"hostPort": "one:8080"}))
        .await
        .unwrap();
    let (kind, object) = events.next().await;
    assert_eq!((kind.as_str(), &object["port"]), ("ADDED", &json!("8080")));
    world.delete(&format!("{second}/b"), "").await.unwrap();
    let (kind, object) = events.next().await;
    assert_eq!((kind.as_str(), &object["host"]), ("DELETED", &json!("one")));
    world
        .create(first, json!({"metadata": {"name": "c"}, "hostPort": "three:1"}))
        .await
        .unwrap();
    webhook.fails.store(true, Ordering::Relaxed);
    assert!(
        world.get(&format!("{first}/c")).await.is_ok(),
        "the stored version needs no webhook"
    );
    let error = world.get(&format!("{second}/c")).await.unwrap_err();
    assert_eq!(error.code(), 500);
    let expected = "conversion webhook for example.com/v1, Kind=Host failed: failed to call webhook: it is down";
    assert_eq!(error.message(), expected);
}
