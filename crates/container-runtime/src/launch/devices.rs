//! The devices of a container: copies of the machine's own device files, never new ones.
//!
//! Every other mount of an unprivileged container refuses device files, so a node made by `mknod` opens nothing. This takes the place of
//! the device cgroup, works in a user namespace and on both cgroup versions.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::child::{ChildError, at};
use super::kernel::{attach_tree, clone_tree};
use crate::record::Launch;

/// What every container has.
const DEFAULTS: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// A device file on its way into a container.
pub struct Device {
    tree: OwnedFd,
    target: PathBuf,
}

/// Takes copies of the devices, from the machine's root.
pub fn gather(launch: &Launch) -> Result<Vec<Device>, ChildError> {
    let mut wanted: Vec<(PathBuf, PathBuf)> = DEFAULTS.iter().map(|path| (path.into(), path.into())).collect();
    if launch.privileged {
        let mut all = Vec::new();
        every_device(Path::new("/dev"), &mut all).map_err(at("list devices in", "/dev"))?;
        wanted.extend(
            all.into_iter()
                .filter(|path| !DEFAULTS.iter().any(|known| Path::new(known) == path))
                .map(|path| (path.clone(), path)),
        );
    }
    wanted.extend(
        launch
            .devices
            .iter()
            .map(|device| (PathBuf::from(&device.source), PathBuf::from(&device.target))),
    );
    wanted
        .into_iter()
        .map(|(source, target)| {
            let tree = clone_tree(&source).map_err(at("use device", &source))?;
            Ok(Device { tree, target })
        })
        .collect()
}

/// Device files below `directory`, without the terminals and shared memory that a container has of its own.
fn every_device(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let own = ["pts", "shm", "mqueue", "hugepages", "ptmx", "console"]
            .iter()
            .any(|name| entry.file_name() == *name);
        if own {
            continue;
        }
        if kind.is_dir() {
            every_device(&entry.path(), found)?;
        } else if kind.is_char_device() || kind.is_block_device() {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Puts the devices into the container's /dev; the process has the container's root by now.
pub fn place(devices: &[Device]) -> Result<(), ChildError> {
    use std::os::fd::AsFd;
    for device in devices {
        super::mounts::make_file(&device.target).map_err(at("make", &device.target))?;
        attach_tree(device.tree.as_fd(), &device.target).map_err(at("place device", &device.target))?;
    }
    Ok(())
}
