//! Paths below objects that are more than a part of the object: scale, binding, eviction, token and their like.

pub(crate) mod approval;
mod binding;
pub(crate) mod ephemeral_containers;
mod eviction;
pub(crate) mod finalize;
pub(crate) mod resize;
pub(crate) mod scale;
mod token;

use kube_types::dynamic::{Value, json};

use crate::request::Reply;
use crate::status::StatusError;

/// 201 with a `Status` of success, as posts that make no object answer.
fn created() -> Result<Reply, StatusError> {
    reply(
        201,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    )
}

/// An answer that is no stored object.
pub(crate) fn reply(code: u16, object: &Value) -> Result<Reply, StatusError> {
    let bytes = serde_json::to_vec(object).map_err(StatusError::internal)?;
    Ok(Reply {
        code,
        ..Reply::ok(bytes)
    })
}
