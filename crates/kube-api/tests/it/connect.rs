//! Logs and streams through the API server to a node's agent, which a small server plays here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube_api::{ClusterPki, ServerNames};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;

use crate::world::{World, get};

type Answer = Response<Full<bytes::Bytes>>;

/// TLS as a node's agent serves it; clients without a certificate of the cluster are refused.
pub fn agent_acceptor(world: &World) -> TlsAcceptor {
    let names = ServerNames::default().with_address("127.0.0.1".parse().unwrap());
    let pair = world.pki.issue_server("node-1", &names).unwrap();
    let (chain, key) = ClusterPki::rustls_pair(&pair).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls::pki_types::pem::PemObject::from_pem_slice(world.pki.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers with what it was asked and echoes upgraded connections.
async fn agent(world: &World) -> SocketAddr {
    serve(world, agent_acceptor(world)).await
}

async fn serve(world: &World, acceptor: TlsAcceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = world.supervisor.clone();
    world.supervisor.spawn_until_cancelled("server", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client may speak something else.
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let streams = tasks.clone();
            tasks.spawn_until_cancelled("server connection", async move {
                let service = service_fn(move |request| {
                    let answer = answer(request, &streams);
                    async move { Ok::<Answer, Infallible>(answer) }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connection.with_upgrades().await.unwrap();
            });
        }
    });
    address
}

fn answer(mut request: Request<hyper::body::Incoming>, tasks: &supervision::Supervisor) -> Answer {
    let asked = request.uri().to_string();
    assert!(
        !request.headers().contains_key("authorization"),
        "credentials must stay at the API server"
    );
    if asked.contains("/missing") {
        return Response::builder()
            .status(404)
            .body(Full::from("container not running"))
            .unwrap();
    }
    if !request.headers().contains_key("upgrade") {
        return Response::new(Full::from(asked));
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tasks.spawn("echo", async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).await.unwrap();
        stream.write_all(&buffer).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "SPDY/3.1")
        .body(Full::default())
        .unwrap()
}

/// A pod with the containers `main` and `missing` on a node whose agent listens at `agent`.
pub async fn pod_on_node(world: &World, agent: SocketAddr) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
    let (code, body) = world.json("POST", "/api/v1/nodes", &node.to_string()).await;
    assert_eq!(code, StatusCode::CREATED, "{body}");
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": agent.ip().to_string()}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": agent.port()}}}});
    let (code, body) = world
        .json("PATCH", "/api/v1/nodes/node-1/status", &status.to_string())
        .await;
    assert_eq!(code, StatusCode::OK, "{body}");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    world
        .json(
            "POST",
            "/api/v1/namespaces/default/serviceaccounts",
            &account.to_string(),
        )
        .await;
    let containers: Vec<_> = ["main", "missing"]
        .map(|name| json!({"name": name, "image": "i"}))
        .into();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                     "spec": {"nodeName": "node-1", "containers": containers}});
    let (code, body) = world
        .json("POST", "/api/v1/namespaces/default/pods", &pod.to_string())
        .await;
    assert_eq!(code, StatusCode::CREATED, "{body}");
}

#[tokio::test]
async fn logs_and_node_proxies_reach_the_agent() {
    let world = World::start().await;
    let agent = agent(&world).await;
    pod_on_node(&world, agent).await;
    let text = async |path: &str| {
        let (code, _, body) = world.send(get(path)).await;
        (code.as_u16(), String::from_utf8_lossy(&body).into_owned())
    };
    let pod = "/api/v1/namespaces/default/pods/p";
    let (code, asked) = text(&format!("{pod}/log?container=main&tailLines=3")).await;
    assert_eq!(
        (code, asked.as_str()),
        (200, "/containerLogs/default/p/main?tailLines=3")
    );
    let (code, refused) = text(&format!("{pod}/log")).await;
    assert!(
        code == 400 && refused.contains("a container name must be specified for pod p"),
        "{refused}"
    );
    let (code, refused) = text(&format!("{pod}/log?container=missing")).await;
    assert!(code == 404 && refused.contains("container not running"), "{refused}");
    let (code, asked) = text("/api/v1/nodes/node-1/proxy/pods?a=b").await;
    assert_eq!((code, asked.as_str()), (200, "/pods?a=b"));
    let (code, _) = text("/api/v1/nodes/node-1/proxy").await;
    assert_eq!(code, 301);
    world.stop().await;
}

#[tokio::test]
async fn an_upgraded_exec_is_copied_byte_by_byte() {
    let world = World::start().await;
    let agent = agent(&world).await;
    pod_on_node(&world, agent).await;
    let mut stream = tls(&world).await;
    let line = "/api/v1/namespaces/default/pods/p/exec?command=ls&container=main&stdin=true&stdout=true";
    let request = format!(
        "POST {line} HTTP/1.1\r\nhost: api\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(
        head.starts_with("http/1.1 101") && head.contains("upgrade: spdy/3.1"),
        "{head}"
    );
    stream.write_all(b"hello").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "/exec/default/p/main?input=1&output=1&command=lshello");
    world.stop().await;
}

