//! What the runtime and its shims write down before they act, and read back after either was killed.
//!
//! Records are protobuf messages that embed the CRI's own, so that what was asked is kept as it was asked.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cri_api::v1;
use prost::Message;

/// A pod sandbox.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxRecord {
    /// Identifier, 64 hexadecimal digits.
    #[prost(string, tag = "1")]
    pub id: String,
    /// As asked for.
    #[prost(message, optional, tag = "2")]
    pub config: Option<v1::PodSandboxConfig>,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "3")]
    pub created_at: i64,
    /// As asked for.
    #[prost(string, tag = "4")]
    pub runtime_handler: String,
    /// The pod's addresses.
    #[prost(string, repeated, tag = "5")]
    pub ips: Vec<String>,
    /// Set before the sandbox is taken down.
    #[prost(bool, tag = "6")]
    pub stopped: bool,
    /// Set once the sandbox was complete; without it a killed runtime left it half made.
    #[prost(bool, tag = "7")]
    pub ready: bool,
}

/// A container as it was created.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerRecord {
    /// Identifier, 64 hexadecimal digits.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The sandbox it belongs to.
    #[prost(string, tag = "2")]
    pub sandbox_id: String,
    /// As asked for.
    #[prost(message, optional, tag = "3")]
    pub config: Option<v1::ContainerConfig>,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "4")]
    pub created_at: i64,
    /// Identifier of the image.
    #[prost(string, tag = "5")]
    pub image_id: String,
    /// Reference of the image with its digest.
    #[prost(string, tag = "6")]
    pub image_ref: String,
    /// Absolute path of the log file; empty when none was asked for.
    #[prost(string, tag = "7")]
    pub log_path: String,
    /// Number of the signal that asks the container to end.
    #[prost(int32, tag = "8")]
    pub stop_signal: i32,
    /// Limits as they are now.
    #[prost(message, optional, tag = "9")]
    pub resources: Option<v1::LinuxContainerResources>,
    /// Uid, gid and groups of its first process.
    #[prost(message, optional, tag = "10")]
    pub user: Option<v1::LinuxContainerUser>,
}

/// Everything a shim must know to make the container's first process; nothing is looked up later.
#[derive(Clone, PartialEq, Message)]
pub struct Launch {
    /// Program and arguments.
    #[prost(string, repeated, tag = "1")]
    pub args: Vec<String>,
    /// `NAME=value`. Bytes, because CRI's values are.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub environment: Vec<Vec<u8>>,
    /// Absolute; made when missing.
    #[prost(string, tag = "3")]
    pub working_dir: String,
    /// User.
    #[prost(uint32, tag = "4")]
    pub uid: u32,
    /// Group.
    #[prost(uint32, tag = "5")]
    pub gid: u32,
    /// Supplemental groups.
    #[prost(uint32, repeated, tag = "6")]
    pub groups: Vec<u32>,
    /// Bounding, permitted and effective set, as a bit mask.
    #[prost(uint64, tag = "7")]
    pub capabilities: u64,
    /// Ambient (and inheritable) set, as a bit mask.
    #[prost(uint64, tag = "8")]
    pub ambient_capabilities: u64,
    /// `no_new_privs`.
    #[prost(bool, tag = "9")]
    pub no_new_privileges: bool,
    /// Apply the default system call filter.
    #[prost(bool, tag = "10")]
    pub seccomp: bool,
    /// All devices, writable /sys, nothing masked.
    #[prost(bool, tag = "11")]
    pub privileged: bool,
    /// The root file system cannot be written.
    #[prost(bool, tag = "12")]
    pub read_only_rootfs: bool,
    /// Hidden paths.
    #[prost(string, repeated, tag = "13")]
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written.
    #[prost(string, repeated, tag = "14")]
    pub read_only_paths: Vec<String>,
    /// Volumes and files, in order.
    #[prost(message, repeated, tag = "15")]
    pub mounts: Vec<LaunchMount>,
    /// Further devices.
    #[prost(message, repeated, tag = "16")]
    pub devices: Vec<LaunchDevice>,
    /// Unpacked layers, uppermost first.
    #[prost(string, repeated, tag = "17")]
    pub lower_dirs: Vec<String>,
    /// In a user namespace: overlay with `userxattr`.
    #[prost(bool, tag = "18")]
    pub user_namespace: bool,
    /// Files that hold the namespaces; empty = the machine's.
    #[prost(string, tag = "19")]
    pub network_namespace: String,
    /// As above.
    #[prost(string, tag = "20")]
    pub ipc_namespace: String,
    /// As above.
    #[prost(string, tag = "21")]
    pub uts_namespace: String,
    /// Whose processes it sees.
    #[prost(enumeration = "PidNamespace", tag = "22")]
    pub pid_namespace: i32,
    /// For [`PidNamespace::Target`]: the other container.
    #[prost(string, tag = "23")]
    pub target_container: String,
    /// Directory that becomes /dev/shm.
    #[prost(string, tag = "24")]
    pub shared_memory: String,
    /// Cgroup directories to join, one for each hierarchy.
    #[prost(message, repeated, tag = "25")]
    pub cgroups: Vec<LaunchCgroup>,
    /// Raised to the shim's own value when lower, for an unprivileged process cannot go below.
    #[prost(int32, tag = "26")]
    pub oom_score_adj: i32,
    /// A terminal in place of pipes.
    #[prost(bool, tag = "27")]
    pub terminal: bool,
    /// Standard input stays open.
    #[prost(bool, tag = "28")]
    pub stdin: bool,
    /// Standard input ends with its first attach.
    #[prost(bool, tag = "29")]
    pub stdin_once: bool,
    /// Absolute path of the log file; empty = output is dropped.
    #[prost(string, tag = "30")]
    pub log_path: String,
}

