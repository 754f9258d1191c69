//! Webhooks over TLS: by URL and through a Service, and what is said when they do not answer.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use supervision::Supervisor;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::world::World;

/// A webhook on loopback that refuses what is named `bad`; answers its port and the base64 of its certificate.
async fn serve_webhook(tasks: &Supervisor) -> (u16, String) {
    let names = ["127.0.0.1".to_owned(), "hook.default.svc".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = tasks.clone();
    tasks.spawn_until_cancelled("webhook", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn_until_cancelled("webhook connection", async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let served = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                    drop(served);
                }
            });
        }
    });
    (port, STANDARD.encode(made.cert.pem()))
}

async fn answer(request: Request<hyper::body::Incoming>) -> Result<Response<Body>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let body: Bytes = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let request = &review["request"];
    let allowed = request["name"] != "bad";
    let response = json!({"uid": request["uid"], "allowed": allowed, "status": {"message": format!("by {path}")}});
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
    Ok(Response::new(Body::from(review.to_string())))
}

fn configuration(client_config: &Value) -> String {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "v"},
        "webhooks": [{"name": "hook.example.com", "clientConfig": client_config, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "timeoutSeconds": 30,
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["configmaps"]}]}]})
    .to_string()
}

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

async fn make(world: &World, name: &str) -> (StatusCode, Value) {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string();
    world.json("POST", "/api/v1/namespaces/default/configmaps", &body).await
}

#[tokio::test]
async fn a_webhook_is_called_by_url_as_soon_as_it_is_configured() {
    let world = World::start().await;
    let (port, bundle) = serve_webhook(&world.supervisor).await;
    let config = json!({"url": format!("https://127.0.0.1:{port}/check"), "caBundle": bundle});
    let (code, made) = world.json("POST", CONFIGURATIONS, &configuration(&config)).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let (code, refused) = make(&world, "bad").await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused["message"],
        "admission webhook \"hook.example.com\" denied the request: by /check"
    );
    for number in 0..3 {
        assert_eq!(make(&world, &format!("good-{number}")).await.0, StatusCode::CREATED);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_webhook_is_called_through_a_service() {
    let world = World::start().await;
    let (port, bundle) = serve_webhook(&world.supervisor).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"},
        "spec": {"ports": [{"port": 443, "targetPort": port}]}});
    let (code, _) = world
        .json("POST", "/api/v1/namespaces/default/services", &service.to_string())
        .await;
    assert_eq!(code, StatusCode::CREATED);
    let config = json!({"service": {"name": "hook", "namespace": "default", "path": "/in"}, "caBundle": bundle});
    world.json("POST", CONFIGURATIONS, &configuration(&config)).await;
    let (code, refused) = make(&world, "early").await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        refused["message"],
        "Internal error occurred: failed calling webhook \"hook.example.com\": failed to call webhook: Post \
         \"https://hook.default.svc:443/in?timeout=30s\": no endpoints available for service \"hook\""
    );
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}}, "addressType": "IPv4",
        "ports": [{"port": port}], "endpoints": [{"addresses": ["127.0.0.1"]}]});
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let (code, made) = world.json("POST", path, &slice.to_string()).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let (code, refused) = make(&world, "bad").await;
    assert_eq!(
        (code, refused["message"].as_str()),
        (
            StatusCode::BAD_REQUEST,
            Some("admission webhook \"hook.example.com\" denied the request: by /in")
        )
    );
    assert_eq!(make(&world, "good").await.0, StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let world = World::start().await;
    let (port, _) = serve_webhook(&world.supervisor).await;
    let (_, other) = serve_webhook(&world.supervisor).await;
    let config = json!({"url": format!("https://127.0.0.1:{port}/"), "caBundle": other});
    world.json("POST", CONFIGURATIONS, &configuration(&config)).await;
    let (code, refused) = make(&world, "x").await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("tls: failed to verify certificate: x509"), "{message}");
    world.stop().await;
}
