//! Who gets in, as whom, and what a refusal says.

use std::sync::Arc;

use access_rules::User;
use axum::body::Body;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube_api::{Anonymous, AuthenticationError, TokenAuthenticator};
use kube_client::Credentials;
use serde_json::{Value, json};

use crate::world::{World, get};

fn code_of(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_may_do_what_its_groups_may() {
    let world = World::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(world.client(&world.certificate("root", &["system:masters"])));
    let mut map = ConfigMap::default();
    map.metadata.name = Some("settings".to_owned());
    maps.create(&PostParams::default(), &map).await.unwrap();
    let patch = json!({"data": {"color": "blue"}});
    let patched = maps
        .patch("settings", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap()["color"], "blue");
    assert_eq!(
        maps.list(&ListParams::default().fields("metadata.name=settings"))
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    maps.delete("settings", &DeleteParams::default()).await.unwrap();
    assert_eq!(code_of(maps.get("settings").await.unwrap_err()), 404);
    let nobody: Api<ConfigMap> = Api::default_namespaced(world.client(&world.certificate("nobody", &[])));
    assert_eq!(code_of(nobody.get("settings").await.unwrap_err()), 403);
    world.stop().await;
}

#[tokio::test]
async fn a_service_accounts_token_dies_with_the_account() {
    let world = World::start().await;
    let admin = world.client(&world.certificate("root", &["system:masters"]));
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin);
    let metadata = ObjectMeta {
        name: Some("robot".to_owned()),
        ..ObjectMeta::default()
    };
    accounts
        .create(
            &PostParams::default(),
            &ServiceAccount {
                metadata,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    let spec = TokenRequestSpec {
        audiences: None,
        expiration_seconds: Some(600),
        bound_object_ref: None,
    };
    let request = TokenRequest {
        spec: Some(spec),
        ..TokenRequest::default()
    };
    let issued = accounts
        .create_token_request("robot", &PostParams::default(), &request)
        .await
        .unwrap();
    let token = issued.status.unwrap().token.unwrap();
    let client = world.client(&Credentials::Token(token.clone()));
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .unwrap();
    let user = review.status.unwrap().user_info.unwrap();
    assert_eq!(user.username.as_deref(), Some("system:serviceaccount:default:robot"));
    // The last character of a signature has bits that say nothing, so an earlier one is changed.
    let (head, tail) = token.split_at(token.len() - 20);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    let tampered = world.client(&Credentials::Token(format!("{head}{other}{}", &tail[1..])));
    let refused = Api::<ConfigMap>::default_namespaced(tampered)
        .get("x")
        .await
        .unwrap_err();
    assert_eq!(code_of(refused), 401);
    accounts.delete("robot", &DeleteParams::default()).await.unwrap();
    let refused = Api::<ConfigMap>::default_namespaced(client).get("x").await.unwrap_err();
    assert_eq!(code_of(refused), 401);
    world.stop().await;
}

/// Knows one token.
struct Fixed;

impl TokenAuthenticator for Fixed {
    fn authenticate(&self, token: &str) -> BoxFuture<'_, Result<Option<User>, AuthenticationError>> {
        let known = token == "k8s-aws-v1.known";
        async move { Ok(known.then(|| User::authenticated("arn:aws:iam::1:role/dev", ["developers"]))) }.boxed()
    }
}

#[tokio::test]
async fn other_tokens_are_asked_of_their_authenticators() {
    let world = World::start_with(Anonymous::HealthOnly, vec![Arc::new(Fixed)]).await;
    for (token, code) in [("k8s-aws-v1.known", 403), ("k8s-aws-v1.unknown", 401), ("", 401)] {
        let client = world.client(&Credentials::Token(token.to_owned()));
        let refused = Api::<ConfigMap>::default_namespaced(client).get("x").await.unwrap_err();
        assert_eq!(code_of(refused), code, "{token}");
    }
    world.stop().await;
}

#[tokio::test]
async fn without_credentials_only_health_is_answered() {
    for (anonymous, api_code) in [(Anonymous::HealthOnly, 401), (Anonymous::Everywhere, 403)] {
        let world = World::start_with(anonymous, Vec::new()).await;
        let client = world.client(&Credentials::Anonymous);
        for path in ["/healthz", "/livez", "/readyz"] {
            let request = http::Request::get(path).body(Vec::new()).unwrap();
            assert_eq!(client.request_text(request).await.unwrap(), "ok", "{path}");
        }
        let refused = Api::<ConfigMap>::default_namespaced(client).get("x").await.unwrap_err();
        assert_eq!(code_of(refused), api_code);
        world.stop().await;
    }
}

#[tokio::test]
async fn refusals_say_what_was_wanted() {
    let world = World::start().await;
    let user = || User::authenticated("jane", Vec::<String>::new());
    for (path, message) in [
        (
            "/api/v1/namespaces/dev/pods",
            r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "dev""#,
        ),
        (
            "/apis/apps/v1/namespaces/dev/deployments/web",
            r#"deployments.apps "web" is forbidden: User "jane" cannot get resource "deployments" in API group "apps" in the namespace "dev""#,
        ),
        (
            "/api/v1/nodes",
            r#"nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope"#,
        ),
        ("/metrics", r#"forbidden: User "jane" cannot get path "/metrics""#),
    ] {
        let (code, _, body) = world.send_as(user(), get(path)).await;
        let status: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (code, status["message"].as_str()),
            (StatusCode::FORBIDDEN, Some(message))
        );
        assert_eq!(
            (status["kind"].as_str(), status["reason"].as_str()),
            (Some("Status"), Some("Forbidden"))
        );
    }
    world.stop().await;
}

#[tokio::test]
async fn impersonation_needs_leave_and_changes_the_user() {
    let world = World::start().await;
    let request = |user: &str| {
        Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .header("impersonate-user", user)
            .header("impersonate-group", "testers")
            .header("content-type", "application/json")
            .body(Body::from(
                r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#,
            ))
            .unwrap()
    };
    let (code, _, body) = world.send(request("bob")).await;
    let review: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(code, StatusCode::CREATED, "{review}");
    assert_eq!(review["status"]["userInfo"]["username"], "bob");
    assert_eq!(
        review["status"]["userInfo"]["groups"],
        json!(["testers", "system:authenticated"])
    );
    let (code, _, body) = world
        .send_as(User::authenticated("jane", Vec::<String>::new()), request("bob"))
        .await;
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert_eq!(
        status["message"],
        r#"users "bob" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope"#
    );
    world.stop().await;
}

#[tokio::test]
async fn a_token_dies_with_the_object_that_it_is_bound_to() {
    let world = World::start().await;
    let account = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}"#;
    world
        .json("POST", "/api/v1/namespaces/default/serviceaccounts", account)
        .await;
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"one"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#;
    let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"one"}}"#;
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"one"}}"#;
    for (kind, collection, body) in [
        ("Pod", "/api/v1/namespaces/default/pods", pod),
        ("Secret", "/api/v1/namespaces/default/secrets", secret),
        ("Node", "/api/v1/nodes", node),
    ] {
        let (code, made) = world.json("POST", collection, body).await;
        assert_eq!(code, StatusCode::CREATED, "{made}");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": "one", "uid": made["metadata"]["uid"]}}});
        let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
        let (code, issued) = world.json("POST", path, &request.to_string()).await;
        assert_eq!(code, StatusCode::CREATED, "{issued}");
        let token = issued["status"]["token"].as_str().unwrap();
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
        let (_, reviewed) = world.json("POST", reviews, &review.to_string()).await;
        assert_eq!(reviewed["status"]["authenticated"], true, "{kind}: {reviewed}");
        let (code, gone) = world
            .json("DELETE", &format!("{collection}/one?gracePeriodSeconds=0"), "")
            .await;
        assert_eq!(code, StatusCode::OK, "{gone}");
        let (_, reviewed) = world.json("POST", reviews, &review.to_string()).await;
        assert_ne!(reviewed["status"]["authenticated"], true, "{kind}: {reviewed}");
        let client = world.client(&Credentials::Token(token.to_owned()));
        let refused = Api::<ConfigMap>::default_namespaced(client).get("x").await.unwrap_err();
        assert_eq!(code_of(refused), 401, "{kind}");
    }
    world.stop().await;
}
