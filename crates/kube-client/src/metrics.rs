//! What a client counts of its requests, under upstream's names: how they ended, and how long they took.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Method, Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tower::Service;

/// Upper bounds in seconds: upstream's.
const BOUNDS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

/// The code of a request that had no answer.
const NO_ANSWER: &str = "<error>";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    code: String,
    method: String,
    host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Took {
    verb: String,
    host: String,
}

/// Numbers about the requests of one client, or of several that are one component's; clones are the same numbers.
///
/// Source: `component-base/metrics/prometheus/restclient`, and where `client-go/rest` reports to it: every request is counted
/// by how it ended, and timed to the end of its answer unless it is a stream.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<Ended, Counter>,
    durations: Family<Took, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
        }
    }
}

impl Metrics {
    /// Makes the numbers part of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Number of HTTP requests, partitioned by status code, method, and host";
        registry.register("rest_client_requests", help, self.requests.clone());
        let help = "Request latency in seconds. Broken down by verb, and host";
        registry.register("rest_client_request_duration_seconds", help, self.durations.clone());
    }

    /// Counts what goes through `service` as requests to `host`.
    pub(crate) fn count<S>(&self, host: impl Into<String>, service: S) -> Counting<S> {
        Counting {
            service,
            host: host.into(),
            metrics: self.clone(),
        }
    }

    fn ended(&self, code: String, method: &Method, host: &str) {
        let labels = Ended {
            code,
            method: method.to_string(),
            host: host.to_owned(),
        };
        self.requests.get_or_create(&labels).inc();
    }
}

/// A service whose requests are counted.
#[derive(Clone)]
pub(crate) struct Counting<S> {
    service: S,
    host: String,
    metrics: Metrics,
}

impl<S, B> Service<Request<Body>> for Counting<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Timed<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, metrics, host) = (request.method().clone(), self.metrics.clone(), self.host.clone());
        let timer = (!is_stream(&request)).then(|| Timer {
            began: Instant::now(),
            metrics: metrics.clone(),
            labels: Took {
                verb: method.to_string(),
                host: host.clone(),
            },
        });
        let answer = self.service.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or_else(
                |_failure| NO_ANSWER.to_owned(),
                |answer| answer.status().as_u16().to_string(),
            );
            metrics.ended(code, &method, &host);
            Ok(answer?.map(|body| Timed { body, timer }))
        })
    }
}

/// Watches, followed logs and upgraded connections last as long as somebody wants them to.
fn is_stream(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.headers().contains_key(UPGRADE)
        || query
            .split('&')
            .any(|part| matches!(part, "watch=true" | "watch=1" | "follow=true" | "follow=1"))
}

/// Reports how long a request took when it ends.
struct Timer {
    began: Instant,
    metrics: Metrics,
    labels: Took,
}

impl Drop for Timer {
    fn drop(&mut self) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.metrics.durations.get_or_create(&self.labels).observe(seconds);
    }
}

/// The body of an answer, and what times its request.
pub(crate) struct Timed<B> {
    body: B,
    timer: Option<Timer>,
}

impl<B> HttpBody for Timed<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) {
            self.timer = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
