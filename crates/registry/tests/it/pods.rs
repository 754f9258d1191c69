//! Pods: what admission adds, binding, graceful deletion, eviction, resources below a pod.

use kube_types::dynamic::{Value, json};
use registry::{RequestBody, WriteOptions};

use crate::world::{World, target};

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}})
}

async fn post(world: &World, path: &str, object: Value) -> Result<u16, registry::StatusError> {
    let body = RequestBody::json(object.to_string());
    world
        .registry
        .create(&world.context(), &target(path), body, WriteOptions::default())
        .await
        .map(|reply| reply.code)
}

#[tokio::test]
async fn a_short_pod_becomes_a_whole_one() {
    let world = World::with_account().await;
    let mut made = world.create("v1/pods/default", pod("p")).await.unwrap();
    let owners = made["metadata"]
        .as_object_mut()
        .unwrap()
        .shift_remove("managedFields")
        .unwrap();
    assert_eq!(owners[0]["operation"], "Update");
    let volume = made["spec"]["volumes"][0]["name"].as_str().unwrap();
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let shown = serde_json::to_string_pretty(&made).unwrap();
    let shown = shown
        .replace(volume, "kube-api-access-xxxxx")
        .replace(uid, "uid")
        .replace(version, "version");
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn a_pod_needs_its_service_account() {
    let world = World::new().await;
    let error = world.create("v1/pods/default", pod("p")).await.unwrap_err();
    assert_eq!(
        error.message(),
        r#"pods "p" is forbidden: error looking up service account default/default: serviceaccount "default" not found"#
    );
}

#[tokio::test]
async fn binding_happens_once() {
    let world = World::with_account().await;
    world.create("v1/pods/default", pod("p")).await.unwrap();
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "node"}});
    assert_eq!(
        post(&world, "v1/pods/default/p/binding", binding.clone())
            .await
            .unwrap(),
        201
    );
    let bound = world.get("v1/pods/default/p").await.unwrap();
    assert_eq!(
        (&bound["spec"]["nodeName"], &bound["metadata"]["generation"]),
        (&json!("node"), &json!(2))
    );
    let scheduled = &bound["status"]["conditions"][0];
    assert_eq!(
        (&scheduled["type"], &scheduled["status"]),
        (&json!("PodScheduled"), &json!("True"))
    );
    let again = post(&world, "v1/pods/default/p/binding", binding).await.unwrap_err();
    assert_eq!(
        again.message(),
        r#"Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "node""#
    );
}

#[tokio::test]
async fn a_bound_pod_goes_gracefully() {
    let world = World::with_account().await;
    let mut bound = pod("p");
    bound["spec"]["nodeName"] = "node".into();
    world.create("v1/pods/default", bound).await.unwrap();
    let going = world.delete("v1/pods/default/p", "").await.unwrap();
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(going["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z");
    assert_eq!(going["metadata"]["generation"], 2);
    let longer = world
        .delete("v1/pods/default/p", "gracePeriodSeconds=60")
        .await
        .unwrap();
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 30, "never longer");
    let shorter = world.delete("v1/pods/default/p", "gracePeriodSeconds=5").await.unwrap();
    assert_eq!(shorter["metadata"]["deletionTimestamp"], "2026-01-01T00:00:05Z");
    world.delete("v1/pods/default/p", "gracePeriodSeconds=0").await.unwrap();
    assert_eq!(world.get("v1/pods/default/p").await.unwrap_err().code(), 404);
    world.create("v1/pods/default", pod("unbound")).await.unwrap();
    world.delete("v1/pods/default/unbound", "").await.unwrap();
    assert_eq!(
        world.get("v1/pods/default/unbound").await.unwrap_err().code(),
        404,
        "nobody runs it"
    );
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let world = World::with_account().await;
    let made = world.create("v1/pods/default", pod("p")).await.unwrap();
    let mut both = made.clone();
    both["status"] = json!({"phase": "Running"});
    both["spec"]["containers"][0]["image"] = "other".into();
    let whole = world.update("v1/pods/default/p", both.clone()).await.unwrap();
    assert_eq!(
        (&whole["status"]["phase"], &whole["metadata"]["generation"]),
        (&json!("Pending"), &json!(2))
    );
    both["metadata"]["resourceVersion"] = whole["metadata"]["resourceVersion"].clone();
    both["spec"]["containers"][0]["image"] = "third".into();
    let status = world.update("v1/pods/default/p/status", both).await.unwrap();
    assert_eq!(status["status"]["phase"], "Running");
    assert_eq!(status["status"]["qosClass"], "BestEffort", "fixed at creation");
    assert_eq!(status["spec"]["containers"][0]["image"], "other");
    assert_eq!(status["metadata"]["generation"], 2);
}

