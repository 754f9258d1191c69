//! Which images are here and what they are called: one small file, replaced whole, ordered by a lock.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::image::{Image, Source};
use crate::{ImageError, Reference};

/// A name, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub image: String,
    pub source: Source,
}

/// All that is here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Catalogue {
    pub images: BTreeMap<String, Image>,
    pub references: BTreeMap<Reference, Named>,
}

impl Catalogue {
    /// The image that a reference, an id or `repository@digest` names.
    pub fn find(&self, text: &str) -> Option<Image> {
        if let Some(image) = self
            .images
            .get(text)
            .or_else(|| self.images.get(&format!("sha256:{text}")))
        {
            return Some(self.with_tags(image));
        }
        let reference = Reference::parse(text).ok()?;
        let by_name = self
            .references
            .get(&reference)
            .and_then(|named| self.images.get(&named.image));
        let by_digest = || {
            self.images.values().find(|image| {
                image
                    .repository_digests
                    .iter()
                    .any(|digest| digest == reference.as_str())
            })
        };
        by_name.or_else(by_digest).map(|image| self.with_tags(image))
    }

    /// Every image with its names.
    pub fn all(&self) -> Vec<Image> {
        self.images.values().map(|image| self.with_tags(image)).collect()
    }

    fn with_tags(&self, image: &Image) -> Image {
        let tags = self
            .references
            .iter()
            .filter(|(_, named)| named.image == image.id)
            .map(|(reference, _)| reference.clone());
        Image {
            tags: tags.collect(),
            ..image.clone()
        }
    }

    /// Adds an image under a name. An image that is here already keeps the digests under which it came before.
    pub fn add(&mut self, image: Image, name: Option<(Reference, Source)>) {
        let entry = self.images.entry(image.id.clone()).or_insert_with(|| image.clone());
        for digest in image.repository_digests {
            if !entry.repository_digests.contains(&digest) {
                entry.repository_digests.push(digest);
            }
        }
        if let Some((reference, source)) = name {
            self.references.insert(
                reference,
                Named {
                    image: image.id,
                    source,
                },
            );
        }
    }
}

/// The catalogue's file and its lock.
#[derive(Debug)]
pub(crate) struct CatalogueFile {
    path: PathBuf,
    lock: PathBuf,
    seen: Mutex<Option<(Version, Arc<Catalogue>)>>,
}

/// Tells one version of the file from the next: it is always another file.
type Version = (u64, i64, i64);

impl CatalogueFile {
    pub fn new(directory: &Path) -> Self {
        Self {
            path: directory.join("catalogue.json"),
            lock: directory.join("lock"),
            seen: Mutex::default(),
        }
    }

    /// The catalogue now. Read again only when the file was replaced.
    pub fn read(&self) -> Result<Arc<Catalogue>, ImageError> {
        let at = |source| ImageError::disk("read", &self.path)(source);
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(error) => return Err(at(error)),
        };
        let version = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, catalogue)) = seen.as_ref()
            && *known == version
        {
            return Ok(Arc::clone(catalogue));
        }
        let text = fs::read(&self.path).map_err(at)?;
        let catalogue: Arc<Catalogue> = Arc::new(serde_json::from_slice(&text).map_err(|error| at(error.into()))?);
        *seen = Some((version, Arc::clone(&catalogue)));
        Ok(catalogue)
    }

    /// Changes the catalogue; no other process changes it meanwhile. Blocks.
    pub fn change<T>(&self, change: impl FnOnce(&mut Catalogue) -> Result<T, ImageError>) -> Result<T, ImageError> {
        let _locked = self.lock()?;
        let mut catalogue = Catalogue::clone(&*self.read()?);
        let result = change(&mut catalogue)?;
        let text =
            serde_json::to_vec(&catalogue).map_err(|error| ImageError::disk("write", &self.path)(error.into()))?;
        let partial = self.path.with_extension("partial");
        let mut file = File::create(&partial).map_err(ImageError::disk("write", &partial))?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(ImageError::disk("write", &partial))?;
        fs::rename(&partial, &self.path).map_err(ImageError::disk("replace", &self.path))?;
        Ok(result)
    }

    fn lock(&self) -> Result<Flock<File>, ImageError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.lock);
        let file = file.map_err(ImageError::disk("open", &self.lock))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| ImageError::disk("lock", &self.lock)(error.into()))
    }
}
