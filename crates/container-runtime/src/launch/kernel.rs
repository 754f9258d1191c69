//! The mount system calls of Linux 5.2 and later, which libc declares by number only.
#![allow(unsafe_code, reason = "these system calls have no safe wrapper")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_SYMLINKS: libc::c_uint = 0x10;
/// Nothing can be written through the mount.
pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
/// Device files below the mount cannot be opened.
pub const MOUNT_ATTR_NODEV: u64 = 0x4;

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// A copy of the mount (and all below it) at `path`, attached nowhere yet.
pub fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned() | libc::AT_RECURSIVE.cast_unsigned();
    let path = c_path(path)?;
    // SAFETY: the path is a valid C string that outlives the call.
    let descriptor = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Attaches a tree at `target`, following symbolic links.
pub fn attach_tree(tree: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let target = c_path(target)?;
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
    // SAFETY: both paths are valid C strings that outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            flags,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// What [`change_tree`] and [`change_mount`] set.
#[derive(Clone, Copy, Default)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to add.
    pub set: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, or 0 for as it is.
    pub propagation: u64,
    /// Also below.
    pub recursive: bool,
}

/// Changes a tree that [`clone_tree`] made.
pub fn change_tree(tree: BorrowedFd<'_>, attributes: Attributes) -> io::Result<()> {
    set_attributes(tree.as_raw_fd(), c"".to_owned(), libc::AT_EMPTY_PATH, attributes)
}

/// Changes the mount at `path`.
pub fn change_mount(path: &Path, attributes: Attributes) -> io::Result<()> {
    set_attributes(libc::AT_FDCWD, c_path(path)?, 0, attributes)
}

fn set_attributes(at: libc::c_int, path: CString, flags: libc::c_int, attributes: Attributes) -> io::Result<()> {
    let argument = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: 0,
        propagation: attributes.propagation,
        userns_fd: 0,
    };
    let flags = flags | if attributes.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: path and argument outlive the call, and the argument's true size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at,
            path.as_ptr(),
            flags,
            &raw const argument,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
