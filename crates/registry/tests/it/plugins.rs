//! The built-in admission plugins: limits, quota, pod security, storage, nodes.

use std::sync::Arc;

use futures::future::join_all;
use kube_types::dynamic::{Value, json};
use registry::{Context, RequestBody, StatusError, User, WriteOptions};

use crate::world::{World, target};

fn pod(name: &str, resources: Value) -> Value {
    json!({"metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
}

async fn make(world: &World, pod: Value) -> Result<Value, StatusError> {
    world.create("v1/pods/default", pod).await
}

#[tokio::test]
async fn containers_get_the_namespace_defaults_and_keep_its_limits() {
    let world = World::with_account().await;
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"},
            "min": {"cpu": "50m"}},
        {"type": "Pod", "max": {"memory": "1Gi"}},
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}]}});
    world.create("v1/limitranges/default", range).await.unwrap();
    let made = make(&world, pod("plain", json!({"limits": {"memory": "64Mi"}})))
        .await
        .unwrap();
    assert_eq!(
        made["spec"]["containers"][0]["resources"],
        json!({"limits": {"memory": "64Mi", "cpu": "500m"}, "requests": {"memory": "64Mi", "cpu": "100m"}})
    );
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let greedy = pod(
        "greedy",
        json!({"requests": {"cpu": "10m"}, "limits": {"cpu": "2", "memory": "2Gi"}}),
    );
    assert_eq!(
        make(&world, greedy).await.unwrap_err().message(),
        "pods \"greedy\" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, maximum cpu usage \
         per Container is 1, but limit is 2, maximum memory usage per Pod is 1Gi, but limit is 2Gi]"
    );
    let claim = json!({"metadata": {"name": "small"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}}}});
    let refused = world
        .create("v1/persistentvolumeclaims/default", claim)
        .await
        .unwrap_err();
    assert_eq!(
        refused.message(),
        "persistentvolumeclaims \"small\" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but \
         request is 1Mi"
    );
}