#[tokio::test]
async fn eviction_asks_the_budget() {
    let world = World::with_account().await;
    world.create("v1/pods/default", pod("p")).await.unwrap();
    world
        .patch("v1/pods/default/p/status", json!({"status": {"phase": "Running"}}))
        .await
        .unwrap();
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    world
        .create("policy/v1/poddisruptionbudgets/default", budget)
        .await
        .unwrap();
    let path = "policy/v1/poddisruptionbudgets/default/b";
    let status = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 0, "desiredHealthy": 1, "currentHealthy": 1, "expectedPods": 1}});
    world.patch(&format!("{path}/status"), status).await.unwrap();
    let eviction = json!({"metadata": {"name": "p"}});
    let refused = post(&world, "v1/pods/default/p/eviction", eviction.clone())
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (429, "Cannot evict pod as it would violate the pod's disruption budget.")
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(refused.status()).unwrap());
    world
        .patch(&format!("{path}/status"), json!({"status": {"disruptionsAllowed": 1}}))
        .await
        .unwrap();
    // The version before policy/v1, which upstream goes on to take.
    let eviction = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": "p"}});
    assert_eq!(post(&world, "v1/pods/default/p/eviction", eviction).await.unwrap(), 201);
    assert_eq!(world.get("v1/pods/default/p").await.unwrap_err().code(), 404);
    let after = world.get(path).await.unwrap();
    assert_eq!(after["status"]["disruptionsAllowed"], 0);
    assert!(after["status"]["disruptedPods"]["p"].is_string());
}

#[tokio::test]
async fn tokens_are_bound_to_what_they_are_for() {
    let world = World::with_account().await;
    world.create("v1/pods/default", pod("p")).await.unwrap();
    let request =
        json!({"spec": {"audiences": ["a"], "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}});
    let path = "v1/serviceaccounts/default/default/token";
    let issued = world.create(path, request).await.unwrap();
    assert_eq!(
        (&issued["status"]["token"], &issued["spec"]["expirationSeconds"]),
        (&json!("default/default"), &json!(3600))
    );
    let short = world
        .create(path, json!({"spec": {"audiences": [], "expirationSeconds": 5}}))
        .await
        .unwrap_err();
    assert!(
        short
            .message()
            .contains("may not specify a duration less than 10 minutes"),
        "{short}"
    );
}

#[tokio::test]
async fn a_workloads_scale_is_a_view_of_it() {
    let world = World::new().await;
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    world.create("apps/v1/deployments/default", deployment).await.unwrap();
    let scale = world.get("apps/v1/deployments/default/web/scale").await.unwrap();
    assert_eq!(
        (&scale["spec"]["replicas"], &scale["status"]["selector"]),
        (&json!(2), &json!("app=web"))
    );
    let scaled = world
        .patch(
            "apps/v1/deployments/default/web/scale",
            json!({"spec": {"replicas": 5}}),
        )
        .await
        .unwrap();
    assert_eq!(
        (&scaled["kind"], &scaled["spec"]["replicas"]),
        (&json!("Scale"), &json!(5))
    );
    let web = world.get("apps/v1/deployments/default/web").await.unwrap();
    assert_eq!(
        (&web["spec"]["replicas"], &web["metadata"]["generation"]),
        (&json!(5), &json!(2))
    );
    let below = world
        .patch(
            "apps/v1/deployments/default/web/scale",
            json!({"spec": {"replicas": -1}}),
        )
        .await
        .unwrap_err();
    assert_eq!(
        below.message(),
        r#"Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"#
    );
}
