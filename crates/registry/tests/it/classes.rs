//! Classes that admission reads: of runtimes, of ingresses, of storage.

use kube_types::dynamic::{Value, json};
use registry::StatusError;

use crate::world::World;

const CLASSES: &str = "node.k8s.io/v1/runtimeclasses";

async fn world() -> World {
    let world = World::new().await;
    let account = json!({"metadata": {"name": "default"}});
    world.create("v1/serviceaccounts/default", account).await.unwrap();
    let class = json!({"metadata": {"name": "sandboxed"}, "handler": "h",
        "overhead": {"podFixed": {"cpu": "250m", "memory": "120Mi"}},
        "scheduling": {"nodeSelector": {"runtime": "sandboxed"}, "tolerations": [
            {"key": "sandboxed", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "both", "operator": "Equal", "value": "x", "effect": "NoSchedule"}]}});
    world.create(CLASSES, class).await.unwrap();
    let plain = json!({"metadata": {"name": "plain"}, "handler": "h"});
    world.create(CLASSES, plain).await.unwrap();
    world
}

/// A pod with more in its spec.
async fn make(world: &World, name: &str, more: Value) -> Result<Value, StatusError> {
    let mut spec = json!({"containers": [{"name": "c", "image": "i"}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world
        .create("v1/pods/default", json!({"metadata": {"name": name}, "spec": spec}))
        .await
}

#[tokio::test]
async fn a_pod_gets_the_overhead_and_the_nodes_of_its_runtime() {
    let world = world().await;
    let tolerations = json!([{"key": "both", "operator": "Exists"}, {"key": "own", "operator": "Exists"}]);
    let more = json!({"runtimeClassName": "sandboxed", "nodeSelector": {"disk": "ssd"}, "tolerations": tolerations});
    let made = make(&world, "a", more).await.unwrap();
    assert_eq!(made["spec"]["overhead"], json!({"cpu": "250m", "memory": "120Mi"}));
    assert_eq!(
        made["spec"]["nodeSelector"],
        json!({"disk": "ssd", "runtime": "sandboxed"})
    );
    let keys: Vec<&str> = made["spec"]["tolerations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|toleration| toleration["key"].as_str().unwrap())
        .collect();
    // What one of the pod's own covers is not added.
    let expected = [
        "both",
        "own",
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "sandboxed",
    ];
    assert_eq!(keys, expected);
    let same = json!({"runtimeClassName": "sandboxed", "overhead": {"cpu": "0.25", "memory": "120Mi"}});
    make(&world, "b", same).await.unwrap();
    let plain = make(&world, "c", json!({"runtimeClassName": "plain"})).await.unwrap();
    assert!(plain["spec"].get("overhead").is_none() && plain["spec"].get("nodeSelector").is_none());
}

#[tokio::test]
async fn what_contradicts_a_runtime_class_is_refused_in_upstreams_words() {
    let world = world().await;
    for (more, problem) in [
        (
            json!({"runtimeClassName": "none"}),
            "pod rejected: RuntimeClass \"none\" not found",
        ),
        (
            json!({"runtimeClassName": "sandboxed", "overhead": {"cpu": "1"}}),
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            json!({"overhead": {"cpu": "1"}}),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            json!({"runtimeClassName": "plain", "overhead": {"cpu": "1"}}),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            json!({"runtimeClassName": "sandboxed", "nodeSelector": {"runtime": "other"}}),
            "conflict: runtimeClass.scheduling.nodeSelector[runtime] = sandboxed; pod.spec.nodeSelector[runtime] = other",
        ),
    ] {
        let refused = make(&world, "a", more).await.unwrap_err();
        let message = format!("pods \"a\" is forbidden: {problem}");
        assert_eq!((refused.code(), refused.message()), (403, message.as_str()));
    }
}

async fn ingress_class(world: &World, name: &str, default: bool) {
    let class = json!({"metadata": {"name": name,
        "annotations": {"ingressclass.kubernetes.io/is-default-class": default.to_string()}},
        "spec": {"controller": "example.com/c"}});
    world
        .create("networking.k8s.io/v1/ingressclasses", class)
        .await
        .unwrap();
}

async fn ingress(world: &World, name: &str, annotations: Value, class: Option<&str>) -> Value {
    let mut ingress = json!({"metadata": {"name": name, "annotations": annotations},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    if let Some(class) = class {
        ingress["spec"]["ingressClassName"] = class.into();
    }
    world
        .create("networking.k8s.io/v1/ingresses/default", ingress)
        .await
        .unwrap()["spec"]["ingressClassName"]
        .clone()
}

#[tokio::test]
async fn an_ingress_without_a_class_gets_the_newest_default() {
    let world = World::new().await;
    assert_eq!(ingress(&world, "early", json!({}), None).await, Value::Null);
    ingress_class(&world, "other", false).await;
    ingress_class(&world, "first", true).await;
    assert_eq!(ingress(&world, "a", json!({}), None).await, "first");
    assert_eq!(ingress(&world, "b", json!({}), Some("other")).await, "other");
    let legacy = json!({"kubernetes.io/ingress.class": "old"});
    assert_eq!(ingress(&world, "c", legacy, None).await, Value::Null);
    world.clock.advance(jiff::SignedDuration::from_secs(5));
    ingress_class(&world, "second", true).await;
    assert_eq!(ingress(&world, "d", json!({}), None).await, "second");
}

#[tokio::test]
async fn a_claim_without_a_class_gets_the_default_and_one_with_none_stays_so() {
    let world = World::new().await;
    let class = json!({"metadata": {"name": "gp3",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "ebs.csi.aws.com"});
    world.create("storage.k8s.io/v1/storageclasses", class).await.unwrap();
    for (name, given, wanted) in [("a", Value::Null, "gp3"), ("b", "".into(), "")] {
        let mut claim = json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}});
        if !given.is_null() {
            claim["spec"]["storageClassName"] = given;
        }
        let made = world.create("v1/persistentvolumeclaims/default", claim).await.unwrap();
        assert_eq!(made["spec"]["storageClassName"], wanted);
    }
}
