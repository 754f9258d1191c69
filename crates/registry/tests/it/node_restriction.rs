//! What a node may write: itself and its pods.

use kube_types::dynamic::{Value, json};
use registry::{Context, DeleteOptions, MediaType, RequestBody, StatusError, User, WriteOptions};

use crate::world::{World, target};

async fn create(world: &World, path: &str, object: Value) -> Result<Value, StatusError> {
    let context = Context::for_user(User::node("n1"));
    let body = RequestBody::json(object.to_string());
    let reply = world
        .registry
        .create(&context, &target(path), body, WriteOptions::default())
        .await?;
    Ok(serde_json::from_slice(&reply.body.into_bytes()).unwrap())
}

async fn patch(world: &World, path: &str, patch: Value) -> Result<Value, StatusError> {
    let context = Context::for_user(User::node("n1"));
    let body = RequestBody::new(MediaType::MergePatch, patch.to_string());
    let reply = world
        .registry
        .patch(&context, &target(path), body, WriteOptions::default())
        .await?;
    Ok(serde_json::from_slice(&reply.body.into_bytes()).unwrap())
}

fn problem<T: std::fmt::Debug>(refused: Result<T, StatusError>) -> String {
    let message = refused.unwrap_err().message().to_owned();
    message
        .split_once(" is forbidden: ")
        .map_or(message.clone(), |(_, problem)| problem.to_owned())
}

#[tokio::test]
async fn a_node_gives_itself_no_labels_or_taints_that_steer_pods() {
    let world = World::new().await;
    let node = |name: &str, label: &str| json!({"metadata": {"name": name, "labels": {label: "x"}}});
    for label in [
        "node-restriction.kubernetes.io/a",
        "sub.node-restriction.kubernetes.io/a",
        "other.kubernetes.io/a",
        "x.k8s.io/a",
    ] {
        assert_eq!(
            problem(create(&world, "v1/nodes/-", node("n1", label)).await),
            format!("node \"n1\" is not allowed to set the following labels: {label}")
        );
    }
    assert_eq!(
        problem(create(&world, "v1/nodes/-", node("n2", "own")).await),
        "node \"n1\" is not allowed to modify node \"n2\""
    );
    let mut made = node("n1", "eks.amazonaws.com/nodegroup");
    for label in [
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "x.kubelet.kubernetes.io/a",
        "plain",
    ] {
        made["metadata"]["labels"][label] = "x".into();
    }
    made["spec"] = json!({"taints": [{"key": "dedicated", "effect": "NoSchedule"}]});
    create(&world, "v1/nodes/-", made).await.unwrap();
    let one = "v1/nodes/-/n1";
    for (change, refusal) in [
        (
            json!({"spec": {"taints": null}}),
            "node \"n1\" is not allowed to modify taints",
        ),
        (
            json!({"metadata": {"labels": {"node-role.kubernetes.io/admin": ""}}}),
            "is not allowed to modify labels: node-role.kubernetes.io/admin",
        ),
    ] {
        assert_eq!(problem(patch(&world, one, change).await), refusal);
    }
    patch(&world, one, json!({"metadata": {"labels": {"plain": "y"}}}))
        .await
        .unwrap();
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    patch(&world, "v1/nodes/-/n1/status", ready).await.unwrap();
}

fn mirror(uid: &Value) -> Value {
    let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": true});
    json!({"metadata": {"name": "m", "annotations": {"kubernetes.io/config.mirror": "x"}, "ownerReferences": [owner]},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}})
}

