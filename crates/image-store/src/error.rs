//! Why an image could not be had. The texts reach users in pod events.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an image could not be had, listed or removed.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The reference is not one.
    #[error("invalid image reference {reference:?}: {reason}")]
    Reference {
        /// What was given.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such image here.
    #[error("image {reference} not found")]
    NotFound {
        /// What was asked for.
        reference: String,
    },
    /// The registry has no such image, does not let us, or does not answer.
    #[error("failed to pull image {reference:?}: {reason}")]
    Pull {
        /// What was asked for.
        reference: String,
        /// The registry's answer, or why there was none.
        reason: String,
    },
    /// The archive is neither an OCI layout nor what `docker save` writes.
    #[error("{path} is not an image archive: {reason}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The archive's content.
    #[error("load {path}")]
    Load {
        /// The archive.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<ImageError>,
    },
    /// Content is not what its digest says.
    #[error("{what} has digest {found}, expected {expected}")]
    Digest {
        /// A layer, a manifest or a configuration.
        what: String,
        /// What was announced.
        expected: String,
        /// What came.
        found: String,
    },
    /// Content that this store cannot read.
    #[error("{what}: {reason}")]
    Unsupported {
        /// What it is.
        what: String,
        /// Why it is not understood.
        reason: String,
    },
    /// The store's own files.
    #[error("{step} {path}")]
    Disk {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// Wraps an I/O error with the step and the file it is about.
    pub(crate) fn disk(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { step, path, source }
    }
}
