//! ID tokens of an OpenID Connect provider on loopback, and tokens that come in a WebSocket's subprotocols.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kube_api::{Caller, ClusterPki, IdentityProvider, ServerNames, ServiceAccountTokens};
use kube_client::Credentials;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::world::World;

/// An issuer: its key is the service-account key of a cluster of its own.
struct Issuer {
    pki: ClusterPki,
    address: SocketAddr,
    key_id: String,
    asked: Arc<AtomicUsize>,
    _directory: tempfile::TempDir,
}

impl Issuer {
    async fn start(world: &World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(clock::SystemClock);
        let names = ServerNames::of_cluster("cluster.local");
        let pki = ClusterPki::load_or_create(directory.path(), &names, clock.as_ref()).unwrap();
        let keys = ServiceAccountTokens::new(&pki, "unused", clock, Arc::new(clock::SystemRandom)).unwrap();
        let key_set = keys.key_set();
        let read: Value = serde_json::from_slice(&key_set).unwrap();
        let (chain, key) = ClusterPki::rustls_pair(pki.serving()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let counted = asked.clone();
        world.supervisor.spawn_until_cancelled("issuer", async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                counted.fetch_add(1, Ordering::Relaxed);
                let url = format!("https://{address}");
                let key_set = key_set.clone();
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let answer = if request.uri().path() == "/keys" {
                        key_set.clone()
                    } else {
                        json!({"issuer": url, "jwks_uri": format!("{url}/keys")})
                            .to_string()
                            .into_bytes()
                    };
                    async move { Ok::<_, std::convert::Infallible>(Response::new(Body::from(answer))) }
                });
                let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                served.await.ok();
            }
        });
        Self {
            key_id: read["keys"][0]["kid"].as_str().unwrap().to_owned(),
            pki,
            address,
            asked,
            _directory: directory,
        }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    fn provider(&self) -> IdentityProvider {
        IdentityProvider {
            issuer_url: self.url(),
            client_id: "cluster".to_owned(),
            username_claim: Some("email".to_owned()),
            username_prefix: Some("oidc:".to_owned()),
            groups_claim: Some("groups".to_owned()),
            groups_prefix: None,
            required_claims: BTreeMap::new(),
            authority_pem: Some(self.pki.ca_pem().to_owned()),
        }
    }

    fn token(&self, key_id: &str, audience: &str) -> String {
        let header = Header {
            kid: Some(key_id.to_owned()),
            ..Header::new(Algorithm::RS256)
        };
        let claims = json!({"iss": self.url(), "aud": audience, "exp": 4_000_000_000_i64, "sub": "1", "email": "a@b",
            "groups": ["dev"]});
        let key = EncodingKey::from_rsa_pem(self.pki.service_account_key_pem().as_bytes()).unwrap();
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }
}

async fn who(world: &World, token: String) -> Result<(String, Vec<String>), u16> {
    let reviews: Api<SelfSubjectReview> = Api::all(world.client(&Credentials::Token(token)));
    match reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
    {
        Ok(review) => {
            let info = review.status.unwrap().user_info.unwrap();
            Ok((info.username.unwrap(), info.groups.unwrap()))
        }
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(other) => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn id_tokens_of_a_provider_let_in_once_it_is_known() {
    let world = World::start().await;
    let issuer = Issuer::start(&world).await;
    let token = issuer.token(&issuer.key_id, "cluster");
    assert_eq!(who(&world, token.clone()).await, Err(401), "nobody knows the issuer");
    world.api.identity_providers().set(vec![issuer.provider()]);
    let groups = vec!["dev".to_owned(), "system:authenticated".to_owned()];
    for _ in 0..3 {
        assert_eq!(
            who(&world, token.clone()).await,
            Ok(("oidc:a@b".to_owned(), groups.clone()))
        );
    }
    assert_eq!(
        issuer.asked.load(Ordering::Relaxed),
        2,
        "discovery and keys are fetched once"
    );
    assert_eq!(who(&world, issuer.token(&issuer.key_id, "other")).await, Err(401));
    assert_eq!(who(&world, issuer.token("unknown", "cluster")).await, Err(401));
    assert_eq!(who(&world, format!("{}x", &token[..token.len() - 1])).await, Err(401));
    let (code, review) = world
        .json(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            &json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}})
                .to_string(),
        )
        .await;
    assert_eq!(
        (code.as_u16(), &review["status"]["user"]["username"]),
        (201, &json!("oidc:a@b"))
    );
    world.api.identity_providers().set(Vec::new());
    assert_eq!(who(&world, token).await, Err(401));
    world.stop().await;
}

#[tokio::test]
async fn a_websocket_brings_its_token_among_the_subprotocols() {
    let world = World::start().await;
    let issuer = Issuer::start(&world).await;
    world.api.identity_providers().set(vec![issuer.provider()]);
    let encoded = URL_SAFE_NO_PAD.encode(issuer.token(&issuer.key_id, "cluster"));
    let bearer = format!("base64url.bearer.authorization.k8s.io.{encoded}");
    for (protocols, upgrade, code) in [
        // Who is known may not, who is not is told so.
        (format!("{bearer}, v5.channel.k8s.io"), "websocket", 403),
        (bearer.clone(), "websocket", 401),
        (format!("{bearer}, {bearer}, v5.channel.k8s.io"), "websocket", 401),
        (format!("{bearer}, v5.channel.k8s.io"), "other", 401),
    ] {
        let request = Request::get("/api/v1/namespaces/default/configmaps")
            .header("upgrade", upgrade)
            .header("sec-websocket-protocol", protocols)
            .body(Body::empty())
            .unwrap();
        let caller = Caller::Remote {
            certificate: None,
            address: None,
        };
        assert_eq!(world.api.handle(request, caller).await.status(), code);
    }
    world.stop().await;
}