#[tokio::test]
async fn a_node_makes_mirror_pods_of_its_own_only() {
    let world = World::new().await;
    let node = world
        .create("v1/nodes/-", json!({"metadata": {"name": "n1"}}))
        .await
        .unwrap();
    let account = json!({"metadata": {"name": "default"}});
    world.create("v1/serviceaccounts/default", account).await.ok();
    let sound = mirror(&node["metadata"]["uid"]);
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 7] = [
        (
            |pod| pod["metadata"]["annotations"] = json!({}),
            "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only create mirror pods",
        ),
        (
            |pod| pod["spec"]["nodeName"] = "n2".into(),
            "node \"n1\" can only create pods with spec.nodeName set to itself",
        ),
        (
            |pod| pod["metadata"]["ownerReferences"] = json!([]),
            "node \"n1\" can only create pods with an owner reference set to itself",
        ),
        (
            |pod| pod["metadata"]["ownerReferences"][0]["controller"] = false.into(),
            "node \"n1\" can only create pods with a controller owner reference set to itself",
        ),
        (
            |pod| pod["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = true.into(),
            "node \"n1\" must not set blockOwnerDeletion on an owner reference",
        ),
        (
            |pod| pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "s"}}]),
            "node \"n1\" can not create pods that reference secrets",
        ),
        (
            |pod| pod["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "s"}}]),
            "node \"n1\" can not create pods that reference configmaps",
        ),
    ];
    for (change, refusal) in changes {
        let mut pod = sound.clone();
        change(&mut pod);
        assert_eq!(problem(create(&world, "v1/pods/default", pod).await), refusal);
    }
    create(&world, "v1/pods/default", sound).await.unwrap();
}

#[tokio::test]
async fn a_node_writes_the_status_of_its_pods_and_gets_tokens_for_them() {
    let world = World::new().await;
    world
        .create("v1/serviceaccounts/default", json!({"metadata": {"name": "default"}}))
        .await
        .ok();
    let pod = |name: &str, node: &str| {
        json!({"metadata": {"name": name, "labels": {"a": "b"}}, "spec": {"nodeName": node,
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]}}]}})
    };
    let own = world.create("v1/pods/default", pod("own", "n1")).await.unwrap();
    let other = world.create("v1/pods/default", pod("other", "n2")).await.unwrap();
    let running = || json!({"status": {"phase": "Running"}});
    patch(&world, "v1/pods/default/own/status", running()).await.unwrap();
    assert_eq!(
        problem(patch(&world, "v1/pods/default/other/status", running()).await),
        "node \"n1\" can only update pod status for pods with spec.nodeName set to itself"
    );
    assert_eq!(
        problem(
            patch(
                &world,
                "v1/pods/default/own/status",
                json!({"metadata": {"labels": {"a": "c"}}})
            )
            .await
        ),
        "node \"n1\" cannot update labels through pod status"
    );
    let asked = |pod: &Value, audiences: Value| {
        json!({"spec": {"audiences": audiences, "boundObjectRef": {"apiVersion": "v1", "kind": "Pod",
            "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}}})
    };
    let tokens = "v1/serviceaccounts/default/default/token";
    create(&world, tokens, asked(&own, json!(["vault"]))).await.unwrap();
    // The pod's own token, which the server mounts, has no audience.
    create(&world, tokens, asked(&own, json!([]))).await.unwrap();
    for (request, refusal) in [
        (
            asked(&own, json!(["other"])),
            "audience \"other\" not found in pod spec volume",
        ),
        (
            asked(&own, json!(["vault", "other"])),
            "node may only request 0 or 1 audiences",
        ),
        (
            asked(&other, json!(["vault"])),
            "node requested token bound to a pod scheduled on a different node",
        ),
        (json!({"spec": {}}), "node requested token not bound to a pod"),
    ] {
        assert_eq!(problem(create(&world, tokens, request).await), refusal);
    }
    let context = Context::for_user(User::node("n1"));
    let options = || DeleteOptions::read(&[], b"").unwrap();
    let delete = async |name: &str| {
        let path = target(&format!("v1/pods/default/{name}"));
        world.registry.delete(&context, &path, options()).await
    };
    assert_eq!(
        problem(delete("other").await.map(drop)),
        "node \"n1\" can only delete pods with spec.nodeName set to itself"
    );
    delete("own").await.unwrap();
}
