//! Who a process is and what it may do: user, groups, capabilities.
#![allow(unsafe_code, reason = "capset and its kin have no safe wrapper")]

use std::io;

use nix::sys::prctl;

use super::capability::numbers;
use crate::record::Launch;

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

/// One of the two halves that the kernel keeps a set in.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up what the launch does not name, while the process still may.
pub fn drop_bounding_set(keep: u64) -> io::Result<()> {
    for number in numbers().filter(|number| keep & (1 << number) == 0) {
        // SAFETY: takes numbers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        let error = io::Error::last_os_error();
        // A number above the kernel's last capability is refused; there is nothing to drop then.
        if result < 0 && error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    Ok(())
}

/// Becomes the user, with the launch's capabilities as far as this process has them itself.
pub fn become_user(launch: &Launch) -> io::Result<()> {
    let available = permitted()?;
    prctl::set_keepcaps(true)?;
    let groups: Vec<nix::unistd::Gid> = launch.groups.iter().copied().map(nix::unistd::Gid::from_raw).collect();
    nix::unistd::setgroups(&groups)?;
    let group = nix::unistd::Gid::from_raw(launch.gid);
    nix::unistd::setresgid(group, group, group)?;
    let user = nix::unistd::Uid::from_raw(launch.uid);
    nix::unistd::setresuid(user, user, user)?;
    prctl::set_keepcaps(false)?;
    let ambient = launch.ambient_capabilities & launch.capabilities & available;
    set_capabilities(launch.capabilities & available, ambient)?;
    for number in numbers().filter(|number| ambient & (1 << number) != 0) {
        // SAFETY: takes numbers only.
        let result = unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::c_ulong::from(libc::PR_CAP_AMBIENT_RAISE.cast_unsigned()),
                libc::c_ulong::from(number),
                0,
                0,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn halves(set: u64) -> [u32; 2] {
    [
        u32::try_from(set & u64::from(u32::MAX)).unwrap_or(u32::MAX),
        u32::try_from(set >> 32).unwrap_or(u32::MAX),
    ]
}

fn set_capabilities(set: u64, inheritable: u64) -> io::Result<()> {
    let header = Header {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let (set, inheritable) = (halves(set), halves(inheritable));
    let data = [0, 1].map(|half: usize| Half {
        effective: set[half],
        permitted: set[half],
        inheritable: inheritable[half],
    });
    // SAFETY: version 3 reads one header and two halves, which is what these are.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// What this process itself may have.
fn permitted() -> io::Result<u64> {
    let header = Header {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let mut data = [Half::default(); 2];
    // SAFETY: version 3 reads one header and writes two halves, which is what these are.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(data[0].permitted) | (u64::from(data[1].permitted) << 32))
}
