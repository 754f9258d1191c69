//! The end of an API server, in upstream's order: it says that it is not ready; after the delay that lets balancers see
//! that, it takes no more connections; requests that are being answered are answered; streams that would go on for ever are
//! ended cleanly, so that their clients go elsewhere.
//!
//! Source: `GenericAPIServer.RunWithContext` with its signals ShutdownInitiated, AfterShutdownDelayDuration,
//! NotAcceptingNewRequest and InFlightRequestsDrained.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use supervision::{DrainReport, Supervisor};

use crate::api::KubeApi;
use crate::respond::Answer;

/// How long requests may take to be answered when the server ends; upstream's `--request-timeout`.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(60);

/// How far the end has come.
pub(crate) struct Lifecycle {
    /// Cancelled when the end begins.
    stopping: Supervisor,
    /// Connections; cancelled when no more are taken.
    serving: Supervisor,
}

impl Lifecycle {
    pub(crate) fn of(supervisor: &Supervisor) -> Self {
        Self {
            stopping: supervisor.child("ready"),
            serving: supervisor.child("connections"),
        }
    }

    /// Whether the end has begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Whose tasks are the connections.
    pub(crate) fn connections(&self) -> &Supervisor {
        &self.serving
    }

    /// The answer of a request that may last for ever: its body ends when connections do.
    pub(crate) fn until_the_end(&self, answer: Answer) -> Answer {
        let end = self.serving.cancelled().boxed();
        answer.map(|body| Body::new(CutBody { body: Some(body), end }))
    }
}

impl KubeApi {
    /// Ends serving on connections. Requests of components in this process are answered as before.
    ///
    /// What was not answered within `limit` after the delay is cut off and named in the report.
    pub async fn shut_down(&self, delay: Duration, limit: Duration) -> DrainReport {
        let lifecycle = &self.0.lifecycle;
        lifecycle.stopping.cancel();
        if !delay.is_zero() {
            supervision::sleep(delay).await;
        }
        lifecycle.serving.drain(limit).await
    }
}

/// A body that ends by itself, or when it is told to.
struct CutBody {
    body: Option<Body>,
    end: BoxFuture<'static, ()>,
}

impl http_body::Body for CutBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        // What is there already is sent before the end.
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        match self.end.poll_unpin(context) {
            Poll::Ready(()) => {
                self.body = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
    }
}
