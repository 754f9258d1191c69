//! Names of images: `nginx` is short for `docker.io/library/nginx:latest`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ImageError;

/// The registry that stands for this Ondol itself: its images are built in and never pulled.
pub(crate) const BUILT_IN: &str = "ondol.local";

/// A complete image reference: registry, repository, and a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference(String);

impl Reference {
    /// Completes a familiar name.
    ///
    /// # Errors
    /// When the name breaks the grammar of references (`distribution/reference`).
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let parsed: oci_client::Reference =
            text.parse()
                .map_err(|error: oci_client::ParseError| ImageError::Reference {
                    reference: text.to_owned(),
                    reason: error.to_string(),
                })?;
        Ok(Self(parsed.whole()))
    }

    /// The complete text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the image is one that Ondol brings along.
    pub fn is_built_in(&self) -> bool {
        self.0.strip_prefix(BUILT_IN).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The reference without tag and digest.
    pub fn repository(&self) -> &str {
        let without_digest = self.0.split('@').next().unwrap_or(&self.0);
        match without_digest.rsplit_once(':') {
            // A colon before the last slash belongs to the registry's port.
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => without_digest,
        }
    }

    /// The digest, if the reference names content rather than a tag.
    pub fn digest(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, digest)| digest)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Reference {
    type Error = ImageError;

    fn try_from(text: String) -> Result<Self, ImageError> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiar_names_are_completed() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (familiar, complete, repository) in [
            (
                "nginx",
                "docker.io/library/nginx:latest".to_owned(),
                "docker.io/library/nginx",
            ),
            (
                "nginx:1.27",
                "docker.io/library/nginx:1.27".to_owned(),
                "docker.io/library/nginx",
            ),
            ("team/app", "docker.io/team/app:latest".to_owned(), "docker.io/team/app"),
            (
                "localhost:5000/app:2",
                "localhost:5000/app:2".to_owned(),
                "localhost:5000/app",
            ),
            (
                &format!("quay.io/a/b@{digest}"),
                format!("quay.io/a/b@{digest}"),
                "quay.io/a/b",
            ),
            (
                "ondol.local/demo",
                "ondol.local/demo:latest".to_owned(),
                "ondol.local/demo",
            ),
        ] {
            let reference = Reference::parse(familiar).unwrap();
            assert_eq!(
                (reference.as_str(), reference.repository()),
                (complete.as_str(), repository)
            );
        }
        assert!(Reference::parse("ondol.local/demo").unwrap().is_built_in());
        assert!(!Reference::parse("ondol.locale/demo").unwrap().is_built_in());
        for wrong in ["", "Nginx", "nginx:la test", "a//b", "nginx@sha256:12"] {
            assert!(
                matches!(Reference::parse(wrong), Err(ImageError::Reference { .. })),
                "{wrong}"
            );
        }
    }
}
