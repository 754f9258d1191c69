//! Terminals, made from the container's own devpts.
#![allow(unsafe_code, reason = "terminals are made by ioctl")]

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// Makes a terminal: its controlling side and the side that the program has.
pub fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    let controlling: OwnedFd = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open("/dev/ptmx")?
        .into();
    let unlocked: libc::c_int = 0;
    // SAFETY: the ioctl reads one integer.
    if unsafe { libc::ioctl(controlling.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the ioctl takes flags by value.
    let peer = unsafe { libc::ioctl(controlling.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    if peer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok((controlling, unsafe { OwnedFd::from_raw_fd(peer) }))
}

/// Makes `terminal` the controlling terminal of this session.
pub fn take(terminal: &OwnedFd) -> io::Result<()> {
    // SAFETY: the ioctl takes its argument by value.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
