//! How one object becomes another: JSON patch, merge patch, strategic merge patch, server-side apply.
//!
//! **Invariant:** never reads what a kind means, only its merge keys.
#![forbid(unsafe_code)]

pub mod apply;
mod json_patch;
mod merge_keys;
mod merge_patch;
mod strategic;

use kube_types::GroupVersionKind;
use serde_json::Value;

pub use merge_keys::{FieldRule, ListType, MergeRules, always_present, definition_rules, is_atomic, merge_keys};

/// How a patch's body is to be read, as its content type says. Apply, which needs to know who owns what, is in [`apply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902, `application/json-patch+json`.
    Json,
    /// RFC 7386, `application/merge-patch+json`.
    Merge,
    /// Kubernetes' own, `application/strategic-merge-patch+json`.
    Strategic,
}

impl PatchKind {
    /// The kind that a media type (without parameters) names.
    #[must_use]
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            _ => None,
        }
    }
}

/// More operations than this in one JSON patch are refused. Source: `apiserver/pkg/endpoints/handlers/patch.go`.
const MAXIMUM_JSON_PATCH_OPERATIONS: usize = 10_000;

/// Why a patch does not apply. `Display` is upstream's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: 400 BadRequest.
    #[error("{0}")]
    BadRequest(String),
    /// The patch is well formed but does not fit the object: 422.
    #[error("{0}")]
    Unprocessable(String),
    /// Too many operations: 413.
    #[error("Request entity too large: {0}")]
    TooLarge(String),
    /// What upstream reports as an internal error: 500.
    #[error("{0}")]
    Internal(String),
}

impl PatchError {
    /// The HTTP status code that upstream answers with.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Unprocessable(_) => 422,
            Self::TooLarge(_) => 413,
            Self::Internal(_) => 500,
        }
    }
}

/// `current` as `patch` changes it.
///
/// # Errors
/// When the patch is malformed or does not fit, with upstream's message and code.
pub fn apply_patch(
    kind: PatchKind,
    gvk: &GroupVersionKind,
    current: &Value,
    patch: &[u8],
) -> Result<Value, PatchError> {
    let patch: Value = serde_json::from_slice(patch)
        .map_err(|error| PatchError::BadRequest(format!("error decoding patch: {error}")))?;
    match kind {
        PatchKind::Json => json_patch::apply(current, &patch),
        PatchKind::Merge => merge_patch::apply(current, patch),
        PatchKind::Strategic => strategic::apply(gvk, current, patch),
    }
}
