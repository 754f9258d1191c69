//! What is known of an image that is here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ImageError, Reference};

/// An image that is here, ready to be stacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Digest of its configuration (`sha256:…`), which names the image whatever it is called.
    pub id: String,
    /// Its names.
    #[serde(skip)]
    pub tags: Vec<Reference>,
    /// `repository@digest` of the manifests under which it came.
    #[serde(default)]
    pub repository_digests: Vec<String>,
    /// Bytes of its layers, unpacked.
    pub size: u64,
    /// Digests of its uncompressed layers, lowest first.
    pub layers: Vec<String>,
    /// What runs unless the pod says otherwise.
    pub process: ProcessDefaults,
}

/// The part of an image's configuration that a container starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessDefaults {
    /// `ENTRYPOINT`.
    #[serde(rename = "Entrypoint", deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// `CMD`.
    #[serde(rename = "Cmd", deserialize_with = "null_is_default")]
    pub command: Vec<String>,
    /// `ENV`, as `NAME=value`.
    #[serde(rename = "Env", deserialize_with = "null_is_default")]
    pub environment: Vec<String>,
    /// `WORKDIR`.
    #[serde(rename = "WorkingDir", deserialize_with = "null_is_default")]
    pub working_directory: String,
    /// `USER`: name or number, with `:group` or without.
    #[serde(rename = "User", deserialize_with = "null_is_default")]
    pub user: String,
    /// `STOPSIGNAL`.
    #[serde(rename = "StopSignal", deserialize_with = "null_is_default")]
    pub stop_signal: String,
}

/// Go writes an empty list as `null`.
fn null_is_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// How a name came to stand for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Brought along by Ondol.
    BuiltIn,
    /// Put here by `ondol image load`: the user's word, so a pull of that name is answered from here.
    Loaded,
    /// Pulled from a registry, which may have another one by now.
    Pulled,
}

/// An image configuration (OCI image specification, `config.md`), as far as it is used.
#[derive(Debug, Deserialize)]
pub(crate) struct Configuration {
    #[serde(default)]
    pub config: Option<ProcessDefaults>,
    pub rootfs: RootFileSystem,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RootFileSystem {
    pub diff_ids: Vec<String>,
}

impl Configuration {
    pub fn parse(content: &[u8]) -> Result<Self, ImageError> {
        serde_json::from_slice(content).map_err(|error| ImageError::Unsupported {
            what: "image configuration".into(),
            reason: error.to_string(),
        })
    }
}

impl Image {
    /// The reference by content that statuses show: `repository@digest`, or the id when the image came without one.
    pub fn digest_reference(&self) -> &str {
        self.repository_digests.first().unwrap_or(&self.id)
    }
}

/// The directory names of layers, uppermost first, as overlayfs wants them.
pub(crate) fn lower_directories(layers: &[String], directory: impl Fn(&str) -> PathBuf) -> Vec<PathBuf> {
    layers.iter().rev().map(|layer| directory(layer)).collect()
}
