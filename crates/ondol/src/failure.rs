//! Why a process of ours ended: the step, and its causes.

use std::error::Error;

use thiserror::Error;

/// A step of a process's life that failed.
#[derive(Debug, Error)]
#[error("{step}")]
pub struct Failure {
    step: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// A failed step.
    pub fn new(step: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            step,
            source: source.into(),
        }
    }

    /// Wraps an error with the step that it ended.
    pub fn of<E: Into<Box<dyn Error + Send + Sync>>>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::new(step, source)
    }
}
