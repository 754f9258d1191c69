//! OpenAPI documents made from the schemas of the built-in kinds.

use http::request::Parts;

use crate::api::{Call, KubeApi};
use crate::respond::{self, Answer};

/// Answers `/openapi/…`.
pub(crate) fn answer(_api: &KubeApi, _request: &Parts, _call: &Call) -> Answer {
    respond::page_not_found()
}
