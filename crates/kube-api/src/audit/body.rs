//! Bodies of answers: followed to their end, or copied.

use access_rules::audit::Stage;
use axum::body::Body;
use bytes::Bytes;
use http::response::Parts;
use http_body_util::BodyExt;

use super::Record;
use crate::respond::Answer;

/// A record that is complete when it is dropped, with the body that it follows.
pub(super) struct Completion(pub(super) Record);

impl Drop for Completion {
    fn drop(&mut self) {
        self.0.write(Stage::ResponseComplete);
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
