//! The database on its disk: opened, and opened again after the disk failed.
//!
//! redb refuses everything after the first failed write, and an operating system may forget that pages which it could
//! not write are not on disk. So a database that is opened again is first written again, every byte where it lies, and
//! synced: what is read from then on is what the disk holds.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction};

use super::tables::failed;
use crate::StoreError;

/// The database's name in the store's directory.
const FILE: &str = "store.redb";

/// Bytes that are written again at once.
const CHUNK: usize = 1 << 20;

/// Opens the bytes that hold the database; asked again after a failure.
type Medium = Box<dyn Fn() -> Result<Box<dyn Backend>, DatabaseError> + Send + Sync>;

/// A database that may be closed for a while.
pub(super) struct Disk {
    path: PathBuf,
    cache_bytes: usize,
    medium: Medium,
    database: RwLock<Option<Database>>,
}

/// A backend whose type is known where it is made only.
pub(super) trait Backend {
    /// Writes all of them again and waits until they are on disk.
    fn write_again(&self) -> io::Result<()>;

    /// Opens the database in them.
    fn open(self: Box<Self>, builder: &Builder) -> Result<Database, DatabaseError>;
}

impl<B: StorageBackend> Backend for B {
    fn write_again(&self) -> io::Result<()> {
        let length = self.len()?;
        let mut at = 0;
        let mut chunk = vec![0; CHUNK];
        while at < length {
            let size = usize::try_from(length - at).map_or(CHUNK, |left| left.min(CHUNK));
            self.read(at, &mut chunk[..size])?;
            self.write(at, &chunk[..size])?;
            at += size as u64;
        }
        self.sync_data()
    }

    fn open(self: Box<Self>, builder: &Builder) -> Result<Database, DatabaseError> {
        builder.create_with_backend(*self)
    }
}

impl Disk {
    /// The database in a directory, made if it is not there.
    pub(super) fn open(directory: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let io = |what: &str, error: io::Error| {
            StoreError::Unavailable(format!("cannot {what} {}", directory.display()), Some(Arc::new(error)))
        };
        fs::create_dir_all(directory).map_err(|error| io("make directory", error))?;
        let path = directory.join(FILE);
        let file = path.clone();
        let medium = move || -> Result<Box<dyn Backend>, DatabaseError> {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(&file).map_err(redb::StorageError::from)?;
            Ok(Box::new(FileBackend::new(file)?))
        };
        let disk = Self::on(path, cache_bytes, Box::new(medium))?;
        // A file that was just made survives a crash only once its directory is synced.
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| io("sync directory", error))?;
        Ok(disk)
    }

    /// The database on a medium; `path` is what errors name.
    pub(super) fn on(path: PathBuf, cache_bytes: usize, medium: Medium) -> Result<Self, StoreError> {
        let disk = Self {
            path,
            cache_bytes,
            medium,
            database: RwLock::new(None),
        };
        let database = (disk.medium)().and_then(|backend| disk.database_in(backend));
        let database = database.map_err(|error| disk.unopened(error))?;
        *disk.slot() = Some(database);
        Ok(disk)
    }

    /// Closes what failed and opens the database anew. While that does not succeed there is none.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut slot = self.slot();
        // The old one holds the file's lock.
        *slot = None;
        let backend = (self.medium)().map_err(|error| self.unopened(error))?;
        backend.write_again().map_err(|error| {
            StoreError::Unavailable(
                format!("cannot write {} again", self.path.display()),
                Some(Arc::new(error)),
            )
        })?;
        *slot = Some(self.database_in(backend).map_err(|error| self.unopened(error))?);
        Ok(())
    }

    fn database_in(&self, backend: Box<dyn Backend>) -> Result<Database, DatabaseError> {
        backend.open(Builder::new().set_cache_size(self.cache_bytes))
    }

    fn unopened(&self, error: DatabaseError) -> StoreError {
        let path = self.path.display();
        match error {
            DatabaseError::DatabaseAlreadyOpen => {
                StoreError::Unavailable(format!("{path} is open in another process"), None)
            }
            error => StoreError::Unavailable(format!("cannot open {path}"), Some(Arc::new(error))),
        }
    }

    fn slot(&self) -> std::sync::RwLockWriteGuard<'_, Option<Database>> {
        // It is replaced as a whole, so a poisoned one is still sound.
        self.database.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T, E: Into<redb::Error>>(
        &self,
        step: &'static str,
        begin: impl FnOnce(&Database) -> Result<T, E>,
    ) -> Result<T, StoreError> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or_else(|| {
            StoreError::Unavailable(
                format!(
                    "{} is not open: its disk failed and is tried again",
                    self.path.display()
                ),
                None,
            )
        })?;
        begin(database).map_err(failed(step))
    }

    /// Begins a read.
    pub(super) fn read(&self) -> Result<ReadTransaction, StoreError> {
        self.with("begin a read", Database::begin_read)
    }

    /// Begins a write.
    pub(super) fn write(&self) -> Result<WriteTransaction, StoreError> {
        self.with("begin a write", Database::begin_write)
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> Result<u64, StoreError> {
        let metadata = fs::metadata(&self.path);
        let metadata = metadata.map_err(|error| {
            StoreError::Unavailable("cannot see the store's size".to_owned(), Some(Arc::new(error)))
        })?;
        Ok(metadata.len())
    }
}
