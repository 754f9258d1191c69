//! Small HTTP servers for probes and metrics.
use std::convert::Infallible;
use std::future::{Future, Ready};
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
    let at_once: fn() -> Ready<()> = || std::future::ready(());
    serve_after(address, supervisor, at_once, page).await
}

/// The same, but a request is answered only after what `wait` makes has ended.
pub(crate) async fn serve_after<W: Future<Output = ()> + Send + 'static>(
    address: SocketAddr,
    supervisor: &Supervisor,
    wait: impl Fn() -> W + Send + Sync + 'static,
    page: impl Fn(&str) -> Option<Page> + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let (page, connections) = (Arc::new((wait, page)), supervisor.clone());
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

async fn answer<W: Future<Output = ()> + Send + 'static>(
    stream: TcpStream,
    pages: Arc<(
        impl Fn() -> W + Send + Sync,
        impl Fn(&str) -> Option<Page> + Send + Sync,
    )>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let pages = &pages;
        async move {
            let (wait, page) = &**pages;
            wait().await;
            let (status, text) = page(request.uri().path())
                .unwrap_or_else(|| (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()));
            let mut response = Response::new(Full::new(Bytes::from(text)));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    let connection = builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10));
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "probe connection ended");
    }
}
