//! Names of images: `nginx` is short for `docker.io/library/nginx:latest`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ImageError;

/// The registry that stands for this Ondol itself: its images are built in and never pulled.
pub(crate) const BUILT_IN: &str = "ondol.local";

/// Where images without a registry are.
const DOCKER_HUB: &str = "docker.io";
/// The tag of a name that has none.
const LATEST: &str = "latest";
/// Characters of a name without tag and digest.
const LONGEST_NAME: usize = 255;
/// Characters of a tag.
const LONGEST_TAG: usize = 128;

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
        complete(text).map(Self).map_err(|reason| ImageError::Reference {
            reference: text.to_owned(),
            reason: reason.to_owned(),
        })
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

/// Registry, repository, tag and digest of what a registry is asked for.
impl From<&Reference> for oci_client::Reference {
    fn from(reference: &Reference) -> Self {
        let name = reference.repository();
        let (registry, repository) = name.split_once('/').unwrap_or(("", name));
        let (registry, repository) = (registry.to_owned(), repository.to_owned());
        let without_digest = reference.0.split('@').next().unwrap_or_default();
        let tag = without_digest
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(':'));
        match (tag.map(str::to_owned), reference.digest().map(str::to_owned)) {
            (Some(tag), Some(digest)) => Self::with_tag_and_digest(registry, repository, tag, digest),
            (None, Some(digest)) => Self::with_digest(registry, repository, digest),
            (tag, None) => Self::with_tag(registry, repository, tag.unwrap_or_else(|| LATEST.to_owned())),
        }
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

/// Reads and completes a name by the grammar of `distribution/reference`.
///
/// Written out rather than as the regular expression by which it is defined: compiled, that takes twelve mebibytes in every
/// process that reads one name.
fn complete(text: &str) -> Result<String, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if name.is_empty() {
        return Err("repository name must have at least one component");
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path),
        _ => (DOCKER_HUB, name),
    };
    let registry = if registry == "index.docker.io" {
        DOCKER_HUB
    } else {
        registry
    };
    let library = if registry == DOCKER_HUB && !path.contains('/') {
        "library/"
    } else {
        ""
    };
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("repository name must be lowercase");
    }
    if !is_host(registry) || !path.split('/').all(is_component) {
        return Err("invalid reference format");
    }
    if library.len() + path.len() > LONGEST_NAME {
        return Err("repository name must not be more than 255 characters");
    }
    if !tag.is_none_or(is_tag) {
        return Err("invalid reference format");
    }
    if let Some(digest) = digest {
        check_digest(digest)?;
    }
    let tag = tag.or(digest.is_none().then_some(LATEST));
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
    Ok(format!("{registry}/{library}{path}{tag}{digest}"))
}

/// Whether the first part of a name is a registry rather than a part of the repository.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Labels of letters, digits and inner hyphens, and perhaps a port.
fn is_host(registry: &str) -> bool {
    let (host, port) = match registry.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    let is_label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Lower-case letters and digits, between them one of `.`, `_`, `__` or any number of hyphens.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    let mut separators = bytes
        .split(|byte| is_word(*byte))
        .filter(|separator| !separator.is_empty());
    is_word(*first)
        && is_word(*last)
        && separators
            .all(|separator| matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn check_digest(digest: &str) -> Result<(), &'static str> {
    let (algorithm, hex) = digest.split_once(':').ok_or("invalid reference format")?;
    if hex.len() < 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("invalid reference format");
    }
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err("unsupported digest algorithm"),
    };
    if hex.len() == length {
        Ok(())
    } else {
        Err("invalid checksum digest length")
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
            // Repositories are lower case, so this can be a registry only.
            ("Team/app", "Team/app:latest".to_owned(), "Team/app"),
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

    /// Names right and wrong, one beside the other.
    const NAMES: &str = "nginx nginx:1.27 nginx:1.27-alpine_x.y nginx: nginx:-a nginx:.a :tag @ library/nginx \
        index.docker.io/nginx docker.io/nginx docker.io/a/b a/b/c/d a//b /a a/ localhost/app localhost:5000/app localhost:/app \
        127.0.0.1:5000/a/b:c UPPER.io/app a.b/App a__b a___b a..b a._b a-b--c -a a- a.b-c_d \
        registry.example.com/team/app:1.2.3 -x.io/a x-.io/a x..io/a x.io:80a/b ondol.local/demo:latest";

    #[test]
    fn the_grammar_is_that_of_other_implementations() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        let long = "a".repeat(256);
        let names = || NAMES.split_whitespace().chain([long.as_str(), "", "a b", "a:b c"]);
        let with_digest = names().map(|name| format!("{name}@{digest}"));
        let broken = [
            "sha256:12",
            "sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "sha256",
            "sha512:aa",
        ];
        let with_broken = broken.iter().map(|digest| format!("nginx@{digest}"));
        for name in names().map(str::to_owned).chain(with_digest).chain(with_broken) {
            let theirs = name.parse::<oci_client::Reference>().ok();
            let ours = Reference::parse(&name).ok();
            assert_eq!(
                ours.as_ref().map(ToString::to_string),
                theirs.as_ref().map(oci_client::Reference::whole),
                "{name:?}"
            );
            assert_eq!(ours.as_ref().map(oci_client::Reference::from), theirs, "{name:?}");
        }
    }
}
