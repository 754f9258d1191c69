//! Nobody gives away what they do not have.

use kube_types::dynamic::{Value, json};
use registry::{Context, MediaType, RequestBody, StatusError, User, WriteOptions};

use crate::world::{World, target};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn jane() -> Context {
    Context::for_user(User::authenticated("jane", ["dev"]))
}

async fn create(world: &World, path: &str, object: Value) -> Result<(), StatusError> {
    let body = RequestBody::json(object.to_string());
    let made = world
        .registry
        .create(&jane(), &target(path), body, WriteOptions::default())
        .await;
    made.map(|_| ())
}

/// Jane may write roles and bindings, read pods, and hold what `extra` says.
async fn world_of_jane(extra: Value) -> World {
    let world = World::new().await;
    let mut rules = vec![
        json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["create", "update", "patch"]}),
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}),
    ];
    rules.extend(extra.as_array().cloned().unwrap_or_default());
    world
        .create(
            &format!("{RBAC}/clusterroles"),
            json!({"metadata": {"name": "jane"}, "rules": rules}),
        )
        .await
        .unwrap();
    let binding = json!({"metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "jane"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    world
        .create(&format!("{RBAC}/clusterrolebindings"), binding)
        .await
        .unwrap();
    world
}

fn role(name: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": verbs}]})
}

fn binding(name: &str, role: &str) -> Value {
    json!({"metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]})
}

#[tokio::test]
async fn a_role_gives_no_more_than_its_writer_has() {
    let world = world_of_jane(json!([])).await;
    let roles = format!("{RBAC}/roles/default");
    create(&world, &roles, role("reader", "pods", &["get"])).await.unwrap();
    let refused = create(&world, &roles, role("thief", "secrets", &["get"]))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 403);
    assert_eq!(
        refused.message(),
        "roles.rbac.authorization.k8s.io \"thief\" is forbidden: user \"jane\" (groups=[\"dev\" \
         \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], \
         Resources:[\"secrets\"], Verbs:[\"get\"]}"
    );
    let patch = r#"{"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["*"]}]}"#;
    let widened = world
        .registry
        .patch(
            &jane(),
            &target(&format!("{roles}/reader")),
            RequestBody::new(MediaType::MergePatch, patch),
            WriteOptions::default(),
        )
        .await;
    assert_eq!(widened.unwrap_err().code(), 403);
    let collecting = json!({"metadata": {"name": "all"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    let refused = create(&world, &format!("{RBAC}/clusterroles"), collecting)
        .await
        .unwrap_err();
    assert!(
        refused
            .message()
            .ends_with("must have cluster-admin privileges to use an aggregationRule"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn a_binding_gives_no_more_than_its_writer_has() {
    let world = world_of_jane(json!([])).await;
    let bindings = format!("{RBAC}/clusterrolebindings");
    let refused = create(&world, &bindings, binding("root", "cluster-admin"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 403, "{}", refused.message());
    assert!(
        refused
            .message()
            .contains("attempting to grant RBAC permissions not currently held")
    );
    let missing = create(&world, &bindings, binding("none", "nowhere")).await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (404, "clusterroles.rbac.authorization.k8s.io \"nowhere\" not found")
    );
    create(&world, &bindings, binding("same", "jane")).await.unwrap();
}

#[tokio::test]
async fn escalate_and_bind_let_pass() {
    let world = world_of_jane(json!([
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"],
            "resourceNames": ["view"]}
    ]))
    .await;
    create(&world, &format!("{RBAC}/roles/default"), role("any", "secrets", &["*"]))
        .await
        .unwrap();
    let bindings = format!("{RBAC}/rolebindings/default");
    create(&world, &bindings, binding("view", "view")).await.unwrap();
    assert_eq!(
        create(&world, &bindings, binding("edit", "edit"))
            .await
            .unwrap_err()
            .code(),
        403
    );
}
