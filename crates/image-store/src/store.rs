//! The store: what is here, and putting layers here once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::CatalogueFile;
use crate::image::{Configuration, Image, Source, lower_directories};
use crate::layer::{Attributes, decompressed, digest_of, unpack};
use crate::{ImageError, Reference};

/// Images of this Ondol. Cheap to clone; every clone and every process with the same directory is the same store.
#[derive(Debug, Clone)]
pub struct ImageStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    catalogue: CatalogueFile,
    attributes: Attributes,
}

impl ImageStore {
    /// Opens the store in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, ImageError> {
        let directory = directory.into();
        for part in ["layers", "temporary"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).map_err(ImageError::disk("make", path))?;
        }
        let catalogue = CatalogueFile::new(&directory);
        let attributes = Attributes::of_this_process();
        Ok(Self {
            shared: Arc::new(Shared {
                directory,
                catalogue,
                attributes,
            }),
        })
    }

    /// The store's directory.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// The image that a reference, an id or `repository@digest` names, if it is here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn resolve(&self, text: &str) -> Result<Option<Image>, ImageError> {
        Ok(self.shared.catalogue.read()?.find(text))
    }

    /// Every image, with its names.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        Ok(self.shared.catalogue.read()?.all())
    }

    /// The directories of an image's layers, uppermost first, as overlayfs wants its `lowerdir`.
    pub fn lower_directories(&self, image: &Image) -> Vec<PathBuf> {
        lower_directories(&image.layers, |layer| self.layer(layer))
    }

    /// Forgets a name; or, for an id, the image with all its names. Layers stay until [`ImageStore::collect_garbage`].
    ///
    /// # Errors
    /// When nothing has that name.
    pub fn remove(&self, text: &str) -> Result<(), ImageError> {
        self.shared.catalogue.change(|catalogue| {
            let Some(image) = catalogue.find(text) else {
                return Err(ImageError::NotFound {
                    reference: text.to_owned(),
                });
            };
            let by_id = text == image.id || format!("sha256:{text}") == image.id;
            let name = Reference::parse(text).ok();
            catalogue
                .references
                .retain(|reference, named| named.image != image.id || !(by_id || Some(reference) == name.as_ref()));
            if !catalogue.references.values().any(|named| named.image == image.id) {
                catalogue.images.remove(&image.id);
            }
            Ok(())
        })
    }

    /// Deletes layers that belong to no image, and what killed processes left. Returns how many directories went.
    ///
    /// # Errors
    /// When a directory cannot be listed or deleted.
    pub fn collect_garbage(&self) -> Result<usize, ImageError> {
        self.shared.catalogue.change(|catalogue| {
            let wanted: BTreeSet<PathBuf> = catalogue
                .images
                .values()
                .flat_map(|image| &image.layers)
                .map(|layer| self.layer(layer))
                .collect();
            let mut removed = 0;
            for part in ["layers", "temporary"] {
                let directory = self.shared.directory.join(part);
                for entry in fs::read_dir(&directory).map_err(ImageError::disk("list", &directory))? {
                    let path = entry.map_err(ImageError::disk("list", &directory))?.path();
                    if !wanted.contains(&path) {
                        remove_whole(&path)?;
                        removed += 1;
                    }
                }
            }
            Ok(removed)
        })
    }

    /// How the image came by its name, for names that are here.
    pub(crate) fn source_of(&self, reference: &Reference) -> Result<Option<Source>, ImageError> {
        Ok(self
            .shared
            .catalogue
            .read()?
            .references
            .get(reference)
            .map(|named| named.source))
    }

    /// Enters an image whose layers are all here.
    pub(crate) fn enter(&self, image: Image, name: Option<(Reference, Source)>) -> Result<(), ImageError> {
        self.shared.catalogue.change(|catalogue| {
            catalogue.add(image, name);
            Ok(())
        })
    }

    /// Where a layer is, or will be: named by the digest of its uncompressed form, so that images share it.
    pub(crate) fn layer(&self, diff_id: &str) -> PathBuf {
        self.shared.directory.join("layers").join(diff_id.replace(':', "-"))
    }

    /// A fresh directory for something unfinished.
    pub(crate) fn temporary(&self) -> Result<tempfile::TempDir, ImageError> {
        let parent = self.shared.directory.join("temporary");
        tempfile::tempdir_in(&parent).map_err(ImageError::disk("make a directory in", parent))
    }

    /// Unpacks a layer's file, unless the layer is here. The digest of what was unpacked must be `diff_id`. Blocks. Returns its size.
    pub(crate) fn unpack_layer(&self, file: &Path, diff_id: &str) -> Result<(), ImageError> {
        let place = self.layer(diff_id);
        if place.is_dir() {
            return Ok(());
        }
        let temporary = self.temporary()?;
        let root = temporary.path().join("root");
        fs::create_dir(&root).map_err(ImageError::disk("make", &root))?;
        let (found, size) = unpack(decompressed(file)?, &root, self.shared.attributes)?;
        if found != diff_id {
            return Err(ImageError::Digest {
                what: "layer".into(),
                expected: diff_id.to_owned(),
                found,
            });
        }
        tracing::debug!(layer = diff_id, size, "unpacked a layer");
        self.place_layer(&root, &place)
    }

    /// Moves a finished directory to where a layer belongs. Who comes second finds it there and is content.
    pub(crate) fn place_layer(&self, root: &Path, place: &Path) -> Result<(), ImageError> {
        File::open(root)
            .and_then(|directory| directory.sync_all())
            .map_err(ImageError::disk("sync", root))?;
        match fs::rename(root, place) {
            Ok(()) => Ok(()),
            Err(_) if place.is_dir() => Ok(()),
            Err(error) => Err(ImageError::disk("place layer", place)(error)),
        }
    }

    /// Makes an image of a configuration whose layers are here.
    pub(crate) fn image_of(&self, configuration: &[u8], repository_digests: Vec<String>) -> Result<Image, ImageError> {
        let parsed = Configuration::parse(configuration)?;
        let mut size = 0;
        for layer in &parsed.rootfs.diff_ids {
            size += bytes_below(&self.layer(layer))?;
        }
        Ok(Image {
            id: digest_of(configuration),
            tags: Vec::new(),
            repository_digests,
            size,
            layers: parsed.rootfs.diff_ids,
            process: parsed.config.unwrap_or_default(),
        })
    }
}

fn bytes_below(directory: &Path) -> Result<u64, ImageError> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory).map_err(ImageError::disk("list", directory))? {
        let entry = entry.map_err(ImageError::disk("list", directory))?;
        let metadata = entry.metadata().map_err(ImageError::disk("look at", entry.path()))?;
        bytes += if metadata.is_dir() {
            bytes_below(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}

fn remove_whole(path: &Path) -> Result<(), ImageError> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.map_err(ImageError::disk("remove", path))
}

#[cfg(test)]
mod tests;
