//! Certificate signing requests: who asks, who may decide, and what stays as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube_types::dynamic::{Value, json};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use registry::{Context, MediaType, RequestBody, StatusError, User, WriteOptions};

use crate::world::{World, target};

/// A request for a client certificate, as the API takes it. Of several organizations the first and the last are kept.
pub fn encoded(common_name: &str, organizations: &[&str]) -> String {
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    let kinds = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
    for (kind, organization) in kinds.into_iter().zip(organizations) {
        parameters.distinguished_name.push(kind, *organization);
    }
    let request = parameters.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    STANDARD.encode(request.pem().unwrap())
}

const COLLECTION: &str = "certificates.k8s.io/v1/certificatesigningrequests/-";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";

async fn ask(world: &World, name: &str, organizations: &[&str]) -> Result<Value, StatusError> {
    let object = json!({"metadata": {"name": name}, "spec": {"request": encoded("jane", organizations),
        "signerName": CLIENT, "usages": ["client auth"], "username": "forged"}});
    world.create(COLLECTION, object).await
}

async fn change(world: &World, user: User, name: &str, part: &str, patch: Value) -> Result<Value, StatusError> {
    let path = target(&format!("{COLLECTION}/{name}")).with_subresource(part);
    let body = RequestBody::new(MediaType::MergePatch, patch.to_string());
    let reply = world
        .registry
        .patch(&Context::for_user(user), &path, body, WriteOptions::default())
        .await?;
    Ok(serde_json::from_slice(&reply.body.into_bytes()).unwrap())
}

fn deciding(kind: &str) -> Value {
    json!({"status": {"conditions": [{"type": kind, "status": "True", "reason": "Test"}]}})
}

#[tokio::test]
async fn a_request_says_who_really_asks_and_none_asks_to_be_an_administrator() {
    let world = World::new().await;
    let made = ask(&world, "one", &["dev"]).await.unwrap();
    assert_eq!(made["spec"]["username"], "admin");
    assert!(made["status"]["conditions"].is_null(), "{made}");
    let refused = ask(&world, "two", &["dev", "system:masters"]).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            403,
            "certificatesigningrequests.certificates.k8s.io \"two\" is forbidden: use of \
             kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
        )
    );
}

#[tokio::test]
async fn who_approves_or_signs_must_be_allowed_to_for_the_signer() {
    let world = World::new().await;
    ask(&world, "one", &["dev"]).await.unwrap();
    let role = json!({"metadata": {"name": "approver"}, "rules": [{"apiGroups": ["certificates.k8s.io"],
        "resources": ["signers"], "resourceNames": ["kubernetes.io/*"], "verbs": ["approve"]}]});
    world
        .create("rbac.authorization.k8s.io/v1/clusterroles/-", role)
        .await
        .unwrap();
    let binding = json!({"metadata": {"name": "approver"}, "roleRef": {"kind": "ClusterRole", "name": "approver",
        "apiGroup": "rbac.authorization.k8s.io"}, "subjects": [{"kind": "User", "name": "ann"}]});
    let bindings = "rbac.authorization.k8s.io/v1/clusterrolebindings/-";
    world.create(bindings, binding).await.unwrap();
    let user = |name: &str| User::authenticated(name, Vec::<String>::new());
    let refused = change(&world, user("bob"), "one", "approval", deciding("Approved"))
        .await
        .unwrap_err();
    assert!(
        refused.message().ends_with(
            "user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\""
        ),
        "{refused}"
    );
    let approved = change(&world, user("ann"), "one", "approval", deciding("Approved"))
        .await
        .unwrap();
    let condition = &approved["status"]["conditions"][0];
    assert_eq!(condition["lastUpdateTime"], condition["lastTransitionTime"]);
    assert!(condition["lastUpdateTime"].is_string(), "{condition}");
    let failed = json!({"status": {"conditions": [condition, {"type": "Failed", "status": "True"}]}});
    let refused = change(&world, user("ann"), "one", "status", failed.clone())
        .await
        .unwrap_err();
    assert!(
        refused.message().contains("user not permitted to sign requests"),
        "{refused}"
    );
    let failed = change(&world, User::master("admin"), "one", "status", failed)
        .await
        .unwrap();
    assert_eq!(failed["status"]["conditions"][1]["type"], "Failed");
}

#[tokio::test]
async fn a_decision_is_final_and_belongs_to_approval() {
    let world = World::new().await;
    ask(&world, "one", &["dev"]).await.unwrap();
    let admin = || User::master("admin");
    let refused = change(&world, admin(), "one", "status", deciding("Approved"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 422);
    assert!(
        refused
            .message()
            .contains("updates may not add a condition of type \"Approved\""),
        "{refused}"
    );
    change(&world, admin(), "one", "approval", deciding("Denied"))
        .await
        .unwrap();
    let refused = change(&world, admin(), "one", "approval", deciding("Approved"))
        .await
        .unwrap_err();
    assert!(
        refused
            .message()
            .contains("updates may not remove a condition of type \"Denied\""),
        "{refused}"
    );
    // What stands outside the conditions is none of the subresource's business.
    let other = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"signerName": "example.com/x"},
        "status": {"certificate": "eA=="}});
    let same = change(&world, admin(), "one", "approval", other).await.unwrap();
    assert_eq!(
        (&same["spec"]["signerName"], &same["status"]["certificate"]),
        (&json!(CLIENT), &Value::Null)
    );
}
