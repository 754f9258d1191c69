//! Aggregated API servers: one that says what it is told stands behind a Service, and everything that clients see of it.

use std::sync::Arc;
use std::time::Duration;

use access_rules::User;
use axum::body::{Body, Bytes};
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use supervision::Supervisor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::world::{World, get};

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const LIMIT: Duration = Duration::from_secs(60);

/// An API server of `things.example.com/v1` that lets in only who shows a certificate of the front proxy's authority, as
/// it stands in the ConfigMap; answers its port and its certificate.
async fn serve(world: &World) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["things.default.svc".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let map = settled(world, map, |map| map["data"].is_object()).await;
    let authority = map["data"]["requestheader-client-ca-file"].as_str().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
        .unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    accept(&world.supervisor, listener, TlsAcceptor::from(Arc::new(config)));
    (port, made.cert.pem())
}

fn accept(tasks: &Supervisor, listener: TcpListener, acceptor: TlsAcceptor) {
    let connections = tasks.clone();
    tasks.spawn_until_cancelled("aggregated server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, upgraded) = (acceptor.clone(), connections.clone());
            connections.spawn_until_cancelled("aggregated connection", async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(move |request| respond(request, upgraded.clone()));
                let builder = auto::Builder::new(TokioExecutor::new());
                let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
                drop(served.await);
            });
        }
    });
}

async fn respond(
    request: Request<hyper::body::Incoming>,
    tasks: Supervisor,
) -> Result<Response<Body>, std::convert::Infallible> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let document = |value: Value| {
        let mut response = Response::new(Body::from(value.to_string()));
        response
            .headers_mut()
            .insert("content-type", "application/json".parse().unwrap());
        response
    };
    if request.headers().contains_key("upgrade") {
        return Ok(echo(request, &tasks));
    }
    let said: Vec<String> = request
        .headers()
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-remote") || name.as_str() == "authorization")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    let answer = match path.as_str() {
        "/apis/things.example.com/v1" => document(json!({"kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": "things.example.com/v1", "resources": [
                {"name": "things", "singularName": "thing", "namespaced": true, "kind": "Thing",
                    "verbs": ["get", "list", "watch"], "shortNames": ["th"]},
                {"name": "things/scale", "singularName": "", "namespaced": true, "kind": "Scale",
                    "group": "autoscaling", "version": "v1", "verbs": ["get"]}]})),
        "/openapi/v3" => document(json!({"paths": {"apis/things.example.com/v1":
            {"serverRelativeURL": "/openapi/v3/apis/things.example.com/v1?hash=1"}}})),
        "/openapi/v3/apis/things.example.com/v1" => document(json!({"openapi": "3.0.0", "of": "things"})),
        "/openapi/v2" => document(json!({"swagger": "2.0",
            "paths": {"/apis/things.example.com/v1/things": {"get": {"schema": {"$ref": "#/definitions/Thing"}}},
                "/apis/other/v1/x": {}},
            "definitions": {"Thing": {"properties": {"part": {"$ref": "#/definitions/Part"}}}, "Part": {},
                "Unused": {}}})),
        _ if query.contains("watch=") => {
            let events = futures::stream::iter(["{\"type\":\"ADDED\"}\n"]).chain(futures::stream::pending());
            Response::new(Body::from_stream(events.map(Ok::<_, std::convert::Infallible>)))
        }
        _ => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            document(json!({"path": path, "query": query, "said": said, "body": body}))
        }
    };
    Ok(answer)
}

/// Switches protocols and says everything back.
fn echo(mut request: Request<hyper::body::Incoming>, tasks: &Supervisor) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    tasks.spawn_until_cancelled("echo", async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded.await.unwrap()));
        drop(tokio::io::copy(&mut read, &mut write).await);
    });
    let response = Response::builder().status(101).header("connection", "Upgrade");
    response.header("upgrade", "echo").body(Body::empty()).unwrap()
}