async fn quota(world: &World, hard: Value, spec: Value) {
    let mut spec = spec;
    spec["hard"] = hard.clone();
    world
        .create(
            "v1/resourcequotas/default",
            json!({"metadata": {"name": "q"}, "spec": spec}),
        )
        .await
        .unwrap();
    // The controller copies what is asked for into the status.
    let status = json!({"status": {"hard": hard, "used": {}}});
    world
        .registry
        .patch(
            &world.context(),
            &target("v1/resourcequotas/default/q").with_subresource("status"),
            RequestBody::new(registry::MediaType::MergePatch, status.to_string()),
            WriteOptions::default(),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_quota_is_shared_exactly_by_many_writers() {
    let world = Arc::new(World::with_account().await);
    quota(&world, json!({"configmaps": "5", "count/configmaps": "10"}), json!({})).await;
    let writers = (0..12).map(|number| {
        let world = world.clone();
        async move {
            let object = json!({"metadata": {"name": format!("c{number}")}});
            world.create("v1/configmaps/default", object).await
        }
    });
    let made = join_all(writers).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 5);
    let refused = made.into_iter().find_map(Result::err).unwrap();
    assert_eq!(refused.code(), 403);
    assert!(
        refused.message().ends_with(
            "is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=5, limited: configmaps=5"
        ),
        "{}",
        refused.message()
    );
    let quota = world.get("v1/resourcequotas/default/q").await.unwrap();
    assert_eq!(
        quota["status"]["used"],
        json!({"configmaps": "5", "count/configmaps": "5"})
    );
}

#[tokio::test]
async fn a_quota_on_compute_wants_every_container_to_say_what_it_needs() {
    let world = World::with_account().await;
    quota(
        &world,
        json!({"requests.cpu": "1", "pods": "2"}),
        json!({"scopes": ["NotTerminating"]}),
    )
    .await;
    assert_eq!(
        make(&world, pod("silent", json!({}))).await.unwrap_err().message(),
        "pods \"silent\" is forbidden: failed quota: q: must specify requests.cpu for: c"
    );
    make(&world, pod("fits", json!({"requests": {"cpu": "800m"}})))
        .await
        .unwrap();
    assert_eq!(
        make(&world, pod("more", json!({"requests": {"cpu": "300m"}})))
            .await
            .unwrap_err()
            .message(),
        "pods \"more\" is forbidden: exceeded quota: q, requested: requests.cpu=300m, used: requests.cpu=800m, limited: \
         requests.cpu=1"
    );
    let mut ending = pod("ending", json!({}));
    ending["spec"]["activeDeadlineSeconds"] = 5.into();
    make(&world, ending).await.unwrap();
}

#[tokio::test]
async fn pods_keep_to_the_standard_of_their_namespace() {
    let world = World::with_account().await;
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/warn-version": "v1.36"}}});
    world
        .registry
        .patch(
            &world.context(),
            &target("v1/namespaces/-/default"),
            RequestBody::new(registry::MediaType::MergePatch, labels.to_string()),
            WriteOptions::default(),
        )
        .await
        .unwrap();
    let mut privileged = pod("root", json!({}));
    privileged["spec"]["hostNetwork"] = true.into();
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    assert_eq!(
        make(&world, privileged).await.unwrap_err().message(),
        "pods \"root\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true), \
         privileged (container \"c\" must not set securityContext.privileged=true)"
    );
    let context = world.context();
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    world
        .registry
        .create(
            &context,
            &target("apps/v1/deployments/default"),
            RequestBody::json(deployment.to_string()),
            WriteOptions::default(),
        )
        .await
        .unwrap();
    let warnings = context.warnings.take();
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("would violate PodSecurity \"restricted:v1.36\": allowPriv"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_node_changes_itself_and_its_pods_only() {
    let world = World::with_account().await;
    for name in ["n1", "n2"] {
        world
            .create("v1/nodes", json!({"metadata": {"name": name}}))
            .await
            .unwrap();
    }
    let node = Context::for_user(User::node("n1"));
    let patch = |path: &str, patch: Value| {
        let (registry, node, target) = (world.registry.clone(), node.clone(), target(path));
        async move {
            let body = RequestBody::new(registry::MediaType::MergePatch, patch.to_string());
            registry.patch(&node, &target, body, WriteOptions::default()).await
        }
    };
    patch("v1/nodes/-/n1", json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .unwrap();
    let refused = patch("v1/nodes/-/n2", json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .unwrap_err();
    assert_eq!(
        refused.message(),
        "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\""
    );
    let restricted = json!({"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y"}}});
    assert_eq!(patch("v1/nodes/-/n1", restricted).await.unwrap_err().code(), 403);
    let body = RequestBody::json(pod("p", json!({})).to_string());
    let refused = world
        .registry
        .create(&node, &target("v1/pods/default"), body, WriteOptions::default())
        .await
        .unwrap_err();
    assert!(
        refused.message().contains("can only create mirror pods"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn claims_grow_only_with_leave() {
    let world = World::new().await;
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "s",
        "resources": {"requests": {"storage": "1Gi"}}}});
    world.create("v1/persistentvolumeclaims/default", claim).await.unwrap();
    let grown = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    let refused = world
        .registry
        .patch(
            &world.context(),
            &target("v1/persistentvolumeclaims/default/c"),
            RequestBody::new(registry::MediaType::MergePatch, grown.to_string()),
            WriteOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.reason()),
        (403, "Forbidden"),
        "{}",
        refused.message()
    );
}

/// One profile, for the namespace `default` and pods of `app=web`.
struct OneProfile;

impl registry::FargateProfiles for OneProfile {
    fn profile_for(&self, namespace: &str, labels: &std::collections::BTreeMap<String, String>) -> Option<String> {
        let fits = namespace == "default" && labels.get("app").is_some_and(|app| app == "web");
        fits.then(|| "fp".to_owned())
    }
}

#[tokio::test]
async fn pods_that_a_fargate_profile_selects_are_left_to_fargate() {
    let world = World::with_account().await;
    world.registry.set_fargate_profiles(std::sync::Arc::new(OneProfile));
    let mut web = pod("web", json!({}));
    web["metadata"]["labels"] = json!({"app": "web"});
    let made = make(&world, web.clone()).await.unwrap();
    assert_eq!(made["metadata"]["labels"]["eks.amazonaws.com/fargate-profile"], "fp");
    assert_eq!(made["spec"]["schedulerName"], "fargate-scheduler");
    assert_eq!(made["spec"]["priorityClassName"], "system-node-critical");
    assert_eq!(made["spec"]["priority"], 2_000_001_000);

    let other = make(&world, pod("other", json!({}))).await.unwrap();
    assert_eq!(other["spec"]["schedulerName"], "default-scheduler");
    assert_eq!(other["metadata"]["labels"], Value::Null);

    web["metadata"]["name"] = json!("of-a-daemon-set");
    web["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u"}]);
    let owned = make(&world, web).await.unwrap();
    assert_eq!(owned["spec"]["schedulerName"], "default-scheduler");
}
