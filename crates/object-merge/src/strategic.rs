//! Strategic merge patch: lists merge by the keys that their kind declares, and directives say what a merge cannot.

use kube_types::GroupVersionKind;
use serde_json::Value;

use crate::PatchError;

/// `current` merged with `patch`.
pub(crate) fn apply(_gvk: &GroupVersionKind, _current: &Value, patch: Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::BadRequest("invalid JSON document".to_owned()));
    }
    Err(PatchError::BadRequest(
        "strategic merge patch format is not supported".to_owned(),
    ))
}
