//! The demo's app: a small web server that says which pod answered, from the same binary and so without any image to pull.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use supervision::Supervisor;
use tokio::net::TcpListener;

use crate::failure::Failure;

/// Serves the page on `port` until the process is told to stop.
pub async fn serve(port: u16, tasks: &Supervisor) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await?;
    let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    tracing::info!(port, host, "serving the demo page");
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = tasks.cancelled() => return Ok(()),
        };
        let host = host.clone();
        tasks.spawn(format!("connection from {peer}"), async move {
            let answer = service_fn(move |request| {
                let answer = page(&request, &host, peer);
                async move { Ok::<_, Infallible>(answer) }
            });
            // Who has asked and closes its side, as `nc` does, is answered all the same.
            let connection = hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended");
            }
        });
    }
}

fn page(request: &Request<Incoming>, host: &str, peer: SocketAddr) -> Response<Full<Bytes>> {
    let asked = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("?");
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Ondol</title></head>\n<body>\n\
         <h1>It is warm in here</h1>\n<p>This page was served by pod <b>{}</b>, asked for as <b>{}</b>, by {}.</p>\n</body>\n</html>\n",
        escaped(host),
        escaped(asked),
        peer.ip()
    );
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

/// The Host header is the caller's text and must not become markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// `ondol serve-page [port]`.
pub async fn run(arguments: &[OsString], tasks: &Supervisor) -> Result<(), Failure> {
    let port = arguments.first().and_then(|port| port.to_str()).unwrap_or("80");
    let port = port.parse().map_err(Failure::of("read the port"))?;
    serve(port, tasks).await.map_err(Failure::of("serve the page"))
}