/// A raw TLS connection as an administrator, HTTP/1.1.
async fn tls(world: &World) -> TlsStream<TcpStream> {
    let pair = world.pki.issue_client("root", &["system:masters"]).unwrap();
    let (chain, key) = ClusterPki::rustls_pair(&pair).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls::pki_types::pem::PemObject::from_pem_slice(world.pki.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let stream = TcpStream::connect(world.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_unreachable_agent_is_named() {
    let world = World::start().await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    pod_on_node(&world, closed).await;
    let (code, status) = world
        .json("GET", "/api/v1/namespaces/default/pods/p/log?container=main", "")
        .await;
    let message = status["message"].as_str().unwrap();
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        message.starts_with(&format!(
            "Internal error occurred: error dialing backend: dial tcp {closed}"
        )),
        "{message}"
    );
    let request = Request::post("/api/v1/namespaces/default/pods/p/exec?container=nope")
        .body(Body::empty())
        .unwrap();
    let (code, _, body) = world.send(request).await;
    assert_eq!(code, StatusCode::BAD_REQUEST, "{body:?}");
    world.stop().await;
}

/// A pod whose address is this machine's.
async fn pod_on_this_machine(world: &World, agent: SocketAddr) {
    pod_on_node(world, agent).await;
    let status = json!({"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}});
    let path = "/api/v1/namespaces/default/pods/p/status";
    let (code, body) = world.json("PATCH", path, &status.to_string()).await;
    assert_eq!(code, StatusCode::OK, "{body}");
}

/// A server whose certificate names somebody else, which no client checks here.
async fn https_server(world: &World) -> SocketAddr {
    let pair = world.pki.issue_server("elsewhere", &ServerNames::default()).unwrap();
    let (chain, key) = ClusterPki::rustls_pair(&pair).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    serve(world, TlsAcceptor::from(Arc::new(config))).await
}

#[tokio::test]
async fn pods_and_services_that_speak_tls_are_proxied_to_when_asked_so() {
    let world = World::start().await;
    let server = https_server(&world).await;
    let (agent, port) = (agent(&world).await, server.port());
    pod_on_this_machine(&world, agent).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"ports": [{"name": "secure", "port": 443, "targetPort": port}]}});
    let services = "/api/v1/namespaces/default/services";
    world.json("POST", services, &service.to_string()).await;
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
        "ports": [{"name": "secure", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": true}}]});
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let (code, body) = world.json("POST", slices, &slice.to_string()).await;
    assert_eq!(code, StatusCode::CREATED, "{body}");
    let text = async |path: &str| {
        let (code, _, body) = world.send(get(path)).await;
        (code.as_u16(), String::from_utf8_lossy(&body).into_owned())
    };
    let pods = "/api/v1/namespaces/default/pods";
    for path in [
        format!("{pods}/https:p:{port}/proxy/a?b=c"),
        format!("{services}/https:web:443/proxy/a?b=c"),
        format!("{services}/https:web:secure/proxy/a?b=c"),
        format!("{services}/https:web:/proxy/a?b=c"),
        format!("/api/v1/nodes/https:node-1:{port}/proxy/a?b=c"),
    ] {
        assert_eq!(text(&path).await, (200, "/a?b=c".to_owned()), "{path}");
    }
    // Without TLS the server does not understand a word.
    let (code, _) = text(&format!("{pods}/p:{port}/proxy/a")).await;
    assert_eq!(code, 503);
    let (code, refused) = text(&format!("{services}/ftp:web:443/proxy/")).await;
    assert!(code == 400 && refused.contains("invalid service request"), "{refused}");
    world.stop().await;
}

/// A server of pages in plain text: each path has its answer.
async fn page_server(world: &World) -> SocketAddr {
    let answer = |path: &str, asked: &str| match path {
        "/page" => format!(
            "200 OK\r\ncontent-type: text/html; charset=utf-8\r\naccess-control-allow-origin: *\r\n\r\n\
             <a href=\"/rewriteme\">test</a> {}",
            asked.lines().find(|line| line.starts_with("x-forwarded-uri")).unwrap()
        ),
        "/moved" => "302 Found\r\nlocation: /page?a=b\r\n\r\n".to_owned(),
        _ => "200 OK\r\ncontent-type: text/plain\r\n\r\n<a href=\"/rewriteme\">".to_owned(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    world.supervisor.spawn_until_cancelled("pages", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = String::new();
            while !asked.ends_with("\r\n\r\n") {
                let byte = stream.read_u8().await.unwrap();
                asked.push(char::from(byte));
            }
            let path = asked.split(' ').nth(1).unwrap();
            let text = answer(path, &asked).replacen("\r\n", "\r\nconnection: close\r\n", 1);
            stream.write_all(format!("HTTP/1.1 {text}").as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn links_and_redirects_of_proxied_pages_lead_through_the_proxy() {
    let world = World::start().await;
    let server = page_server(&world).await;
    let (agent, port) = (agent(&world).await, server.port());
    pod_on_this_machine(&world, agent).await;
    let proxy = format!("/api/v1/namespaces/default/pods/p:{port}/proxy");
    let ask = async |path: &str| {
        let (code, headers, body) = world.send(get(&format!("{proxy}{path}"))).await;
        (code.as_u16(), headers, String::from_utf8_lossy(&body).into_owned())
    };
    let (code, headers, page) = ask("/page").await;
    let wanted = format!("<a href=\"{proxy}/rewriteme\">test</a> x-forwarded-uri: {proxy}/page");
    assert_eq!((code, page), (200, wanted));
    assert!(!headers.contains_key("access-control-allow-origin"));
    let (code, headers, _) = ask("/moved").await;
    assert_eq!(
        (code, headers["location"].to_str().unwrap()),
        (302, &*format!("{proxy}/page?a=b"))
    );
    assert_eq!(ask("/text").await.2, "<a href=\"/rewriteme\">");
    world.stop().await;
}
