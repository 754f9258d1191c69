//! Volumes: trees that are taken from the machine before the root changes, and placed after.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cri_api::v1::MountPropagation;
use nix::mount::{MsFlags, mount};

use super::child::{ChildError, at};
use super::kernel::{
    Attributes, MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY, attach_tree, change_mount, change_tree, clone_tree,
};
use crate::record::{Launch, LaunchMount};

/// Symbolic links that lead from a mount point to another; more is a loop.
const MOST_LINKS: u32 = 16;

/// A volume on its way into a container.
pub struct Volume {
    tree: OwnedFd,
    directory: bool,
    target: PathBuf,
}

/// Takes copies of all volumes, while the process still sees the machine and its mounts' peer groups.
pub fn gather(launch: &Launch) -> Result<Vec<Volume>, ChildError> {
    launch
        .mounts
        .iter()
        .map(|mount| gather_one(mount, launch.privileged))
        .collect()
}

fn gather_one(mount: &LaunchMount, privileged: bool) -> Result<Volume, ChildError> {
    let source = Path::new(&mount.source);
    let directory = fs::metadata(source).map_err(at("mount", source))?.is_dir();
    let tree = clone_tree(source).map_err(at("mount", source))?;
    let propagation = match mount.propagation() {
        MountPropagation::PropagationPrivate => libc::MS_PRIVATE,
        MountPropagation::PropagationHostToContainer => libc::MS_SLAVE,
        MountPropagation::PropagationBidirectional => libc::MS_SHARED,
    };
    let no_devices = if privileged { 0 } else { MOUNT_ATTR_NODEV };
    let everywhere = Attributes {
        set: no_devices
            | if mount.recursive_read_only {
                MOUNT_ATTR_RDONLY
            } else {
                0
            },
        propagation,
        recursive: true,
    };
    change_tree(tree.as_fd(), everywhere).map_err(at("set the options of the mount of", source))?;
    if mount.read_only {
        let top = Attributes {
            set: MOUNT_ATTR_RDONLY,
            propagation: 0,
            recursive: false,
        };
        change_tree(tree.as_fd(), top).map_err(at("make read-only the mount of", source))?;
    }
    Ok(Volume {
        tree,
        directory,
        target: PathBuf::from(&mount.target),
    })
}

/// Puts the volumes in their places; the process has the container's root by now, so every link leads inside.
pub fn place(volumes: &[Volume]) -> Result<(), ChildError> {
    for volume in volumes {
        if volume.directory {
            fs::create_dir_all(&volume.target)
        } else {
            make_file(&volume.target)
        }
        .map_err(at("make the mount point", &volume.target))?;
        attach_tree(volume.tree.as_fd(), &volume.target).map_err(at("mount on", &volume.target))?;
    }
    Ok(())
}

/// Makes an empty file, and where symbolic links lead to nowhere, makes what they lead to.
pub fn make_file(path: &Path) -> io::Result<()> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let link = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("/")).join(link);
            }
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                return fs::OpenOptions::new().create(true).append(true).open(&path).map(drop);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// Hides paths: an empty read-only directory, or /dev/null for a file. What does not exist needs no hiding.
pub fn mask(paths: &[String]) -> Result<(), ChildError> {
    for path in paths {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(at("hide", path)(error)),
        };
        let done = if metadata.is_dir() {
            mount(
                Some("tmpfs"),
                path.as_str(),
                Some("tmpfs"),
                MsFlags::MS_RDONLY,
                Some("size=0k"),
            )
        } else {
            mount(
                Some("/dev/null"),
                path.as_str(),
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
        };
        done.map_err(|error| at("hide", path)(error.into()))?;
    }
    Ok(())
}

/// Makes paths read-only.
pub fn protect(paths: &[String]) -> Result<(), ChildError> {
    for path in paths {
        match mount(
            Some(path.as_str()),
            path.as_str(),
            None::<&str>,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            None::<&str>,
        ) {
            Err(nix::errno::Errno::ENOENT) => continue,
            other => other.map_err(|error| at("protect", path)(error.into()))?,
        }
        let read_only = Attributes {
            set: MOUNT_ATTR_RDONLY,
            propagation: 0,
            recursive: true,
        };
        change_mount(Path::new(path), read_only).map_err(at("protect", path))?;
    }
    Ok(())
}
