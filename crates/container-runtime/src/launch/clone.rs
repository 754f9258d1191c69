//! clone3, and PID namespaces that are joined for the children only.
#![allow(
    unsafe_code,
    reason = "processes are made by system calls that no library wraps for single-threaded use"
)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// linux/sched.h; too large for the type that libc gives to flags.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a clone we are.
pub enum Fork {
    /// The caller; the child's process identifier.
    Parent(i32),
    /// The copy.
    Child,
}

/// Copies this process into the new namespaces that `flags` name.
pub fn fork(flags: libc::c_int) -> io::Result<Fork> {
    fork_into(flags, None)
}

/// As [`fork`]; the child is born in a cgroup of version 2, which spares it a lock of the whole kernel.
pub fn fork_into(flags: libc::c_int, cgroup: Option<&File>) -> io::Result<Fork> {
    // SAFETY: clone_args is plain data for which all zeroes is valid and means "nothing asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.cast_unsigned());
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(io::Error::other)?;
    }
    // SAFETY: without CLONE_VM the child gets its own copy of everything; the process has one thread, so no lock is held by another one.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(i32::try_from(pid).map_err(io::Error::other)?)),
    }
}

/// Takes the exit status of a child that failed to become its program.
pub fn reap(pid: i32) {
    if let Err(error) = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None) {
        tracing::debug!(pid, %error, "a failed child is gone already");
    }
}

/// While this lives, children of this process are born in another PID namespace.
pub struct JoinedPidNamespace<'a> {
    home: &'a File,
}

impl<'a> JoinedPidNamespace<'a> {
    /// `home` is this process's own PID namespace.
    pub fn enter(namespace: &File, home: &'a File) -> io::Result<Self> {
        set_namespace(namespace, libc::CLONE_NEWPID)?;
        Ok(Self { home })
    }
}

impl Drop for JoinedPidNamespace<'_> {
    fn drop(&mut self) {
        // Cannot fail: one's own PID namespace is always one that may be joined.
        if let Err(error) = set_namespace(self.home, libc::CLONE_NEWPID) {
            tracing::error!(%error, "cannot return to the own PID namespace");
        }
    }
}

/// setns(2).
pub fn set_namespace(namespace: &File, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: takes a descriptor and a flag, touches no memory of ours.
    match unsafe { libc::setns(namespace.as_raw_fd(), kind) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
