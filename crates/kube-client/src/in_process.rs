//! A client whose API server is a service in this process: no socket, no encryption, the same requests.

use bytes::Bytes;
use http::{Request, Response};
use kube::client::Body;
use tower::{BoxError, Service};

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
