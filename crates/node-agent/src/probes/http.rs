//! One HTTP request for a probe or a hook, with Go's words for what goes wrong.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    tls: bool,
    host: String,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
}

/// The answer's status; its body is not read.
pub(crate) struct Answer {
    pub(crate) status: u16,
}

/// A port by number, or by its name among the container's ports.
pub(crate) fn port(wanted: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match wanted {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_deref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())
        }
    };
    let number = number.ok_or_else(|| format!("couldn't find port: {wanted:?} in container {}", container.name))?;
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("invalid port number: {number}"))
}

/// `host:port`, with brackets around IPv6.
pub(crate) fn join(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The kernel's errors as Go prints them.
pub(crate) fn go_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        _ => error.to_string(),
    }
}

impl Target {
    pub(crate) fn of(get: &HTTPGetAction, container: &Container, pod_ip: Option<&str>) -> Result<Self, String> {
        let path = get.path.clone().unwrap_or_default();
        Ok(Self {
            tls: get.scheme.as_deref() == Some("HTTPS"),
            host: get
                .host
                .clone()
                .filter(|host| !host.is_empty())
                .or(pod_ip.map(str::to_owned))
                .unwrap_or_default(),
            port: port(&get.port, container)?,
            path: if path.starts_with('/') {
                path
            } else {
                format!("/{path}")
            },
            headers: get
                .http_headers
                .iter()
                .flatten()
                .map(|h| (h.name.clone(), h.value.clone()))
                .collect(),
        })
    }

    fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", join(&self.host, self.port), self.path)
    }
}

/// Sends the request within `timeout`.
pub(crate) async fn get(target: &Target, agent: &str, timeout: Duration) -> Result<Answer, String> {
    match tokio::time::timeout(timeout, exchange(target, agent)).await {
        Ok(Ok(status)) => Ok(Answer { status }),
        Ok(Err(error)) => Err(format!("Get {:?}: {error}", target.url())),
        Err(_) => Err(format!(
            "Get {:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            target.url()
        )),
    }
}

async fn exchange(target: &Target, agent: &str) -> Result<u16, String> {
    let address = join(&target.host, target.port);
    let stream = TcpStream::connect(&address)
        .await
        .map_err(|error| format!("dial tcp {address}: connect: {}", go_error(&error)))?;
    let request = request(target, agent, &address)?;
    if !target.tls {
        return send(TokioIo::new(stream), request).await;
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let stream = connector()?
        .connect(name, stream)
        .await
        .map_err(|error| format!("tls: {error}"))?;
    send(TokioIo::new(stream), request).await
}

fn request(target: &Target, agent: &str, address: &str) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::get(&target.path)
        .header(header::HOST, address)
        .header(header::USER_AGENT, agent)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    for (name, value) in &target.headers {
        let name: HeaderName = name.parse().map_err(|error| format!("header {name:?}: {error}"))?;
        let value: HeaderValue = value.parse().map_err(|error| format!("header {name}: {error}"))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

async fn send<T>(io: TokioIo<T>, request: Request<Empty<Bytes>>) -> Result<u16, String>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(|error| error.to_string())?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    tokio::select! {
        biased;
        answer = &mut answer => answer.map(|response| response.status().as_u16()).map_err(|error| error.to_string()),
        end = &mut connection => match end {
            // The connection may end right after the answer was handed over.
            Ok(()) => answer.await.map(|response| response.status().as_u16()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Probes by HTTPS check that a server answers, not who it is: upstream verifies no certificate here.
fn connector() -> Result<tokio_rustls::TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = certificates::any_server(&provider);
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

#[cfg(test)]
mod tests {
    use supervision::Supervisor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn requests_and_their_failures() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tasks = Supervisor::new("test");
        tasks.spawn("server", async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let count = stream.read(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..count]).to_lowercase();
            assert!(
                text.starts_with("get /ready http/1.1\r\n") && text.contains("x-a: b"),
                "{text}"
            );
            stream
                .write_all(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
        });
        let get_json = r#"{"path":"ready","port":"web","httpHeaders":[{"name":"X-A","value":"b"}]}"#;
        let container = format!(r#"{{"name":"c","ports":[{{"name":"web","containerPort":{port}}}]}}"#);
        let container: Container = serde_json::from_str(&container).unwrap();
        let action: HTTPGetAction = serde_json::from_str(get_json).unwrap();
        let target = Target::of(&action, &container, Some("127.0.0.1")).unwrap();
        assert_eq!(
            get(&target, "kube-probe/1.36", Duration::from_secs(10))
                .await
                .unwrap()
                .status,
            503
        );
        let refused = get(&target, "kube-probe/1.36", Duration::from_secs(10))
            .await
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            refused,
            format!(r#"Get "http://127.0.0.1:{port}/ready": dial tcp 127.0.0.1:{port}: connect: connection refused"#)
        );
    }
}
