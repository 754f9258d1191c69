//! Client certificates: what is asked for through the API lets its bearer in, and what is not known or over is 401.

use access_rules::User;
use certificates::{Authority, Request, Usage, Wanted};
use clock::{Clock, SystemClock};
use jiff::SignedDuration;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kube_api::{AccessOptions, RequestHeader};
use kube_client::Credentials;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use crate::world::{World, get};

/// A key and a request for `jane` of two groups.
fn asked() -> (KeyPair, Request) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "jane");
    parameters.distinguished_name.push(DnType::OrganizationName, "dev");
    let second = DnType::CustomDnType(vec![2, 5, 4, 10]);
    parameters.distinguished_name.push(second, "ops");
    let pem = parameters.serialize_request(&key).unwrap().pem().unwrap();
    let request = Request::parse(pem.as_bytes()).unwrap();
    (key, request)
}

/// Signed by this authority, to hold between these hours from now.
fn signed(authority: &dyn Authority, hours: (i64, i64)) -> Credentials {
    let (key, request) = asked();
    let usages = ["digital signature", "client auth"].map(|name| Usage::parse(name).unwrap());
    let now = SystemClock.now();
    let certificate = authority.issue(&Wanted {
        request: &request,
        usages: &usages,
        not_before: now + SignedDuration::from_hours(hours.0),
        not_after: now + SignedDuration::from_hours(hours.1),
    });
    Credentials::ClientCertificate {
        certificate: certificate.unwrap(),
        key: key.serialize_pem(),
    }
}

async fn who(client: kube::Client) -> Result<User, u16> {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    match review {
        Ok(review) => {
            let info = review.status.unwrap().user_info.unwrap();
            let mut user = User::authenticated(info.username.unwrap(), info.groups.unwrap());
            user.uid = info.uid;
            user.extra = info.extra.unwrap_or_default();
            Ok(user)
        }
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(other) => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_the_authority_lets_its_bearer_in_while_it_holds() {
    let world = World::start().await;
    let user = who(world.client(&signed(world.pki.as_ref(), (-1, 1)))).await.unwrap();
    assert_eq!(
        (user.name.as_str(), user.groups.as_slice()),
        (
            "jane",
            ["dev", "ops", "system:authenticated"].map(str::to_owned).as_slice()
        )
    );
    for hours in [(-2, -1), (1, 2)] {
        assert_eq!(
            who(world.client(&signed(world.pki.as_ref(), hours))).await,
            Err(401),
            "{hours:?}"
        );
    }
    let other = World::start().await;
    assert_eq!(who(world.client(&signed(other.pki.as_ref(), (-1, 1)))).await, Err(401));
    // Not even health is told to who sends credentials that are none.
    let client = world.client(&signed(other.pki.as_ref(), (-1, 1)));
    let health = client
        .request_text(http::Request::get("/healthz").body(Vec::new()).unwrap())
        .await;
    assert!(matches!(health, Err(kube::Error::Api(status)) if status.code == 401));
    other.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_front_proxy_names_its_users() {
    let proxies = World::start().await;
    let header = |names: &[&str]| AccessOptions {
        request_header: Some(RequestHeader::usual(
            proxies.pki.ca_pem(),
            names.iter().map(|name| (*name).to_owned()).collect(),
        )),
        ..AccessOptions::default()
    };
    for (names, known) in [(&["jane"][..], true), (&[], true), (&["other"], false)] {
        let world = World::start_access(header(names)).await;
        let stream = world.tls(&signed(proxies.pki.as_ref(), (-1, 1))).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
        world.supervisor.spawn_until_cancelled("client", async move {
            connection.await.ok();
        });
        let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("x-remote-user", "ann")
            .header("x-remote-uid", "7")
            .header("x-remote-group", "dev")
            .header("x-remote-group", "ops")
            .header("x-remote-extra-example.com%2fteam", "core")
            .body(r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#.to_owned())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        if !known {
            assert_eq!(answer.status(), 401);
            continue;
        }
        assert_eq!(answer.status(), 201);
        let body = http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap()
            .to_bytes();
        let review: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            review["status"]["userInfo"],
            serde_json::json!({"username": "ann", "uid": "7", "groups": ["dev", "ops", "system:authenticated"],
                "extra": {"example.com/team": ["core"]}})
        );
    }
    proxies.stop().await;
}

#[tokio::test]
async fn the_identifier_of_a_request_is_the_clients_if_it_brings_one() {
    let world = World::start().await;
    let (_, headers, _) = world.send(get("/version")).await;
    assert_eq!(headers["audit-id"].len(), 36);
    let request = http::Request::get("/version")
        .header("audit-id", "mine")
        .body(axum::body::Body::empty());
    let (_, headers, _) = world.send(request.unwrap()).await;
    assert_eq!(headers["audit-id"], "mine");
    world.stop().await;
}