/// Reads a path until it is as it should be.
async fn settled(world: &World, path: &str, is_done: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let found = tokio::time::timeout(LIMIT, async {
        loop {
            last = world.json("GET", path, "").await.1;
            if is_done(&last) {
                return last.clone();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    match found {
        Ok(found) => found,
        Err(_) => panic!("{path} stays {last}"),
    }
}

async fn create(world: &World, path: &str, object: Value) {
    let (code, made) = world.json("POST", path, &object.to_string()).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
}

async fn register(world: &World, trust: Value) {
    let mut spec = json!({"group": "things.example.com", "version": "v1", "groupPriorityMinimum": 2000,
        "versionPriority": 10, "service": {"namespace": "default", "name": "things"}});
    spec.as_object_mut().unwrap().extend(trust.as_object().unwrap().clone());
    create(
        world,
        SERVICES,
        json!({"metadata": {"name": "v1.things.example.com"}, "spec": spec}),
    )
    .await;
}

async fn make_service(world: &World, port: u16) {
    let service = json!({"metadata": {"name": "things"}, "spec": {"ports": [{"port": 443, "targetPort": port}]}});
    create(world, "/api/v1/namespaces/default/services", service).await;
}

async fn make_endpoint(world: &World, port: u16) {
    let slice = json!({"metadata": {"name": "things-1", "labels": {"kubernetes.io/service-name": "things"}},
        "addressType": "IPv4", "ports": [{"port": port}], "endpoints": [{"addresses": ["127.0.0.1"]}]});
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    create(world, path, slice).await;
}

/// Waits until the condition says this.
async fn condition(world: &World, reason: &str) -> Value {
    let path = format!("{SERVICES}/v1.things.example.com");
    let found = settled(world, &path, |service| {
        service["status"]["conditions"][0]["reason"] == reason
    })
    .await;
    found["status"]["conditions"][0].clone()
}

/// A world with the server behind its Service.
async fn aggregated() -> World {
    let world = World::start().await;
    let (port, certificate) = serve(&world).await;
    make_service(&world, port).await;
    make_endpoint(&world, port).await;
    use base64::Engine;
    let bundle = base64::engine::general_purpose::STANDARD.encode(certificate);
    register(&world, json!({"caBundle": bundle})).await;
    condition(&world, "Passed").await;
    settled(&world, "/apis/things.example.com/v1/things", |answer| {
        answer["path"].is_string()
    })
    .await;
    world
}

#[tokio::test]
async fn local_services_of_built_in_groups_and_custom_resources_come_and_go() {
    let world = World::start().await;
    let is_local = |list: &Value, name: &str| {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .any(|item| item["metadata"]["name"] == name && item["status"]["conditions"][0]["reason"] == "Local")
    };
    settled(&world, SERVICES, |list| {
        is_local(list, "v1.") && is_local(list, "v2.autoscaling")
    })
    .await;
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let definition = json!({"metadata": {"name": "ducks.zoo.example"}, "spec": {"group": "zoo.example",
        "scope": "Cluster", "names": {"plural": "ducks", "kind": "Duck"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    create(&world, definitions, definition).await;
    settled(&world, SERVICES, |list| is_local(list, "v1.zoo.example")).await;
    world
        .json("DELETE", &format!("{definitions}/ducks.zoo.example"), "")
        .await;
    settled(&world, SERVICES, |list| !is_local(list, "v1.zoo.example")).await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_missing_is_said_until_the_server_is_there() {
    let world = World::start().await;
    let (port, _) = serve(&world).await;
    register(&world, json!({"insecureSkipTLSVerify": true})).await;
    condition(&world, "ServiceNotFound").await;
    let (code, refused) = world.json("GET", "/apis/things.example.com/v1/things", "").await;
    assert_eq!(
        (code, refused),
        (StatusCode::SERVICE_UNAVAILABLE, json!("service unavailable\n"))
    );
    make_service(&world, port).await;
    condition(&world, "EndpointsNotFound").await;
    make_endpoint(&world, port).await;
    let passed = condition(&world, "Passed").await;
    assert_eq!(
        (&passed["status"], &passed["message"]),
        (&json!("True"), &json!("all checks passed"))
    );
    // Whoever has read that may ask at once.
    let (code, answer) = world.json("GET", "/apis/things.example.com/v1/things", "").await;
    assert_eq!(code, StatusCode::OK, "{answer}");
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_fails_its_check() {
    let world = World::start().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    make_service(&world, port).await;
    make_endpoint(&world, port).await;
    register(&world, json!({"insecureSkipTLSVerify": true})).await;
    let failed = condition(&world, "FailedDiscoveryCheck").await;
    let message = failed["message"].as_str().unwrap();
    let url = format!("https://127.0.0.1:{port}/apis/things.example.com/v1");
    assert!(
        message.starts_with(&format!(
            "failing or missing response from {url}: Get \"{url}\": dial tcp"
        )),
        "{message}"
    );
    world.stop().await;
}

#[tokio::test]
async fn requests_carry_the_user_and_nothing_that_clients_say_of_him() {
    let world = aggregated().await;
    let mut user = User::authenticated("jane", ["system:masters"]);
    user.extra.insert("scope/a".to_owned(), vec!["b".to_owned()]);
    let request = Request::builder()
        .method("POST")
        .uri("/apis/things.example.com/v1/namespaces/default/things?dryRun=All")
        .header("x-remote-user", "root")
        .header("authorization", "Bearer secret")
        .body(Body::from("the body"))
        .unwrap();
    let (code, headers, body) = world.send_as(user, request).await;
    assert_eq!(code, StatusCode::OK);
    assert!(headers.contains_key("audit-id"));
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        answer,
        json!({"path": "/apis/things.example.com/v1/namespaces/default/things", "query": "dryRun=All",
            "said": ["x-remote-user: jane", "x-remote-group: system:masters", "x-remote-group: system:authenticated",
                "x-remote-extra-scope%2fa: b"],
            "body": "the body"})
    );
    let (code, _, refused) = world
        .send_as(
            User::authenticated("nobody", ["x"]),
            get("/apis/things.example.com/v1/things"),
        )
        .await;
    assert_eq!(code, StatusCode::FORBIDDEN, "{refused:?}");
    world.stop().await;
}

#[tokio::test]
async fn discovery_and_openapi_show_what_the_server_serves() {
    let world = aggregated().await;
    let (_, list) = world.json("GET", "/apis", "").await;
    let names: Vec<&str> = list["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[..3], ["apiregistration.k8s.io", "apps", "events.k8s.io"]);
    assert_eq!(names.last(), Some(&"things.example.com"));
    let (_, group) = world.json("GET", "/apis/things.example.com", "").await;
    assert_eq!(group["preferredVersion"]["groupVersion"], "things.example.com/v1");
    let (_, resources) = world.json("GET", "/apis/things.example.com/v1", "").await;
    assert_eq!(resources["resources"][0]["name"], "things");
    let request = Request::builder()
        .uri("/apis")
        .header(
            "accept",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        )
        .body(Body::empty())
        .unwrap();
    let (_, _, body) = world.send(request).await;
    let document: Value = serde_json::from_slice(&body).unwrap();
    let found = document["items"].as_array().unwrap().last().unwrap();
    assert_eq!(
        found["versions"],
        json!([{"version": "v1", "freshness": "Current", "resources": [
            {"resource": "things", "scope": "Namespaced", "singularResource": "thing", "verbs": ["get", "list", "watch"],
                "responseKind": {"group": "things.example.com", "version": "v1", "kind": "Thing"}, "shortNames": ["th"],
                "subresources": [{"subresource": "scale", "verbs": ["get"],
                    "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}}]}]}])
    );
    let place = json!({"serverRelativeURL": "/openapi/v3/apis/things.example.com/v1?hash=1"});
    settled(&world, "/openapi/v3", |index| {
        index["paths"]["apis/things.example.com/v1"] == place
    })
    .await;
    let (_, version3) = world
        .json("GET", "/openapi/v3/apis/things.example.com/v1?hash=1", "")
        .await;
    assert_eq!(version3["of"], "things");
    let (_, version2) = world.json("GET", "/openapi/v2", "").await;
    assert!(version2["paths"]["/apis/things.example.com/v1/things"].is_object());
    assert!(version2["paths"]["/apis/other/v1/x"].is_null());
    let definitions = &version2["definitions"];
    assert!(definitions["Part"].is_object() && definitions["Unused"].is_null());
    world.stop().await;
}

#[tokio::test]
async fn watches_and_upgrades_pass_through() {
    let world = aggregated().await;
    use tower::ServiceExt;
    let service = world.api.in_process(User::master("admin"));
    let request = get("/apis/things.example.com/v1/things?watch=true");
    let mut events = service.oneshot(request).await.unwrap().into_body();
    let first: Bytes = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&first[..], b"{\"type\":\"ADDED\"}\n");
    let mut stream = world.tls(&world.certificate("admin", &["system:masters"])).await;
    let path = "/apis/things.example.com/v1/namespaces/default/things/a/shell";
    let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&seen));
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
    drop((stream, events));
    world.stop().await;
}
