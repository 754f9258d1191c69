//! A client against a real TLS server: identity, protocol, upgrades, and what is refused.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Request as AxumRequest};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use supervision::Supervisor;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority, and what it has signed.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for `name` and its key, both PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        roots
    }
}

#[derive(Clone)]
struct Peer {
    certificates: usize,
}

/// Answers with what the server saw: protocol, certificates, authorization.
async fn who(Extension(peer): Extension<Peer>, request: AxumRequest) -> String {
    let authorization = request
        .headers()
        .get(AUTHORIZATION)
        .map(|value| value.to_str().unwrap().to_owned());
    format!(
        "{:?} {} {}",
        request.version(),
        peer.certificates,
        authorization.unwrap_or_default()
    )
}

async fn echo(upgrade: WebSocketUpgrade) -> impl IntoResponse {
    upgrade
        .protocols(["v5.channel.k8s.io"])
        .on_upgrade(async |mut socket: WebSocket| {
            while let Some(Ok(message)) = socket.recv().await {
                if let Message::Binary(bytes) = message {
                    socket.send(Message::Binary(bytes)).await.unwrap();
                }
            }
        })
}

/// Serves until the supervisor is drained; returns where.
async fn serve(authority: &Authority, supervisor: &Supervisor) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), Arc::clone(&provider));
    let (certificate, key) = authority.sign("127.0.0.1");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = supervisor.child("connections");
    supervisor.spawn_until_cancelled("server", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn_until_cancelled("connection", async move {
                // A client that does not trust us hangs up here.
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let certificates = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
                let router = Router::new()
                    .route("/base/who", get(who))
                    .route("/base/echo", get(echo));
                let service = TowerToHyperService::new(router.layer(Extension(Peer { certificates })));
                let builder = Builder::new(TokioExecutor::new());
                drop(
                    builder
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    });
    address
}

async fn ask(client: &kube::Client) -> Result<String, kube::Error> {
    client
        .request_text(Request::get("/who").body(Vec::new()).unwrap())
        .await
}

#[tokio::test]
async fn requests_go_over_http2_with_the_clients_identity() {
    let (authority, supervisor) = (Authority::new(), Supervisor::new("test"));
    let endpoint = format!("https://{}/base", serve(&authority, &supervisor).await);
    let (certificate, key) = authority.sign("client");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "from-a-file\n").unwrap();
    let cases = [
        (Credentials::Anonymous, "HTTP/2.0 0 "),
        (Credentials::ClientCertificate { certificate, key }, "HTTP/2.0 1 "),
        (Credentials::Token("secret".to_owned()), "HTTP/2.0 0 Bearer secret"),
        (Credentials::TokenFile(path), "HTTP/2.0 0 Bearer from-a-file"),
    ];
    for (credentials, expected) in cases {
        let client = https(&endpoint, &authority.pem, &credentials, "default").unwrap();
        assert_eq!(ask(&client).await.unwrap(), expected, "{credentials:?}");
        assert_eq!(ask(&client).await.unwrap(), expected, "{credentials:?}, again");
    }
}

#[tokio::test]
async fn a_websocket_is_opened_beside_http2() {
    let (authority, supervisor) = (Authority::new(), Supervisor::new("test"));
    let endpoint = format!("https://{}/base", serve(&authority, &supervisor).await);
    let client = https(
        &endpoint,
        &authority.pem,
        &Credentials::Token("secret".to_owned()),
        "default",
    )
    .unwrap();
    assert!(ask(&client).await.unwrap().starts_with("HTTP/2.0"));
    let connection = client
        .connect(Request::get("/echo").body(Vec::new()).unwrap())
        .await
        .unwrap();
    let mut socket = connection.into_stream();
    socket.send(Bytes::from_static(b"\0hello").into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_data().as_ref(), b"\0hello");
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (authority, supervisor) = (Authority::new(), Supervisor::new("test"));
    let endpoint = format!("https://{}/base", serve(&authority, &supervisor).await);
    let client = https(&endpoint, &Authority::new().pem, &Credentials::Anonymous, "default").unwrap();
    let error = supervision::error_chain(&ask(&client).await.unwrap_err());
    assert!(error.contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_that_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = https(
        &format!("https://{address}"),
        &Authority::new().pem,
        &Credentials::Anonymous,
        "default",
    )
    .unwrap();
    let error = supervision::error_chain(&ask(&client).await.unwrap_err());
    assert!(error.contains("Connection refused"), "{error}");
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let authority = Authority::new();
    let (certificate, _) = authority.sign("client");
    let (_, key) = authority.sign("another");
    let mismatched = Credentials::ClientCertificate {
        certificate: certificate.clone(),
        key,
    };
    assert!(matches!(
        tls_config(&authority.pem, &mismatched),
        Err(ClientError::ClientCertificate(_))
    ));
    let without = Credentials::ClientCertificate {
        certificate,
        key: String::new(),
    };
    assert!(matches!(
        tls_config(&authority.pem, &without),
        Err(ClientError::ClientCertificate(_))
    ));
}

#[test]
fn a_request_goes_to_the_endpoint_below_its_path() {
    let cases = [
        ("https://127.0.0.1:6443", "/api?x=1", "https://127.0.0.1:6443/api?x=1"),
        (
            "https://host/k8s/clusters/a/",
            "/version",
            "https://host/k8s/clusters/a/version",
        ),
        ("https://[::1]:6443/", "/", "https://[::1]:6443/"),
    ];
    for (endpoint, path, expected) in cases {
        let joined = Base::parse(endpoint).unwrap().join(&path.parse().unwrap()).unwrap();
        assert_eq!(joined.to_string(), expected);
    }
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let endpoint = |text: &str| Base::parse(text).err().unwrap().to_string();
    assert_eq!(
        endpoint("http://127.0.0.1:1"),
        "endpoint \"http://127.0.0.1:1\" is not an https URL"
    );
    assert_eq!(endpoint("not a url"), "endpoint \"not a url\" is not an https URL");
    let authority = tls_config("no pem", &Credentials::Anonymous).unwrap_err();
    assert_eq!(
        supervision::error_chain(&authority),
        "cannot read the cluster's certificate authority: no certificate in it"
    );
}
