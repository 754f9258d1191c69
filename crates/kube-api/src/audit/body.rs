//! Bodies of answers: followed to their end, or copied.

use std::pin::Pin;
use std::task::{Context, Poll};

use access_rules::audit::Stage;
use axum::body::Body;
use bytes::Bytes;
use http::response::Parts;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use super::Record;
use crate::respond::Answer;

/// A body whose end, or whose loss, completes a record.
pub(super) struct Followed {
    body: Body,
    record: Record,
}

impl Followed {
    pub(super) fn new(body: Body, record: Record) -> Self {
        Self { body, record }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.record.write(Stage::ResponseComplete);
    }
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer whose body has been read, and can be sent. Bodies of the server itself never fail.
pub(super) async fn copied(answer: Answer) -> (Parts, Bytes, Answer) {
    let (parts, body) = answer.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => {
            tracing::debug!(%error, "an answer broke while it was read for the audit log");
            Bytes::new()
        }
    };
    let answer = Answer::from_parts(parts.clone(), Body::from(bytes.clone()));
    (parts, bytes, answer)
}
