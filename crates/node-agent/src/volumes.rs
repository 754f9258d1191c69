//! The pod's volumes on disk: directories, tmpfs mounts, host paths, and files that are replaced atomically.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use pod_lifecycle::projection::{self, Inputs, ProjectionError};
use pod_lifecycle::volumes::{self, Source};

use crate::container_config::PodPaths;

mod atomic;

/// A volume that cannot be prepared: event FailedMount `MountVolume.SetUp failed for volume "…" : …`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    #[error("{what} {path}", path = path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("hostPath type check failed: {path} is not a {wanted}")]
    HostPath { path: String, wanted: &'static str },
    #[error("volume source {0} is not supported on this node")]
    Unsupported(&'static str),
}

/// The failure of one volume.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?}")]
pub(crate) struct MountFailure {
    pub(crate) volume: String,
    #[source]
    pub(crate) source: VolumeError,
}

impl MountFailure {
    /// As upstream words the event.
    pub(crate) fn message(&self) -> String {
        let cause = supervision::error_chain(&self.source);
        format!("MountVolume.SetUp failed for volume {:?} : {cause}", self.volume)
    }
}

fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VolumeError {
    let path = path.to_owned();
    move |source| VolumeError::File { what, path, source }
}

fn directory_of(paths: &PodPaths, volume: &Volume) -> PathBuf {
    paths
        .dir
        .join("volumes")
        .join(volumes::plugin_directory(volume))
        .join(&volume.name)
}

/// Prepares every volume of the pod; called again, it brings files up to date and leaves the rest. Answers where each is.
///
/// # Errors
/// The first volume that cannot be prepared.
pub(crate) fn set_up(
    paths: &PodPaths,
    pod: &Pod,
    inputs: &Inputs<'_>,
    now: Timestamp,
) -> Result<HashMap<String, PathBuf>, MountFailure> {
    let mut found = HashMap::new();
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let path = set_up_one(paths, pod, volume, inputs, now).map_err(|source| MountFailure {
            volume: volume.name.clone(),
            source,
        })?;
        found.insert(volume.name.clone(), path);
    }
    Ok(found)
}

/// Answers where each volume would be, if what it refers to is there, and makes nothing: all that a simulated node does.
///
/// # Errors
/// The first volume that could not be prepared.
pub(crate) fn check(
    paths: &PodPaths,
    pod: &Pod,
    inputs: &Inputs<'_>,
) -> Result<HashMap<String, PathBuf>, MountFailure> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let check_one = |volume: &Volume| match volumes::source(volume) {
        Source::Files => projection::files(volume, inputs).map(drop).map_err(VolumeError::from),
        Source::Unsupported(name) => Err(VolumeError::Unsupported(name)),
        Source::EmptyDir { .. } | Source::HostPath { .. } => Ok(()),
    };
    volumes
        .map(|volume| match check_one(volume) {
            Ok(()) => Ok((volume.name.clone(), directory_of(paths, volume))),
            Err(source) => Err(MountFailure {
                volume: volume.name.clone(),
                source,
            }),
        })
        .collect()
}

fn set_up_one(
    paths: &PodPaths,
    pod: &Pod,
    volume: &Volume,
    inputs: &Inputs<'_>,
    now: Timestamp,
) -> Result<PathBuf, VolumeError> {
    let directory = directory_of(paths, volume);
    let group = pod.spec.as_ref().and_then(volumes::fs_group);
    match volumes::source(volume) {
        Source::EmptyDir { memory, size_limit } => {
            empty_directory(&directory, memory, size_limit, group)?;
            Ok(directory)
        }
        Source::HostPath { path, kind } => host_path(&path, &kind),
        Source::Files => {
            let files = projection::files(volume, inputs)?;
            make_directory(&directory, 0o755)?;
            atomic::write(&directory, &files, group, now)?;
            Ok(directory)
        }
        Source::Unsupported(name) => Err(VolumeError::Unsupported(name)),
    }
}

fn make_directory(path: &Path, mode: u32) -> Result<(), VolumeError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(file("create directory", path))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), VolumeError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(file("set mode of", path))
}

fn empty_directory(path: &Path, memory: bool, limit: Option<u64>, group: Option<i64>) -> Result<(), VolumeError> {
    if path.exists() {
        return Ok(());
    }
    make_directory(path, 0o777)?;
    if memory {
        let options = limit.map(|bytes| format!("size={bytes}"));
        mount(
            Some("tmpfs"),
            path,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            options.as_deref(),
        )
        .map_err(|error| file("mount tmpfs on", path)(error.into()))?;
    }
    // The umask must not narrow it, and a group's files stay the group's.
    set_mode(path, if group.is_some() { 0o2777 } else { 0o777 })?;
    if let Some(group) = group {
        atomic::set_owner(path, None, Some(group)).map_err(file("set group of", path))?;
    }
    Ok(())
}

fn host_path(path: &str, kind: &str) -> Result<PathBuf, VolumeError> {
    let host = PathBuf::from(path);
    match kind {
        "DirectoryOrCreate" if !host.exists() => make_directory(&host, 0o755)?,
        "FileOrCreate" if !host.exists() => {
            fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o644)
                .open(&host)
                .map_err(file("create", &host))?;
        }
        // Without a type a path that does not exist becomes a directory, as container runtimes make it.
        "" if !host.exists() => make_directory(&host, 0o755)?,
        _ => {}
    }
    let metadata = fs::metadata(&host).ok();
    let is = |check: fn(&fs::Metadata) -> bool| metadata.as_ref().is_some_and(check);
    let (fits, wanted) = match kind {
        "Directory" | "DirectoryOrCreate" => (is(fs::Metadata::is_dir), "directory"),
        "File" | "FileOrCreate" => (is(fs::Metadata::is_file), "file"),
        "Socket" => (is(|found| found.file_type().is_socket()), "socket file"),
        "CharDevice" => (is(|found| found.file_type().is_char_device()), "character device"),
        "BlockDevice" => (is(|found| found.file_type().is_block_device()), "block device"),
        _ => (true, ""),
    };
    if fits {
        Ok(host)
    } else {
        Err(VolumeError::HostPath {
            path: path.to_owned(),
            wanted,
        })
    }
}

/// Makes the directory that a subPath names inside a volume, if nothing is there.
pub(crate) fn make_sub_path(volume: &Path, path: &Path) -> Result<(), VolumeError> {
    if path == volume || path.exists() {
        return Ok(());
    }
    let mode = fs::metadata(volume)
        .map(|metadata| metadata.mode() & 0o7777)
        .unwrap_or(0o755);
    make_directory(path, mode)?;
    set_mode(path, mode)
}

/// Writes a small file of the pod (`/etc/hosts`, the termination message), keeping its inode: it may be mounted already.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), VolumeError> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent, 0o755)?;
    }
    fs::write(path, content).map_err(file("write", path))?;
    set_mode(path, mode)
}

/// Takes away everything of a pod: its tmpfs mounts, then its directory.
pub(crate) fn tear_down(directory: &Path) -> Result<(), VolumeError> {
    let empty = directory.join("volumes/kubernetes.io~empty-dir");
    if let Ok(entries) = fs::read_dir(&empty) {
        for entry in entries.flatten() {
            let path = entry.path();
            let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
            if device(&path) != device(&empty) {
                umount2(&path, MntFlags::MNT_DETACH).map_err(|error| file("unmount", &path)(error.into()))?;
            }
        }
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", directory)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
