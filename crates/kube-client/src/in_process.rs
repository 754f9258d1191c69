//! A client whose API server is a service in this process: no socket, no encryption, the same requests.

use bytes::Bytes;
use http::{Request, Response};
use kube::client::Body;
use tower::{BoxError, Service};

use crate::Counted;
use crate::metrics::Metrics;

/// Requests that leave no process are to no host.
const HOST: &str = "in-process";

/// A client that hands its requests to `service`. The identity comes with the service: whoever makes it decides as
/// whom its requests are authorized. Must be called within a tokio runtime, which then drives the requests.
pub fn in_process<S, B>(service: S, default_namespace: impl Into<String>) -> kube::Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    kube::Client::new(service, default_namespace)
}

/// As [`in_process`], and its requests are counted, as those to the host `in-process`.
pub fn in_process_counted<S, B>(service: S, default_namespace: impl Into<String>) -> Counted
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let metrics = Metrics::default();
    Counted {
        client: kube::Client::new(metrics.count(HOST, service), default_namespace),
        metrics,
    }
}
