//! Events that a decision wants recorded for people to read.

use std::fmt;

use k8s_openapi::api::core::v1::ObjectReference;
use serde::{Deserialize, Serialize};

/// Whether an event tells of the ordinary course or of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// The ordinary course.
    Normal,
    /// Something a person may have to look at.
    Warning,
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        })
    }
}

/// One event about an object. Repetitions are counted by whoever records it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventRecord {
    /// The object the event is about.
    pub regarding: ObjectReference,
    /// Normal or Warning.
    pub kind: EventType,
    /// Short CamelCase reason, as `ScalingReplicaSet`.
    pub reason: String,
    /// Sentence for people. In the event of a [`crate::Step`], `{name}` stands for the name that the API server gave the
    /// object and `{error}` for the message of the refusal.
    pub message: String,
}

impl EventRecord {
    /// An event of the ordinary course.
    pub fn normal(regarding: ObjectReference, reason: &str, message: impl Into<String>) -> Self {
        Self {
            regarding,
            kind: EventType::Normal,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// An event that tells of trouble.
    pub fn warning(regarding: ObjectReference, reason: &str, message: impl Into<String>) -> Self {
        Self {
            regarding,
            kind: EventType::Warning,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}