/// A bind mount of a container.
#[derive(Clone, PartialEq, Message)]
pub struct LaunchMount {
    /// In the machine.
    #[prost(string, tag = "1")]
    pub source: String,
    /// In the container, absolute.
    #[prost(string, tag = "2")]
    pub target: String,
    /// Cannot be written.
    #[prost(bool, tag = "3")]
    pub read_only: bool,
    /// Nor what is mounted below.
    #[prost(bool, tag = "4")]
    pub recursive_read_only: bool,
    /// As CRI numbers it.
    #[prost(enumeration = "v1::MountPropagation", tag = "5")]
    pub propagation: i32,
}

/// A device of a container.
#[derive(Clone, PartialEq, Message)]
pub struct LaunchDevice {
    /// In the machine.
    #[prost(string, tag = "1")]
    pub source: String,
    /// In the container, absolute.
    #[prost(string, tag = "2")]
    pub target: String,
}

/// A cgroup that a container joins.
#[derive(Clone, PartialEq, Message)]
pub struct LaunchCgroup {
    /// Controllers of the hierarchy (`memory`; `cpu,cpuacct`); empty for version 2.
    #[prost(string, tag = "1")]
    pub controllers: String,
    /// Absolute.
    #[prost(string, tag = "2")]
    pub directory: String,
}

/// Whose processes a container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum PidNamespace {
    /// Its own only.
    Own = 0,
    /// Those of the pod.
    Pod = 1,
    /// Those of the machine.
    Machine = 2,
    /// Those of another container.
    Target = 3,
}

/// A container's first process, written by the shim once it runs.
#[derive(Clone, PartialEq, Message)]
pub struct StartedRecord {
    /// Process identifier in the machine.
    #[prost(int32, tag = "1")]
    pub pid: i32,
    /// Clock ticks since boot at which the process began: tells a reused identifier apart.
    #[prost(uint64, tag = "2")]
    pub start_time: u64,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "3")]
    pub started_at: i64,
}

/// How a container ended, written by the shim before it tells anyone.
#[derive(Clone, PartialEq, Message)]
pub struct ExitedRecord {
    /// Exit code; 128 + n for signal n.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "2")]
    pub finished_at: i64,
    /// The kernel killed a process of the container for want of memory.
    #[prost(bool, tag = "3")]
    pub oom_killed: bool,
    /// `StartError` when it never ran; empty = follows from the code.
    #[prost(string, tag = "4")]
    pub reason: String,
    /// More words.
    #[prost(string, tag = "5")]
    pub message: String,
}

impl ExitedRecord {
    /// The reason as a kubelet expects it from a runtime.
    pub fn reason(&self) -> &str {
        match (self.reason.as_str(), self.oom_killed, self.code) {
            ("", true, _) => "OOMKilled",
            ("", false, 0) => "Completed",
            ("", false, _) => "Error",
            (reason, _, _) => reason,
        }
    }
}

/// Why a record could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The record.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The record.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is no record of this kind.
    #[error("{path} is damaged")]
    Decode {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        source: prost::DecodeError,
    },
}

/// Writes a record so that a reader sees the old one or the new one, never half of it.
///
/// It survives the kill of any process. It is not synced to the disk: what it describes does not survive a power cut either.
pub fn write(path: &Path, record: &impl Message) -> Result<(), RecordError> {
    let temporary = path.with_extension("new");
    File::create(&temporary)
        .and_then(|mut file| file.write_all(&record.encode_to_vec()))
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|source| RecordError::Write {
            path: path.to_owned(),
            source,
        })
}

/// Reads a record; `None` when it was never written.
pub fn read<R: Message + Default>(path: &Path) -> Result<Option<R>, RecordError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(RecordError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    R::decode(bytes.as_slice())
        .map(Some)
        .map_err(|source| RecordError::Decode {
            path: path.to_owned(),
            source,
        })
}
