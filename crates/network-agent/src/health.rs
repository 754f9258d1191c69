//! Small HTTP servers for probes and metrics.
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream};

/// A page: status and text.
pub(crate) type Page = (StatusCode, String);

/// Serves the pages that `page` gives for paths; other paths are not found. Ends with the supervisor.
pub(crate) async fn serve(
    address: SocketAddr,
    supervisor: &Supervisor,
    page: impl Fn(&str) -> Option<Page> + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let (page, connections) = (Arc::new(page), supervisor.clone());
    supervisor.spawn_until_cancelled(format!("http-{}", bound.port()), async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    connections.spawn_until_cancelled("http-connection", answer(stream, Arc::clone(&page)));
                }
                Err(error) => {
                    tracing::warn!(%error, %bound, "cannot accept");
                    supervision::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(bound)
}

async fn answer(stream: TcpStream, page: Arc<impl Fn(&str) -> Option<Page> + Send + Sync + 'static>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (status, text) =
            page(request.uri().path()).unwrap_or_else(|| (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()));
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    let connection = builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10));
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "probe connection ended");
    }
}
