//! The namespaces that the containers of a pod share, held by mounted files instead of a process.
#![allow(unsafe_code, reason = "the loopback link is brought up by ioctl")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Magic number of the file system that namespace files are of (linux/magic.h).
const NSFS_MAGIC: i64 = 0x6e73_6673;
/// A pod's shared memory, as containerd sizes it.
const SHARED_MEMORY: &str = "mode=1777,size=65536k";

/// What a pod gets of its own; the rest is the machine's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodNamespaces {
    /// Network and UTS.
    pub network: bool,
    /// IPC and /dev/shm.
    pub ipc: bool,
    /// The name of its UTS namespace.
    pub hostname: String,
    /// As CRI gives them: `net.ipv4.ip_forward` to `1`.
    pub sysctls: BTreeMap<String, String>,
}

/// Where the files lie.
#[derive(Clone, Debug)]
pub struct NamespaceFiles {
    directory: PathBuf,
}

/// Why a pod has no namespaces.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The directory could not be made.
    #[error("cannot make {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel gave no namespaces.
    #[error("cannot make the pod's namespaces")]
    Unshare(#[source] io::Error),
    /// The name was refused.
    #[error("cannot set the hostname {hostname:?}")]
    Hostname {
        /// The name.
        hostname: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The loopback link stayed down.
    #[error("cannot bring up the pod's loopback")]
    Loopback(#[source] io::Error),
    /// A kernel parameter was refused.
    #[error("cannot set sysctl {name} to {value:?}")]
    Sysctl {
        /// Its name.
        name: String,
        /// The wish.
        value: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A namespace could not be held.
    #[error("cannot mount on {path}")]
    Mount {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A mount could not be taken away.
    #[error("cannot release {path}")]
    Release {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The helper thread panicked.
    #[error("the thread that makes namespaces panicked")]
    Panicked,
}

impl NamespaceFiles {
    /// In the sandbox's run directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// File of the network namespace.
    pub fn network(&self) -> PathBuf {
        self.directory.join("net")
    }

    /// File of the IPC namespace.
    pub fn ipc(&self) -> PathBuf {
        self.directory.join("ipc")
    }

    /// File of the UTS namespace.
    pub fn uts(&self) -> PathBuf {
        self.directory.join("uts")
    }

    /// The pod's /dev/shm.
    pub fn shared_memory(&self) -> PathBuf {
        self.directory.join("shm")
    }

    /// Makes the namespaces on a thread of their own, which ends and leaves them to the files.
    pub fn make(&self, wanted: &PodNamespaces) -> Result<(), NamespaceError> {
        fs::create_dir_all(&self.directory).map_err(|source| NamespaceError::Directory {
            path: self.directory.clone(),
            source,
        })?;
        std::thread::scope(|scope| scope.spawn(|| self.make_on_this_thread(wanted)).join())
            .map_err(|_panic| NamespaceError::Panicked)?
    }

    fn make_on_this_thread(&self, wanted: &PodNamespaces) -> Result<(), NamespaceError> {
        let mut flags = CloneFlags::empty();
        flags.set(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS, wanted.network);
        flags.set(CloneFlags::CLONE_NEWIPC, wanted.ipc);
        unshare(flags).map_err(|error| NamespaceError::Unshare(error.into()))?;
        if wanted.network {
            nix::unistd::sethostname(&wanted.hostname).map_err(|error| NamespaceError::Hostname {
                hostname: wanted.hostname.clone(),
                source: error.into(),
            })?;
            bring_up_loopback().map_err(NamespaceError::Loopback)?;
            allow_unprivileged_network();
        }
        for (name, value) in &wanted.sysctls {
            set_sysctl(name, value).map_err(|source| NamespaceError::Sysctl {
                name: name.clone(),
                value: value.clone(),
                source,
            })?;
        }
        if wanted.network {
            hold("net", &self.network())?;
            hold("uts", &self.uts())?;
        }
        if wanted.ipc {
            hold("ipc", &self.ipc())?;
            let memory = self.shared_memory();
            fs::create_dir_all(&memory).map_err(|source| NamespaceError::Directory {
                path: memory.clone(),
                source,
            })?;
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some("shm"), &memory, Some("tmpfs"), flags, Some(SHARED_MEMORY)).map_err(|error| {
                NamespaceError::Mount {
                    path: memory,
                    source: error.into(),
                }
            })?;
        }
        Ok(())
    }

    /// Whether the namespaces that `wanted` names are still held; they are not after the machine was started anew.
    pub fn alive(&self, wanted: &PodNamespaces) -> bool {
        let held =
            |path: &Path| nix::sys::statfs::statfs(path).is_ok_and(|facts| facts.filesystem_type().0 == NSFS_MAGIC);
        (!wanted.network || held(&self.network())) && (!wanted.ipc || held(&self.ipc()))
    }

    /// Lets go of everything and removes the directory. Nothing left is success.
    pub fn release(&self) -> Result<(), NamespaceError> {
        for path in [self.network(), self.uts(), self.ipc(), self.shared_memory()] {
            match umount2(&path, MntFlags::MNT_DETACH) {
                Ok(()) | Err(nix::errno::Errno::ENOENT | nix::errno::Errno::EINVAL) => {}
                Err(error) => {
                    return Err(NamespaceError::Release {
                        path,
                        source: error.into(),
                    });
                }
            }
        }
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(NamespaceError::Release {
                path: self.directory.clone(),
                source: error,
            }),
            _ => Ok(()),
        }
    }
}

fn hold(name: &str, path: &Path) -> Result<(), NamespaceError> {
    let failed = |source| NamespaceError::Mount {
        path: path.to_owned(),
        source,
    };
    File::create(path).map_err(failed)?;
    let source = format!("/proc/thread-self/ns/{name}");
    mount(
        Some(source.as_str()),
        path,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .map_err(|error| failed(error.into()))
}

/// As containerd does by default: ping and ports below 1024 without capabilities.
fn allow_unprivileged_network() {
    let wishes = [
        ("net.ipv4.ip_unprivileged_port_start", "0"),
        ("net.ipv4.ping_group_range", "0 2147483647"),
        ("net.ipv4.ping_group_range", "0 65535"),
    ];
    for (name, value) in wishes {
        // In a user namespace the first range names groups that do not exist, the second is what is left of it.
        if let Err(error) = set_sysctl(name, value) {
            tracing::debug!(name, value, %error, "a convenience of the pod's network is missing");
        } else if name.ends_with("range") {
            break;
        }
    }
}

/// Writes a kernel parameter of this thread's namespaces.
fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    if name.contains("..") {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    fs::write(Path::new("/proc/sys").join(name.replace('.', "/")), value)
}

fn bring_up_loopback() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: ifreq is plain data for which all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo\0") {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which outlives the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
