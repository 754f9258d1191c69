//! Archives: an OCI layout in a tar, or what `docker save` writes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::image::{Configuration, Image, Source};
use crate::layer::{decompressed, digest_of};
use crate::{ImageError, ImageStore, Reference};

/// `manifest.json` of `docker save`: one entry an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: PathBuf,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<PathBuf>,
}

/// An index or a manifest of the OCI image specification, as far as it leads to images.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    pub config: Option<Descriptor>,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
}

/// A reference to content by digest.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Descriptor {
    pub digest: String,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    pub platform: Option<Platform>,
}

/// What a manifest of an index runs on.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Platform {
    pub architecture: String,
    pub os: String,
}

impl Platform {
    fn is_this(&self) -> bool {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        self.os == "linux" && self.architecture == architecture
    }
}

/// An image of an archive: its configuration, its layers' files, its names, and the digest of its manifest if it has one.
struct Found {
    configuration: PathBuf,
    layers: Vec<PathBuf>,
    names: Vec<String>,
    manifest: Option<String>,
}

/// An image once for each of its names.
type Named = Vec<(Image, Option<Reference>)>;

impl ImageStore {
    /// Loads every image of an archive and returns their names. A name stays with its loaded image until it is removed: a pull of it is answered from here.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// When the file is no image archive, holds no image for this platform, or its content is not what its digests say; nothing is loaded then.
    pub fn load_archive(&self, path: &Path) -> Result<Vec<Reference>, ImageError> {
        let broken = |reason: String| ImageError::Archive {
            path: path.to_path_buf(),
            reason,
        };
        let temporary = self.temporary()?;
        let mut archive = tar::Archive::new(decompressed(path)?);
        archive.unpack(temporary.path()).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ImageError::disk("unpack", path)(error),
            _ => broken(error.to_string()),
        })?;
        let found = find_images(temporary.path()).map_err(broken)?;
        if found.is_empty() {
            return Err(broken("it holds no image for this platform".into()));
        }
        let read: Result<Vec<Named>, ImageError> = found.iter().map(|image| self.unpack(image, path)).collect();
        let read = read.map_err(|source| match source {
            ImageError::Archive { .. } => source,
            source => ImageError::Load {
                path: path.to_path_buf(),
                source: Box::new(source),
            },
        })?;
        let mut loaded = Vec::new();
        for (image, name) in read.into_iter().flatten() {
            loaded.extend(name.clone());
            self.enter(image, name.map(|name| (name, Source::Loaded)))?;
        }
        Ok(loaded)
    }

    /// Unpacks an image's layers; the image is in the catalogue only when it is entered there.
    fn unpack(&self, found: &Found, path: &Path) -> Result<Named, ImageError> {
        let content = fs::read(&found.configuration).map_err(ImageError::disk("read", &found.configuration))?;
        let configuration = Configuration::parse(&content)?;
        let diff_ids = &configuration.rootfs.diff_ids;
        if diff_ids.len() != found.layers.len() {
            let reason = format!(
                "the configuration names {} layers, the manifest {}",
                diff_ids.len(),
                found.layers.len()
            );
            return Err(ImageError::Archive {
                path: path.to_path_buf(),
                reason,
            });
        }
        for (file, diff_id) in found.layers.iter().zip(diff_ids) {
            self.unpack_layer(file, diff_id)?;
        }
        let names: Vec<Reference> = found
            .names
            .iter()
            .map(|name| Reference::parse(name))
            .collect::<Result<_, _>>()?;
        let digest_under = |name: &Reference| {
            let digest = found.manifest.as_ref()?;
            Some(format!("{}@{digest}", name.repository()))
        };
        if names.is_empty() {
            return Ok(vec![(self.image_of(&content, Vec::new())?, None)]);
        }
        names
            .into_iter()
            .map(|name| {
                let image = self.image_of(&content, digest_under(&name).into_iter().collect())?;
                Ok((image, Some(name)))
            })
            .collect()
    }
}

fn find_images(directory: &Path) -> Result<Vec<Found>, String> {
    let saved = directory.join("manifest.json");
    if saved.is_file() {
        let images: Vec<SavedImage> = read(&saved)?;
        return images.into_iter().map(|image| found_saved(directory, image)).collect();
    }
    let index = directory.join("index.json");
    if !index.is_file() {
        return Err("neither index.json (OCI layout) nor manifest.json (docker save) is in it".into());
    }
    let mut found = Vec::new();
    follow(directory, read(&index)?, None, &mut found, 0)?;
    Ok(found)
}

/// A path of the archive's own documents must stay inside it.
fn inside(directory: &Path, path: &Path) -> Result<PathBuf, String> {
    let is_plain = path
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let joined = directory.join(path);
    if is_plain && joined.is_file() {
        Ok(joined)
    } else {
        Err(format!("{} is not in it", path.display()))
    }
}

fn found_saved(directory: &Path, image: SavedImage) -> Result<Found, String> {
    Ok(Found {
        configuration: inside(directory, &image.config)?,
        layers: image
            .layers
            .iter()
            .map(|layer| inside(directory, layer))
            .collect::<Result<_, _>>()?,
        names: image.repo_tags.unwrap_or_default(),
        manifest: None,
    })
}

/// Follows an index to the manifests of this platform. Indexes nest, by two at most in what tools write.
fn follow(
    directory: &Path,
    document: Document,
    name: Option<&str>,
    found: &mut Vec<Found>,
    depth: usize,
) -> Result<(), String> {
    if depth > 4 {
        return Err("its indexes nest without end".into());
    }
    for descriptor in &document.manifests {
        if descriptor.platform.as_ref().is_some_and(|platform| !platform.is_this()) {
            continue;
        }
        // containerd's annotation holds the whole name; OCI's often only the tag.
        let own = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
            .iter()
            .find_map(|key| descriptor.annotations.get(*key));
        let name = own.map(String::as_str).or(name);
        let (content, path) = blob(directory, &descriptor.digest)?;
        let inner: Document =
            serde_json::from_slice(&content).map_err(|error| format!("{}: {error}", path.display()))?;
        match &inner.config {
            None => follow(directory, inner, name, found, depth + 1)?,
            Some(configuration) => found.push(Found {
                configuration: blob(directory, &configuration.digest)?.1,
                layers: inner
                    .layers
                    .iter()
                    .map(|layer| blob_path(directory, &layer.digest))
                    .collect::<Result<_, _>>()?,
                names: name.map(str::to_owned).into_iter().collect(),
                manifest: Some(descriptor.digest.clone()),
            }),
        }
    }
    Ok(())
}

fn blob_path(directory: &Path, digest: &str) -> Result<PathBuf, String> {
    let (algorithm, hex) = digest
        .split_once(':')
        .ok_or_else(|| format!("{digest} is not a digest"))?;
    inside(directory, &Path::new("blobs").join(algorithm).join(hex))
}

/// A document, which must be what its digest says. (Layers are checked by the digest of their uncompressed form.)
fn blob(directory: &Path, digest: &str) -> Result<(Vec<u8>, PathBuf), String> {
    let path = blob_path(directory, digest)?;
    let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let found = digest_of(&content);
    if found == digest {
        Ok((content, path))
    } else {
        Err(format!("a document has digest {found}, expected {digest}"))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let name = path.file_name().unwrap_or_default().display().to_string();
    let content = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    serde_json::from_slice(&content).map_err(|error| format!("{name}: {error}"))
}
