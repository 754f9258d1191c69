//! Files of a volume swapped all at once: a time-stamped directory behind the symbolic link `..data`, as upstream's
//! atomic writer does, so that a container never sees half of an update.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use jiff::Timestamp;
use nix::unistd::{Gid, Uid, chown};
use pod_lifecycle::projection::{File, Files};

use super::{VolumeError, file};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

/// Makes `directory` show exactly `files`. Does nothing when it does already.
pub(super) fn write(directory: &Path, files: &Files, group: Option<i64>, now: Timestamp) -> Result<(), VolumeError> {
    let current = fs::read_link(directory.join(DATA)).ok();
    if current.as_ref().is_some_and(|name| holds(&directory.join(name), files)) {
        return Ok(());
    }
    let stamp = now.strftime("..%Y_%m_%d_%H_%M_%S").to_string();
    let fresh = format!("{stamp}.{:09}", now.subsec_nanosecond());
    let target = directory.join(&fresh);
    fs::create_dir(&target).map_err(file("create directory", &target))?;
    set_directory_mode(&target, group)?;
    for (path, content) in files {
        write_one(&target, path, content, group)?;
    }
    let new_link = directory.join(DATA_NEW);
    remove_if_there(&new_link)?;
    symlink(&fresh, &new_link).map_err(file("link", &new_link))?;
    let link = directory.join(DATA);
    fs::rename(&new_link, &link).map_err(file("replace", &link))?;
    show(directory, files)?;
    if let Some(old) = current {
        let old = directory.join(old);
        fs::remove_dir_all(&old).map_err(file("remove", &old))?;
    }
    Ok(())
}

fn holds(directory: &Path, files: &Files) -> bool {
    let same = |path: &String, wanted: &File| {
        let path = directory.join(path);
        let mode = fs::metadata(&path).map(|metadata| metadata.permissions().mode() & 0o777);
        mode.is_ok_and(|mode| mode & wanted.mode == wanted.mode) && fs::read(&path).is_ok_and(|old| old == wanted.data)
    };
    count(directory) == files.len() && files.iter().all(|(path, wanted)| same(path, wanted))
}

fn count(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 })
        .sum()
}

fn set_directory_mode(path: &Path, group: Option<i64>) -> Result<(), VolumeError> {
    let mode = if group.is_some() { 0o2755 } else { 0o755 };
    if group.is_some() {
        set_owner(path, None, group).map_err(file("set group of", path))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(file("set mode of", path))
}

fn write_one(target: &Path, path: &str, content: &File, group: Option<i64>) -> Result<(), VolumeError> {
    let full = target.join(path);
    let mut parents: Vec<&Path> = full
        .ancestors()
        .skip(1)
        .take_while(|parent| *parent != target)
        .collect();
    parents.reverse();
    for parent in parents.into_iter().filter(|parent| !parent.exists()) {
        fs::create_dir(parent).map_err(file("create directory", parent))?;
        set_directory_mode(parent, group)?;
    }
    let mut open = fs::OpenOptions::new();
    let mut handle = open
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&full)
        .map_err(file("create", &full))?;
    io::Write::write_all(&mut handle, &content.data).map_err(file("write", &full))?;
    if content.owner.is_some() || group.is_some() {
        set_owner(&full, content.owner, group).map_err(file("set owner of", &full))?;
    }
    // A group that owns the volume can read what is in it.
    let mode = if group.is_some() {
        content.mode | 0o440
    } else {
        content.mode
    };
    fs::set_permissions(&full, fs::Permissions::from_mode(mode)).map_err(file("set mode of", &full))
}

pub(super) fn set_owner(path: &Path, user: Option<i64>, group: Option<i64>) -> io::Result<()> {
    let id = |value: i64| u32::try_from(value).map_err(io::Error::other);
    let user = user.map(id).transpose()?.map(Uid::from_raw);
    let group = group.map(id).transpose()?.map(Gid::from_raw);
    chown(path, user, group).map_err(io::Error::from)
}

/// The links by which a container sees the first part of each path; links to what is gone are removed.
fn show(directory: &Path, files: &Files) -> Result<(), VolumeError> {
    let wanted: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &wanted {
        let link = directory.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), &link).map_err(file("link", &link))?;
        }
    }
    let entries = fs::read_dir(directory).map_err(file("list", directory))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(name.as_ref()) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), VolumeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
